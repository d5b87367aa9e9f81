"""Images without any marks: a NIfTI volume, a DICOM folder, 8-bit pictures → series and their readers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from lesiongraph.errors import SourceNotFoundError, UnreadableImageError
from lesiongraph.lesion import SERIES, SLICES, conform
from lesiongraph.mining.assemble import series_frame, slices_frame
from lesiongraph.mining.deeplesion_images import hu_from_8bit, hu_from_16bit
from lesiongraph.mining.dicom_scan import DicomArchive
from lesiongraph.mining.nifti import is_nifti, load_nifti, nifti_series
from lesiongraph.mining.readers import SliceReader, open_series

EXPECTED = "a NIfTI file, a DICOM file or folder, a PNG, or a folder of these"
_PICTURES = (".png",)


@dataclass(frozen=True)
class LooseSeries:
    """A series (one SERIES row, its SLICES rows sorted by slice_index) and the reader of its pixels."""

    series: dict[str, object]
    slices: pd.DataFrame
    reader: SliceReader


def open_loose(path: Path, window_hu: tuple[float, float]) -> Iterator[LooseSeries]:
    """Yield the series that a path holds; a picture is a series of one slice.

    Parameters
    ----------
    path : Path
    window_hu : (low, high)
        What black and white of an 8-bit picture stand for.

    Raises
    ------
    SourceNotFoundError
        If the path does not exist or holds no image of a known kind.
    """
    if not path.exists():
        raise SourceNotFoundError(path, EXPECTED)
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    pictures = [file for file in files if file.suffix.lower() in _PICTURES]
    volumes = [file for file in files if is_nifti(file)]
    for picture in pictures:
        yield _picture(picture, window_hu)
    for volume in volumes:
        yield _volume(volume)
    if path.is_dir() or not (pictures or volumes):
        yield from _dicom(path, needed=not (pictures or volumes))


def _picture(path: Path, window_hu: tuple[float, float]) -> LooseSeries:
    series = {"series_instance_uid": path.stem, "kind": "picture", "flip_x": False, "flip_y": False}
    series |= {"spacing_x_mm": math.nan, "spacing_y_mm": math.nan}
    slices = pd.DataFrame(
        [{"series_instance_uid": path.stem, "slice_index": 0, "path": str(path), "frame": 0}]
    )
    return LooseSeries(series, conform(slices, SLICES), PictureReader(path, window_hu))


def _volume(path: Path) -> LooseSeries:
    images = nifti_series(load_nifti(path))
    archive = DicomArchive(series={images.series_instance_uid: images})
    series, slices = series_frame(archive), slices_frame(archive)
    row = {**series.iloc[0].to_dict(), "kind": "nifti"}
    return LooseSeries(row, slices, open_series(row, slices))


def _dicom(path: Path, *, needed: bool) -> Iterator[LooseSeries]:
    try:
        archive = DicomArchive.scan(path)
    except SourceNotFoundError:
        if needed:
            raise SourceNotFoundError(path, EXPECTED) from None
        return
    if needed and not archive.series:
        found = ", ".join(f"{name}: {number}" for name, number in archive.counts.items())
        raise SourceNotFoundError(path, f"{EXPECTED} with CT images (its files: {found})")
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
            raise UnreadableImageError(self._path, str(error)) from error
        # a 16-bit picture is taken for one of DeepLesion's
        hu = hu_from_16bit(stored) if wide else hu_from_8bit(stored, *self._window_hu)
        return np.repeat(hu[None], len(slice_indices), axis=0)
