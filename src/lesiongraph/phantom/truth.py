"""What only the phantom knows: lesion identity, type, true place and size, beside what was drawn.

Kept in `truth/`, outside the DICOM folder; mining never reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

NAN = float("nan")
README = """\
The truth of this synthetic hospital: for scoring only.

Mining must never read this folder; it holds no DICOM. truth.csv: one row a mark, and one row a lesion
present in a study but not marked (marked = False). Coordinates are array coordinates of the stored image
(0-based px, pixel centre at an integer). wrong_on_purpose names the fault of a mark that is to be rejected.
series.csv: the true z (0-1, head to foot) of every slice; slice_index 0 is nearest the head.
"""


@dataclass(frozen=True)
class TruthRow:
    """One mark, or one lesion instance without a mark."""

    patient_id: str
    labelled: bool  # the reader coded the finding sites of this patient
    study_instance_uid: str
    study_date: str  # YYYY-MM-DD
    series_instance_uid: str
    sop_instance_uid: str = ""
    slice_index: int = -1  # of the mark; of the largest section where there is none; -1 not to be seen
    report_kind: str = ""  # SR | GSPS
    report_sop_instance_uid: str = ""
    report_path: str = ""  # relative to the hospital's folder
    tracking_uid: str = ""
    lesion: str = ""  # identity, the same in every study of the patient
    type: str = ""
    organ: str = ""
    z: float = NAN  # true relative z of the lesion's centre, 0-1
    x_px: float = NAN  # true centre on the slice named
    y_px: float = NAN
    x_mm: float = NAN  # true centre in the body's own coordinates
    y_mm: float = NAN
    z_mm: float = NAN
    long_mm: float = NAN  # true diameters on the slice named
    short_mm: float = NAN
    marked: bool = False
    wrong_on_purpose: str = ""
    long_x0: float = NAN  # as drawn
    long_y0: float = NAN
    long_x1: float = NAN
    long_y1: float = NAN
    short_x0: float = NAN
    short_y0: float = NAN
    short_x1: float = NAN
    short_y1: float = NAN


@dataclass(frozen=True)
class SliceRow:
    """The true place of one slice."""

    patient_id: str
    study_instance_uid: str
    series_instance_uid: str
    slice_index: int
    sop_instance_uid: str
    z01: float


def write_rows(path: Path, rows: Sequence[TruthRow] | Sequence[SliceRow], row_type: type) -> None:
    """Write rows as CSV with a fixed number of digits, whole or not at all."""
    frame = pd.DataFrame([asdict(row) for row in rows], columns=[f.name for f in fields(row_type)])
    _write_csv(frame, path)


def merge_tables(parts: Sequence[Path], path: Path) -> pd.DataFrame:
    """Concatenate the patients' tables in the order given, write them to `path` and return the whole."""
    frame = pd.concat([read_table(part) for part in parts], ignore_index=True)
    _write_csv(frame, path)
    return frame


def read_table(path: Path) -> pd.DataFrame:
    """Read `truth.csv` or `series.csv`; empty text stays "", UIDs and dates stay text."""
    kinds = {f.name: f.type for row_type in (TruthRow, SliceRow) for f in fields(row_type)}
    text = {name: str for name, kind in kinds.items() if kind == "str"}
    return pd.read_csv(
        path,
        dtype=text,
        keep_default_na=False,
        na_values={name: [""] for name, kind in kinds.items() if kind == "float"},
    )


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    frame.to_csv(part, index=False, float_format="%.5f", lineterminator="\n")
    part.replace(path)
