"""The truth of grafted lesions: the phantom's columns, and from which real patient the pixels come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import pandas as pd

from lesiongraph.phantom.truth import TruthRow, read_table, write_rows

README = """\
The truth of these virtual patients: for scoring only.

Mining must never read this folder; it holds no DICOM. truth.csv: one row a mark, and one row a lesion
present in a study but not marked (marked = False), columns as in the phantom hospital's truth, and:
background (the real patient that the pixels come from), background_series (its Series Instance UID), licence
(of the set that it belongs to), look. z is the packaged SSBR's z of the background at the lesion's height;
x_mm, y_mm, z_mm are the background's coordinates. Virtual patients of one background are not independent:
deal folds by background, leave hits of the same background out of retrieval (phantom.grafting.background_of).
sites.csv: which background offers which tissue, in voxels of the coarse grid; `scored` says no where one real
patient alone offers it: score that type on the phantom. backgrounds.csv: what was used and left out, and why.
unplaced.csv: lesions that were planned and found no site, with the reason at the last try.
series.csv: z of every slice, as above.
"""


@dataclass(frozen=True)
class GraftedRow(TruthRow):
    """One mark, or one lesion instance without a mark, with its background."""

    background: str = ""
    background_series: str = ""
    licence: str = ""
    look: str = ""


@dataclass(frozen=True)
class UnplacedRow:
    """A lesion that was planned and found no site."""

    patient_id: str
    background: str
    type: str
    long_mm: float
    reason: str


@dataclass(frozen=True)
class SiteRow:
    """What one background offers of one type's tissue."""

    type: str
    background: str
    series_instance_uid: str
    licence: str
    voxels: int
    backgrounds_offering: int
    scored: str  # yes | no: one background only


@dataclass(frozen=True)
class BackgroundRow:
    """A series that was looked at."""

    background: str
    series_instance_uid: str
    licence: str
    slices: int
    reason: str  # why left out; "" where used


def grafted_rows(
    rows: Sequence[TruthRow], background: tuple[str, str, str], looks: dict[str, str]
) -> list[GraftedRow]:
    """Add (background, series UID, licence) and each lesion's look to the phantom's rows."""
    return [
        GraftedRow(
            **asdict(row),
            background=background[0],
            background_series=background[1],
            licence=background[2],
            look=looks.get(row.lesion, ""),
        )
        for row in rows
    ]


def write_table(path: Path, rows: Sequence[object], row_type: type) -> None:
    """Write rows of any dataclass as the phantom writes its own: fixed digits, whole or not at all."""
    write_rows(path, cast("Sequence[TruthRow]", rows), row_type)


def merge_text_tables(parts: Sequence[Path], path: Path) -> None:
    """Concatenate CSV files of the same header, byte for byte."""
    lines = [part.read_text(encoding="utf-8").splitlines(keepends=True) for part in parts]
    part_path = path.with_name(path.name + ".part")
    part_path.write_text(
        "".join([lines[0][0], *(line for one in lines for line in one[1:])]), encoding="utf-8"
    )
    part_path.replace(path)


def read_grafted_truth(path: Path) -> pd.DataFrame:
    """Read `truth.csv` of a cohort of grafted lesions; `background` stays text even where it is a number."""
    text = ("background", "background_series", "licence", "look")
    frame = read_table(path)
    names = pd.read_csv(path, usecols=list(text), dtype=str, keep_default_na=False)
    return frame.assign(**{name: names[name] for name in text})


def background_of(truth: pd.DataFrame) -> dict[str, str]:
    """Return the real patient behind each virtual one, for folds and for leaving hits out.

    Parameters
    ----------
    truth : DataFrame
        From `read_grafted_truth`.
    """
    first = truth.drop_duplicates("patient_id")
    return dict(zip(first["patient_id"], first["background"], strict=True))
