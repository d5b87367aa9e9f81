"""A series of the catalogue → its pixels in HU, only the slices asked for (PS3.3 C.7.6.3, C.8.2.1)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import pydicom
from pydicom import Dataset
from pydicom.pixels.utils import pixel_array

from lesiongraph.errors import NotCtError, NotFetchedError, UnreadableImageError
from lesiongraph.mining import dicom_values as values
from lesiongraph.mining.deeplesion_images import open_png
from lesiongraph.mining.limits import OwnBytesFile, check_frame, check_inflated
from lesiongraph.mining.nifti import open_nifti

AIR_HU = -1024
HIGHEST_HU = 3071
PADDING_BELOW_HU = -900  # ours: a padding value that would be tissue is not believed


class SliceReader(Protocol):
    """Gives slices of one series in HU."""

    def read(self, slice_indices: Sequence[int]) -> np.ndarray:
        """Return the slices, (n, rows, columns) int16 HU, as stored (not flipped).

        Raises
        ------
        UnreadableImageError
            If a file is gone or its pixels cannot be decoded.
        NotCtError
            If an image is not in HU.
        """
        ...


def open_series(series: Mapping[str, object], slices: pd.DataFrame) -> SliceReader:
    """Return the reader of a series.

    Parameters
    ----------
    series : mapping
        One row of SERIES.
    slices : DataFrame
        Its rows of SLICES, sorted by slice_index.

    Raises
    ------
    ValueError
        If `kind` is none of dicom, deeplesion, nifti.
    """
    kind = series["kind"]
    if kind == "dicom":
        return DicomReader(series, slices)
    if kind == "deeplesion":
        return open_png(series, slices)
    if kind == "nifti":
        return open_nifti(series, slices)
    raise ValueError(f"series kind {kind!r}: expected dicom, deeplesion or nifti")


class DicomReader:
    """Reads slices of a DICOM series, one file (or frame) at a time.

    A slice without a path stayed in the PACS: `NotFetchedError`.
    """

    def __init__(self, series: Mapping[str, object], slices: pd.DataFrame) -> None:
        self._shape = (int(str(series["rows"])), int(str(series["columns"])))
        self._places: dict[int, tuple[str, int]] = {
            int(index): (str(path), int(frame))
            for index, path, frame in zip(slices["slice_index"], slices["path"], slices["frame"], strict=True)
        }

    def read(self, slice_indices: Sequence[int]) -> np.ndarray:
        """Return the slices, (n, rows, columns) int16 HU, as stored."""
        hu = np.empty((len(slice_indices), *self._shape), np.int16)  # (n, rows, columns)
        for place, index in enumerate(slice_indices):
            name, frame = self._places[int(index)]
            if not name:
                raise NotFetchedError(int(index))
            path = Path(name)
            pixels = read_hu(path, frame)
            if pixels.shape != self._shape:
                raise UnreadableImageError(path, f"size {pixels.shape}, its series has {self._shape}")
            hu[place] = pixels
        return hu


def read_hu(path: Path, frame: int = 0) -> np.ndarray:
    """Return one image (or frame) in HU, (rows, columns) int16.

    Raises
    ------
    UnreadableImageError
        If the file is gone or its pixels cannot be decoded.
    NotCtError
        If the image has no rescale to HU.
    """
    try:
        with values.lenient_reading(), warnings.catch_warnings():
            # A decoder that met less data than announced only warns, and fills up with noise.
            warnings.filterwarnings("error", message=".*(missing|less than expected|truncat|corrupt).*")
            check_inflated(path)
            with OwnBytesFile(path) as file:
                dataset = pydicom.dcmread(file)
            check_frame(dataset, frame)
            stored = pixel_array(dataset, index=frame)
    except Exception as cause:  # decoders raise every kind of error on damaged data
        what = " ".join(str(cause).split())[:200] or type(cause).__name__
        raise UnreadableImageError(path, what) from cause
    if stored.ndim != 2:
        raise NotCtError(path, f"an image of {stored.ndim} dimensions")
    return to_hu(stored, dataset, path, frame)


def to_hu(stored: np.ndarray, dataset: Dataset, path: Path, frame: int = 0) -> np.ndarray:
    """Return stored values (rows, columns) as HU, int16, with padding set to air."""
    slope, intercept = _rescale(dataset, frame)
    if not math.isfinite(slope) or not math.isfinite(intercept) or slope == 0:
        raise NotCtError(path, "no rescale slope and intercept")
    if slope == 1 and intercept == int(intercept):
        hu = stored.astype(np.int32) + int(intercept)
    else:
        hu = np.rint(stored * slope + intercept).astype(np.int64).astype(np.int32)
    padding = _padding(stored, dataset, slope, intercept)
    if padding is not None:
        hu[padding] = AIR_HU
    # GE scanners write air below −1024; it is kept as it is, the window clamps it later.
    return np.clip(hu, -32768, 32767).astype(np.int16)


def _rescale(dataset: Dataset, frame: int) -> tuple[float, float]:
    """Return slope and intercept, from the frame's functional group in an enhanced image."""
    holder = dataset
    frames = dataset.get("PerFrameFunctionalGroupsSequence")
    shared = dataset.get("SharedFunctionalGroupsSequence")
    for group in ([frames[frame]] if frames else []) + ([shared[0]] if shared else []):
        transformation = group.get("PixelValueTransformationSequence")
        if transformation:
            holder = transformation[0]
            break
    return values.number(holder, "RescaleSlope"), values.number(holder, "RescaleIntercept")


def _padding(stored: np.ndarray, dataset: Dataset, slope: float, intercept: float) -> np.ndarray | None:
    """Return which pixels are padding, (rows, columns) bool; None where there is none (C.7.5.1.1.2)."""
    first = values.whole(dataset, "PixelPaddingValue", -(2**31))
    if first == -(2**31):
        return None
    last = values.whole(dataset, "PixelPaddingRangeLimit", first)
    bits = values.whole(dataset, "BitsAllocated", 16)
    if values.whole(dataset, "PixelRepresentation", 0) == 1:
        # Some files state the padding value unsigned though their pixels are signed (63536 for −2000).
        first, last = (v - 2**bits if v >= 2 ** (bits - 1) else v for v in (first, last))
    low, high = min(first, last), max(first, last)
    if any(PADDING_BELOW_HU < slope * v + intercept <= HIGHEST_HU for v in (low, high)):
        return None
    return (stored >= low) & (stored <= high)
