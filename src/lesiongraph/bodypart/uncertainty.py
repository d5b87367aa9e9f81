"""How far a z may be off: three constants, fitted to errors against landmarks' mean z in other patients.

Patients that the scoring model was trained on do not count (`atlas_building.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize


@dataclass(frozen=True)
class ErrorSample:
    """One z that was checked against a landmark: `error` in z, what `ZError.sd` is told, and a weight."""

    error: float
    span_mm: float
    residual_z: float
    weight: float = 1.0


@dataclass(frozen=True)
class ZError:
    """The expected error of z (standard deviation, in units of z).

    sd² = level² + (wander · residual / typical)² · memory / (memory + span)

    Two parts. `level` is what no number of slices removes: bodies differ, and a whole series may lie too high
    or too low. `wander` is how far a single slice strays from its series' line; a series of length `span`
    averages it out, the sooner the shorter the `memory` of the stray along the body. A series whose scores
    scatter more (`residual`) than usual (`typical`) is less sure by as much. A slice that stands alone has
    span 0 and the typical residual.

    Attributes
    ----------
    level, wander : float
        In z.
    memory_mm : float
    typical_residual_z : float
        Median residual of the series that the constants were fitted to, in z.
    """

    level: float
    wander: float
    memory_mm: float
    typical_residual_z: float

    def __post_init__(self) -> None:
        values = (self.level, self.wander, self.memory_mm, self.typical_residual_z)
        if not (np.isfinite(values).all() and min(values) > 0):
            raise ValueError(f"error of z: expected four positive numbers, got {self}")

    def sd(self, span_mm: ArrayLike = 0.0, residual_z: ArrayLike = np.nan) -> NDArray[np.float64]:
        """Return the expected error of z for series of these lengths and residuals (NaN: typical)."""
        span = np.nan_to_num(np.asarray(span_mm, dtype=np.float64))
        residual = np.asarray(residual_z, dtype=np.float64)
        ratio = np.where(np.isfinite(residual), residual, self.typical_residual_z) / self.typical_residual_z
        share = self.memory_mm / (self.memory_mm + span)
        return np.sqrt(self.level**2 + (self.wander * ratio) ** 2 * share)


def fit_z_error(samples: Sequence[ErrorSample]) -> ZError:
    """Fit the constants to errors by maximum likelihood of normal errors of mean 0.

    Parameters
    ----------
    samples : sequence of ErrorSample
        Slices alone (span 0) and series of several lengths, of patients that did not set the reference.

    Raises
    ------
    ValueError
        If there are fewer than 30 samples, or none within a series.
    """
    if len(samples) < 30:
        raise ValueError(f"error of z: expected at least 30 samples, got {len(samples)}")
    error, span, residual, weight = np.array(
        [(s.error, s.span_mm, s.residual_z, s.weight) for s in samples], dtype=np.float64
    ).T
    known = residual[np.isfinite(residual) & (residual > 0)]
    if len(known) == 0:
        raise ValueError("error of z: expected some samples within a series, got slices alone")
    typical = float(np.median(known))

    def constants(logs: NDArray[np.float64]) -> ZError:
        level, wander, memory_mm = np.exp(logs)
        return ZError(float(level), float(wander), float(memory_mm), typical)

    def cost(logs: NDArray[np.float64]) -> float:
        sd = constants(logs).sd(span, residual)
        return float(np.average(np.log(sd) + 0.5 * (error / sd) ** 2, weights=weight))

    spread = max(float(np.std(error)), 1e-4)
    start = np.log([0.7 * spread, 0.7 * spread, 60.0])
    bounds = [(np.log(1e-4), np.log(1.0)), (np.log(1e-4), np.log(1.0)), (np.log(2.0), np.log(2000.0))]
    found = optimize.minimize(cost, start, method="Nelder-Mead", bounds=bounds)
    return constants(found.x)
