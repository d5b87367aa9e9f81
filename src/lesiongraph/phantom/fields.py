"""Smooth random fields: the noise that bends outlines and mottles organs.

A field is a periodic lattice of random coefficients read through cubic B-splines. On an image grid the
splines are separable, so one slice costs two small matrix products.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
_PERIOD = 32
# Standard deviation of a cubic B-spline sum of unit normals, per dimension (mean of the summed squares).
_SPLINE_STD = float(np.sqrt(151 / 315))


def spline_weights(positions: npt.NDArray[np.floating], period: int = _PERIOD) -> Floats:
    """Return the periodic cubic B-spline weights of positions (n,) in lattice units -> (n, period)."""
    cell = np.floor(positions).astype(int)
    t = positions - cell
    values = np.stack(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1
    )  # (n, 4)
    weights = np.zeros((len(cell), period), np.float32)
    rows = np.arange(len(cell))
    for k in range(4):
        np.add.at(weights, (rows, (cell + k - 1) % period), values[:, k] / 6)
    return weights


@dataclass(frozen=True)
class FieldGrid:
    """The spline weights of one image grid, kept for all slices of a series."""

    along_y: Floats  # (rows, period)
    along_x: Floats  # (columns, period)
    along_z: Floats  # (slices, period)

    @classmethod
    def build(
        cls,
        x_mm: npt.NDArray[np.floating],
        y_mm: npt.NDArray[np.floating],
        z_mm: npt.NDArray[np.floating],
        wavelength_mm: float,
    ) -> FieldGrid:
        """Weights for columns at `x_mm`, rows at `y_mm`, slices at `z_mm`, one lattice step a wavelength."""
        return cls(
            spline_weights(y_mm / wavelength_mm),
            spline_weights(x_mm / wavelength_mm),
            spline_weights(z_mm / wavelength_mm),
        )

    def slice_of(self, lattice: Floats, index: int) -> Floats:
        """Read slice `index` of a lattice (period, period, period) -> (rows, columns), unit variance."""
        plane = np.tensordot(self.along_z[index], lattice, axes=1)
        return np.asarray(self.along_y @ plane @ self.along_x.T, np.float32)


@lru_cache(maxsize=64)
def lattice_of(seed: int, channel: int) -> Floats:
    """Return the random lattice (32, 32, 32) of one patient and channel, scaled for unit field variance."""
    rng = np.random.default_rng([seed, channel])
    shape = (_PERIOD, _PERIOD, _PERIOD)
    return rng.standard_normal(shape, dtype=np.float32) / np.float32(_SPLINE_STD**3)
