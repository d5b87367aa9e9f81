"""An in-memory slice reader, and a made-up patient in HU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lesiongraph.errors import UnreadableImageError


class ArrayReader:
    """Slices of an array; remembers what was read, and cannot read the `broken` ones."""

    def __init__(self, volume: np.ndarray, broken: Sequence[int] = ()) -> None:
        self.volume = volume  # (slices, rows, cols) int16
        self.broken = set(broken)
        self.reads: list[tuple[int, ...]] = []

    def read(self, slice_indices: Sequence[int]) -> np.ndarray:
        self.reads.append(tuple(slice_indices))
        for index in slice_indices:
            if index in self.broken:
                raise UnreadableImageError(Path(f"{index}.dcm"), "truncated")
        return self.volume[list(slice_indices)]


def series_row(
    spacing_mm: tuple[float, float] = (0.8, 0.8), interval_mm: float = 5.0, **more: object
) -> dict:
    """One SERIES row; spacing (y, x)."""
    return {
        "spacing_y_mm": spacing_mm[0],
        "spacing_x_mm": spacing_mm[1],
        "slice_interval_mm": interval_mm,
        "flip_x": False,
        "flip_y": False,
        **more,
    }


def slice_rows(positions_mm: Sequence[float]) -> pd.DataFrame:
    """SLICES rows at these positions."""
    return pd.DataFrame({"slice_index": range(len(positions_mm)), "position_mm": list(positions_mm)})


def noise_volume(slices: int, rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """Return (slices, rows, columns) int16 noise over the whole range of CT."""
    return np.random.default_rng(seed).integers(-1500, 3000, (slices, rows, columns)).astype(np.int16)


def ellipse(shape: tuple[int, int], centre: tuple[float, float], radii: tuple[float, float]) -> np.ndarray:
    """Return a filled ellipse, (y, x) px."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    return ((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2 <= 1


def room(shape: tuple[int, int] = (400, 400)) -> np.ndarray:
    """Return air with a little noise."""
    return (np.random.default_rng(1).normal(-1000, 12, shape)).astype(np.int16)


def chest(arms: bool = False, table: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Return a slice at 1 mm/px (400, 400) HU and the trunk's true mask."""
    hu = room()
    trunk = ellipse(hu.shape, (190, 200), (100, 150))
    hu[trunk] = 40
    for side in (130, 270):
        hu[ellipse(hu.shape, (185, side), (65, 48))] = -850
    hu[ellipse(hu.shape, (185, 265), (6, 6))] = 20  # a nodule in the patient's left lung
    if arms:
        for side in (25, 375):
            hu[ellipse(hu.shape, (200, side), (28, 20))] = 40
    if table:  # a hollow shell, 4 mm thick, just below the back
        outer = ellipse(hu.shape, (330, 200), (39, 190))
        inner = ellipse(hu.shape, (330, 200), (35, 186))
        hu[outer & ~inner] = 200
        hu[inner] = -960
    return hu, trunk
