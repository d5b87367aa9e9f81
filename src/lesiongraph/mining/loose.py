"""Images without any marks: a NIfTI volume, a DICOM folder, 8-bit pictures → series and their readers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from lesiongraph.errors import NotCtError, SourceNotFoundError, UnreadableImageError
from lesiongraph.lesion import SERIES, SLICES, conform
from lesiongraph.mining.assemble import series_frame, slices_frame
from lesiongraph.mining.deeplesion_images import hu_from_8bit, hu_from_16bit
from lesiongraph.mining.dicom_header import MARK_MODALITIES
from lesiongraph.mining.dicom_scan import DicomArchive
from lesiongraph.mining.nifti import (
    NiftiReader,
    check_ct,
    is_nifti,
    load_nifti,
    nifti_series,
)
from lesiongraph.mining.readers import SliceReader, open_series

EXPECTED = "a NIfTI file, a DICOM file or folder, a PNG, or a folder of these"
_PICTURES = (".png",)
# Counts of a scan that are no reason to leave an image out
_NO_REASONS = {"files read", "CT images", "CT series", "the same object again", *MARK_MODALITIES}
_NO_REASONS |= {"not DICOM", "DICOM directory", "empty file"}


@dataclass(frozen=True)
class LooseSeries:
    """A series (one SERIES row, its SLICES rows sorted by slice_index) and the reader of its pixels."""

    series: dict[str, object]
    slices: pd.DataFrame
    reader: SliceReader


def open_loose(
    path: Path,
    window_hu: tuple[float, float],
    left_out: Counter[str] | None = None,
    named: list[NotCtError | UnreadableImageError] | None = None,
) -> Iterator[LooseSeries]:
    """Yield the series that a path holds; a picture is a series of one slice.

    Parameters
    ----------
    path : Path
    window_hu : (low, high)
        What black and white of an 8-bit picture stand for.
    left_out : Counter, optional
        Filled with why files were left out: not CT, a scout, damaged.
    named : list, optional
        Filled with the NIfTI files that were left out, each as the error that says what is wrong with it.

    Raises
    ------
    SourceNotFoundError
        If the path does not exist or holds no image of a known kind.
    NotCtError, UnreadableImageError
        If it holds images, but none of them is CT that can be read.
    """
    if not path.exists():
        raise SourceNotFoundError(path, EXPECTED)
    left_out = Counter() if left_out is None else left_out
    causes = [] if named is None else named
    found = 0
    for series in _all(path, window_hu, left_out, causes):
        found += 1
        yield series
    if not found and causes:
        raise causes[0]


def _all(
    path: Path,
    window_hu: tuple[float, float],
    left_out: Counter[str],
    causes: list[NotCtError | UnreadableImageError],
) -> Iterator[LooseSeries]:
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    pictures = [file for file in files if file.suffix.lower() in _PICTURES]
    volumes = [file for file in files if is_nifti(file)]
    for picture in pictures:
        yield _picture(picture, window_hu)
    for volume in volumes:
        try:
            yield _volume(volume)
        except (NotCtError, UnreadableImageError) as cause:
            causes.append(cause)
            left_out[_reason(cause)] += 1
    if path.is_dir() or not (pictures or volumes):
        yield from _dicom(path, left_out, causes, needed=not (pictures or volumes))


def _reason(cause: NotCtError | UnreadableImageError) -> str:
    return f"not CT ({cause.found})" if isinstance(cause, NotCtError) else f"unreadable: {cause.cause}"


def _picture(path: Path, window_hu: tuple[float, float]) -> LooseSeries:
    series = {"series_instance_uid": path.stem, "kind": "picture", "flip_x": False, "flip_y": False}
    series |= {"spacing_x_mm": math.nan, "spacing_y_mm": math.nan}
    slices = pd.DataFrame(
        [{"series_instance_uid": path.stem, "slice_index": 0, "path": str(path), "frame": 0}]
    )
    return LooseSeries(series, conform(slices, SLICES), PictureReader(path, window_hu))


def _volume(path: Path) -> LooseSeries:
    volume = load_nifti(path, spacing_needed=False)
    check_ct(volume)
    images = nifti_series(volume)
    archive = DicomArchive(series={images.series_instance_uid: images})
    series, slices = series_frame(archive), slices_frame(archive)
    if volume.axes[0] in volume.lost_axes:
        slices["position_mm"] = math.nan
    row = {**series.iloc[0].to_dict(), "kind": "nifti"}
    for axis, name in zip(volume.axes[1:], ("spacing_y_mm", "spacing_x_mm"), strict=True):
        if axis in volume.lost_axes:  # the mended affine has 1 mm there, which nobody measured
            row[name] = math.nan
    frames = dict(zip(slices["slice_index"].astype(int), slices["frame"].astype(int), strict=True))
    return LooseSeries(row, slices, NiftiReader(volume, frames, checked=True))


def _dicom(
    path: Path,
    left_out: Counter[str],
    causes: list[NotCtError | UnreadableImageError],
    *,
    needed: bool,
) -> Iterator[LooseSeries]:
    try:
        archive = DicomArchive.scan(path)
    except SourceNotFoundError:
        if needed:
            raise SourceNotFoundError(path, EXPECTED) from None
        return
    reasons = Counter({name: n for name, n in archive.counts.items() if n and name not in _NO_REASONS})
    left_out.update(reasons)
    if needed and not archive.series:
        listed = ", ".join(
            f"{name.removeprefix('not CT (').removesuffix(')')} ({number} file{'s' * (number > 1)})"
            for name, number in reasons.most_common()
        )
        if any(name.startswith(("not CT", "scout", "not in HU")) for name in reasons):
            causes.append(NotCtError(path, listed))
            return
        raise SourceNotFoundError(path, f"{EXPECTED} with CT images (its files: {listed or 'no images'})")
    series, slices = series_frame(archive), slices_frame(archive)
    for row in conform(series, SERIES).to_dict("records"):
        own = slices[slices.series_instance_uid == row["series_instance_uid"]].sort_values("slice_index")
        named = {str(name): value for name, value in row.items()}
        yield LooseSeries(named, own, open_series(named, own))


class PictureReader:
    """Reads one picture: 8-bit grey through its window, 16-bit grey as DeepLesion stores it."""

    def __init__(self, path: Path, window_hu: tuple[float, float]) -> None:
        self._path = path
        self._window_hu = window_hu

    def read(self, slice_indices: Sequence[int]) -> np.ndarray:
        """Return the picture once for each index, (n, rows, columns) int16 HU.

        Raises
        ------
        UnreadableImageError
            If the file cannot be decoded.
        """
        try:
            with Image.open(self._path) as image:
                wide = image.mode.startswith("I")
                stored = np.asarray(image if wide else image.convert("L"))
        except (OSError, SyntaxError, ValueError) as error:
            # without the path, so that equal causes are counted together
            cause = str(error).replace(f" {str(self._path)!r}", "")
            raise UnreadableImageError(self._path, cause) from error
        # a 16-bit picture is taken for one of DeepLesion's
        hu = hu_from_16bit(stored) if wide else hu_from_8bit(stored, *self._window_hu)
        return np.repeat(hu[None], len(slice_indices), axis=0)
