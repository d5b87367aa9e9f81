"""Folders of DICOM → the real patients that can carry grafted lesions, and why the others cannot."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from lesiongraph.errors import UsageError
from lesiongraph.imaging import canonical_view
from lesiongraph.lesion import KEPT
from lesiongraph.mining import mine_sources, open_series
from lesiongraph.phantom.grafting.public_sets import Licence, licence_of

Progress = Callable[[str, int, int], None]
FEWEST_SLICES = 12
WIDEST_INTERVAL_MM = 10.5


@dataclass(frozen=True)
class BackgroundSeries:
    """One CT series to graft into: its catalogue rows, and the marks of lesions it is known to hold."""

    background: str  # the real patient
    series: Mapping[str, object]
    slices: pd.DataFrame
    known: pd.DataFrame  # kept LESIONS rows on it
    folder: Path  # of its images

    @property
    def uid(self) -> str:
        """Series Instance UID."""
        return str(self.series["series_instance_uid"])


@dataclass(frozen=True)
class LeftOutSeries:
    """A series that is no background, and why."""

    background: str
    series_instance_uid: str
    reason: str


@dataclass(frozen=True)
class BackgroundVolume:
    """A series in the canonical view; x, y in mm from the first pixel's centre, z is the position."""

    hu: npt.NDArray[np.int16]  # (n, rows, columns)
    pixel_mm: tuple[float, float]  # y, x
    z_mm: npt.NDArray[np.float64]  # (n,) growing towards the feet
    thickness_mm: float


def find_backgrounds(
    folders: Sequence[Path],
    *,
    leave_out: Sequence[str] = (),
    open_licence_only: bool = False,
    smallest_matrix: int = 256,
    progress: Progress | None = None,
) -> tuple[list[BackgroundSeries], list[LeftOutSeries]]:
    """Find the series to graft into.

    Parameters
    ----------
    folders
        Of DICOM.
    leave_out
        Patient ids, or names of folders below `folders`, that shall not be used.
    open_licence_only
        Leave out sets whose licence is not known to be open.
    smallest_matrix
        Least rows and columns.

    Raises
    ------
    UsageError
        If a name in `leave_out` is met nowhere: a misspelt name must not let its set in.
    SourceNotFoundError
        If a folder is absent or holds no DICOM.
    """
    found = mine_sources(folders, progress=progress)
    kept: list[BackgroundSeries] = []
    left: list[LeftOutSeries] = []
    met: set[str] = set()
    for row in found.series.to_dict("records"):
        uid, patient = str(row["series_instance_uid"]), str(row["patient_id"])
        slices = found.slices[found.slices["series_instance_uid"] == uid].sort_values("slice_index")
        names = [patient, *_folders_of(slices, folders)]
        met.update(names)
        reason = _why_not(row, slices, smallest_matrix)
        if open_licence_only and not licence_of(names).is_open:
            reason = f"licence {licence_of(names).name}, not open"
        if set(names) & set(leave_out):
            reason = "left out on request"
        if reason:
            left.append(LeftOutSeries(patient, uid, reason))
            continue
        lesions = found.lesions
        known = lesions[(lesions["series_instance_uid"] == uid) & (lesions["status"] == KEPT)]
        kept.append(BackgroundSeries(patient, row, slices, known, Path(slices["path"].iloc[0]).parent))
    if missing := [name for name in leave_out if name not in met]:
        raise UsageError(
            f"--leave-out {', '.join(missing)}: expected patient ids or folders of the backgrounds, "
            f"found only {', '.join(sorted(met))}. Correct the name."
        )
    return kept, left


def names_of(one: BackgroundSeries) -> list[str]:
    """Return the names under which a licence may be known: patient id and folders, nearest first."""
    return [one.background, *(part.name for part in (one.folder, *one.folder.parents))]


def licence_of_series(one: BackgroundSeries) -> Licence:
    """Return the licence of a background."""
    return licence_of(names_of(one))


def read_volume(one: BackgroundSeries) -> BackgroundVolume:
    """Read all slices of a background, in the canonical view.

    Raises
    ------
    UnreadableImageError, NotCtError
        From the reader.
    """
    stored = open_series(one.series, one.slices).read([int(i) for i in one.slices["slice_index"]])
    hu = canonical_view(stored, bool(one.series["flip_x"]), bool(one.series["flip_y"]))
    interval = float(str(one.series["slice_interval_mm"]))
    stated = float(str(one.series["slice_thickness_mm"]))
    return BackgroundVolume(
        hu=np.clip(hu, -1024, 3071),
        pixel_mm=(float(str(one.series["spacing_y_mm"])), float(str(one.series["spacing_x_mm"]))),
        z_mm=one.slices["position_mm"].to_numpy(float),
        thickness_mm=stated if 0 < stated <= 2 * interval else interval,
    )


def _folders_of(slices: pd.DataFrame, folders: Sequence[Path]) -> list[str]:
    path = Path(str(slices["path"].iloc[0]))
    for folder in folders:
        if path.is_relative_to(folder.absolute()):
            return list(path.relative_to(folder.absolute()).parts[:-1])
    return []


def _why_not(row: Mapping[str, object], slices: pd.DataFrame, smallest_matrix: int) -> str:
    """Return why a series is no background, "" where it is one."""
    number = {name: float(str(row[name])) for name in ("spacing_x_mm", "spacing_y_mm", "slice_interval_mm")}
    if min(int(str(row["rows"])), int(str(row["columns"]))) < smallest_matrix:
        return f"matrix below {smallest_matrix}"
    if not all(math.isfinite(value) and value > 0 for value in number.values()):
        return "spacing unknown"
    if number["slice_interval_mm"] > WIDEST_INTERVAL_MM:
        return f"slice interval above {WIDEST_INTERVAL_MM:g} mm"
    if len(slices) < FEWEST_SLICES:
        return f"fewer than {FEWEST_SLICES} slices"
    return ""
