"""The PNG slices of a DeepLesion release: which are there, how large they are, their HU.

`Images_png/<series>/<slice>.png`, or `Images_png/<series>_<slice>.png`; each holds uint16 values, HU + 32768.
"""

from __future__ import annotations

import os
import re
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from lesiongraph.errors import NotCtError, UnreadableImageError
from lesiongraph.mining.limits import SIDE_MAX_PX, check_sides

HU_OFFSET = 32768  # facts: HU = stored uint16 − 32768
_FLAT_NAME = re.compile(r"(\d{6}_\d{2}_\d{2})_(\d{1,6})\.png")
_SLICE_NAME = re.compile(r"(\d{1,6})\.png")
_EIGHT_BIT = "8-bit PNG, window "
_WINDOW = re.compile(re.escape(_EIGHT_BIT) + r"(-?[\d.]+) to (-?[\d.]+) HU")


def list_slices(folder: Path, wanted: set[str], counts: Counter[str]) -> pd.DataFrame:
    """Return the PNG files present of the series that the table names, ordered by slice number."""
    found: list[tuple[str, int, str]] = []
    for entry in sorted(os.scandir(folder), key=lambda e: e.name) if folder.is_dir() else ():
        flat = _FLAT_NAME.fullmatch(entry.name)
        if entry.is_dir() and entry.name not in wanted:
            counts["image series without a row in DL_info.csv"] += 1
        elif entry.is_dir():
            found += _numbered_files(entry, counts)
        elif flat and flat[1] in wanted:
            found.append((flat[1], int(flat[2]), entry.path))
        else:
            counts["not a slice image"] += 1
    slices = pd.DataFrame(found, columns=["series_instance_uid", "_number", "path"])
    slices = slices.drop_duplicates(["series_instance_uid", "_number"])  # nested wins over flat
    slices = slices.sort_values(["series_instance_uid", "_number"], ignore_index=True)
    slices["slice_index"] = slices.groupby("series_instance_uid").cumcount()
    slices["sop_instance_uid"] = (
        slices["series_instance_uid"] + "_" + slices["_number"].astype(str).str.zfill(3)
    )
    return slices.assign(frame=0)


def _numbered_files(folder: os.DirEntry[str], counts: Counter[str]) -> list[tuple[str, int, str]]:
    found = []
    for entry in os.scandir(folder):
        match = _SLICE_NAME.fullmatch(entry.name)
        if match:
            found.append((folder.name, int(match[1]), entry.path))
        else:
            counts["not a slice image"] += 1
    return found


def png_header(path: str) -> tuple[int, int, int]:
    """Return (columns, rows, bits a sample) of a greyscale PNG; (0, 0, 0) if not one, cut short or too large.

    Reads 90 bytes, so that a release of 900,000 slices is mined without decoding one; the closing IEND
    chunk is what a truncated file lacks. Source: PNG specification (ISO/IEC 15948), clauses 11.2.2, 11.2.5.
    """
    try:
        with Path(path).open("rb") as stream:
            head = stream.read(26)
            stream.seek(-min(64, os.fstat(stream.fileno()).st_size), os.SEEK_END)
            tail = stream.read()
    except OSError:
        return 0, 0, 0
    if head[:8] != b"\x89PNG\r\n\x1a\n" or head[12:16] != b"IHDR" or b"IEND" not in tail:
        return 0, 0, 0
    columns, rows, bits, colour = struct.unpack(">IIBB", head[16:26])
    usable = colour == 0 and bits in (8, 16) and max(columns, rows) <= SIDE_MAX_PX
    return (columns, rows, bits) if usable else (0, 0, 0)


def eight_bit_flag(windows: pd.Series) -> str:
    """Return the series flag of 8-bit slices: it carries the window that the reader needs to undo.

    `windows` holds the table's DICOM_windows of the series, "low,high"; unless all agree none is carried.
    """
    stated = set(windows) - {""}
    if len(stated) != 1 or stated.copy().pop().count(",") != 1:
        return f"{_EIGHT_BIT}unknown"
    low, high = stated.pop().split(",")
    return f"{_EIGHT_BIT}{low} to {high} HU"


def hu_from_16bit(stored: np.ndarray) -> np.ndarray:
    """Return DeepLesion's 16-bit levels as HU, int16 (facts: stored − 32768)."""
    return (stored.astype(np.int32) - HU_OFFSET).clip(-32768, 32767).astype(np.int16)


def hu_from_8bit(stored: np.ndarray, low_hu: float, high_hu: float) -> np.ndarray:
    """Return an 8-bit picture drawn with the window [low, high] as HU, int16, to within one grey level."""
    hu = np.rint(low_hu + stored / 255.0 * (high_hu - low_hu))
    return hu.clip(-32768, 32767).astype(np.int16)


class PngReader:
    """Reads slices of one DeepLesion series as HU."""

    def __init__(self, paths: Mapping[int, str], window: tuple[float, float] | None) -> None:
        self._paths = dict(paths)
        self._window = window

    def read(self, slice_indices: Sequence[int]) -> np.ndarray:
        """Return (n, rows, columns) int16 HU, stored orientation.

        Raises
        ------
        UnreadableImageError
            If a file is absent, cut short, or of another size than the first.
        NotCtError
            If a PNG is neither 16-bit grey nor 8-bit grey with a known window.
        """
        planes = [self._read_one(self._paths[int(i)]) for i in slice_indices]
        for i, plane in zip(slice_indices, planes, strict=True):
            if plane.shape != planes[0].shape:
                raise UnreadableImageError(
                    self._paths[int(i)], f"size {plane.shape}, its neighbour has {planes[0].shape}"
                )
        return np.stack(planes) if planes else np.zeros((0, 0, 0), np.int16)

    def _read_one(self, path: str) -> np.ndarray:
        try:
            with Image.open(path) as image:
                check_sides(*image.size)
                mode, stored = image.mode, np.asarray(image)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise UnreadableImageError(path, str(error)) from error
        if mode in ("I;16", "I;16B", "I"):
            return hu_from_16bit(stored)
        if mode == "L" and self._window is not None:
            low, high = self._window
            return hu_from_8bit(stored, low, high)
        raise NotCtError(path, f"a PNG of mode {mode} without a known window; DeepLesion's are 16-bit grey")


def open_png(series: Mapping[str, object], slices: pd.DataFrame) -> PngReader:
    """Return the reader of a DeepLesion series (a SERIES row and its SLICES rows)."""
    window = _WINDOW.search(str(series.get("flags", "")))
    return PngReader(
        dict(zip(slices["slice_index"].astype(int), slices["path"].astype(str), strict=True)),
        (float(window[1]), float(window[2])) if window else None,
    )
