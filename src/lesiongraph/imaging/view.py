"""A slice on a coarse grid of a few mm: its air, and where its field of view ends."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lesiongraph.imaging.air import AirLevel, air_level

Mask = NDArray[np.bool_]

COARSE_MM = 2.0
PADDING_HU = -1500  # outside the reconstruction circle scanners write −2000 or −3024, colder than any air


@dataclass(frozen=True)
class CoarseView:
    """What the steps from slice to body share.

    Attributes
    ----------
    hu : (rows, cols) float32
        Block means.
    steps : (y, x)
        Pixels of the slice in one of these.
    pixel_mm : (y, x)
    air : AirLevel
    outside : (rows, cols) bool
        Beyond the reconstruction circle.
    edge : (rows, cols) bool
        Where the image, or the reconstruction circle, ends.
    """

    hu: NDArray[np.float32]
    steps: tuple[int, int]
    pixel_mm: tuple[float, float]
    air: AirLevel
    outside: Mask
    edge: Mask

    @property
    def pixel_mm2(self) -> float:
        """Area of a pixel."""
        return self.pixel_mm[0] * self.pixel_mm[1]


def coarse_view(
    hu: NDArray[np.integer], spacing_mm: tuple[float, float], coarse_mm: float = COARSE_MM
) -> CoarseView:
    """Return the slice on the coarse grid.

    Parameters
    ----------
    hu : (rows, cols) int16, HU
    spacing_mm : (y, x)
    coarse_mm : float
        About what a pixel of the grid shall be.
    """
    steps = (max(1, round(coarse_mm / spacing_mm[0])), max(1, round(coarse_mm / spacing_mm[1])))
    coarse = block_mean(hu, steps)
    outside = _outside(coarse)
    edge = grown(outside)
    edge[[0, -1]] = edge[:, [0, -1]] = True
    pixel_mm = (spacing_mm[0] * steps[0], spacing_mm[1] * steps[1])
    return CoarseView(coarse, steps, pixel_mm, air_level(hu), outside, edge)


def block_mean(values: NDArray[np.integer], steps: tuple[int, int]) -> NDArray[np.float32]:
    """Average blocks of `steps` pixels: less noise, fewer pixels. The edge completes a partial last block."""
    rows, columns = (math.ceil(size / step) * step for size, step in zip(values.shape, steps, strict=True))
    if (rows, columns) != values.shape:
        values = np.pad(values, ((0, rows - values.shape[0]), (0, columns - values.shape[1])), mode="edge")
    total = np.zeros((rows // steps[0], columns // steps[1]), dtype=np.int32)
    for dy in range(steps[0]):
        for dx in range(steps[1]):
            total += values[dy :: steps[0], dx :: steps[1]]
    return (total / np.float32(steps[0] * steps[1])).astype(np.float32)


def _outside(coarse: NDArray[np.float32]) -> Mask:
    """Return the pixels beyond the reconstruction circle, known by their padding."""
    outside = np.asarray(coarse <= PADDING_HU)
    # readers set declared padding to −1024: a round view is then known by its constant corners
    values = coarse[_beyond_circle(coarse.shape[0], coarse.shape[1], 1.0)]
    if values.size and values.min() == values.max():
        outside |= _beyond_circle(coarse.shape[0], coarse.shape[1], 0.5)
    return outside


@lru_cache(maxsize=8)
def _beyond_circle(rows: int, columns: int, spare_px: float) -> Mask:
    """Return what of the image lies outside its inscribed ellipse, with some pixels to spare."""
    down = (np.arange(rows)[:, None] - (rows - 1) / 2) / (rows / 2 + spare_px)
    right = (np.arange(columns)[None, :] - (columns - 1) / 2) / (columns / 2 + spare_px)
    return np.asarray(down**2 + right**2 > 1.0)


def grown(mask: Mask) -> Mask:
    """Return the mask with its 4-neighbours (binary_dilation, many times faster)."""
    result = mask.copy()
    result[1:] |= mask[:-1]
    result[:-1] |= mask[1:]
    result[:, 1:] |= mask[:, :-1]
    result[:, :-1] |= mask[:, 1:]
    return result


def without_holes(mask: Mask) -> Mask:
    """Return the mask with background that does not reach the border filled (binary_fill_holes, faster)."""
    labels, count = ndimage.label(~mask)
    is_open = np.zeros(count + 1, dtype=bool)
    for border in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        is_open[border] = True
    is_open[0] = False  # label 0 is the mask itself
    return np.asarray(~is_open[labels])
