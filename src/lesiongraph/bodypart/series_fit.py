"""Scores and positions of one series -> a robust line, and what is wrong with the two."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

SINGLE = "single slice"
TOO_SHORT = "too short"
LOW_R = "low correlation"
UPSIDE_DOWN = "upside down"
NO_SPACING = "spacing unknown"
ODD_SLOPE = "slope implausible"
GAP = "gap in series"
DUPLICATES = "duplicate positions"

_SHORT_MM = 60.0  # below this the series cannot tell its own slope
_SHORT_SLICES = 4
_PRIOR_MM = 120.0  # at this length the series' own slope counts as much as the typical one
_LOW_R = 0.8
_SLOPE_FACTOR = 2.0  # a body is not half or twice as long as the typical one
_FIT_SLICES = 160  # Theil-Sen looks at every pair; more slices than this are thinned out
_GAP_MM, _GAP_FACTOR = 30.0, 2.1  # more than usual, and more than a thinned-out series leaves
_SAME_MM = 1e-3
_MAD_TO_SD = 1.4826
_ALONE = 0.4


@dataclass(frozen=True)
class SeriesFit:
    """The line through a series.

    `fitted` (n,) scores on the line, or the slices' own where `alone`; `trust` 0..1; `flags` of the whole
    series; `r`, `slope` (score a mm), `residual` (robust standard deviation, in score) and `span_mm`.
    """

    fitted: NDArray[np.float64]
    trust: float
    flags: tuple[str, ...]
    r: float = float("nan")
    slope: float = float("nan")
    residual: float = float("nan")  # in score
    span_mm: float = float("nan")
    alone: bool = True


def unfitted(score: NDArray[np.float64], body: NDArray[np.bool_], *, placed: bool) -> SeriesFit:
    """Slices that stand alone: one, one that shows a body, or (not `placed`) several at unknown places."""
    reason: tuple[str, ...] = (SINGLE,) if len(score) == 1 or body.any() else ()
    if len(score) > 1 and not placed:
        reason = (NO_SPACING,)
    return SeriesFit(score.copy(), trust=_ALONE, flags=reason)


def usable_positions(position_mm: ArrayLike | None, n: int) -> NDArray[np.float64] | None:
    """Return positions (n,) in mm, None where they are missing, no numbers or all equal."""
    if position_mm is None:
        return None
    position = np.asarray(position_mm, dtype=np.float64)
    if position.shape != (n,):
        raise ValueError(f"position_mm: expected shape ({n},), got {position.shape}")
    if not np.isfinite(position).all() or (n > 1 and np.ptp(position) <= _SAME_MM):
        return None
    return position


def fit_line(
    score: NDArray[np.float64], position: NDArray[np.float64], body: NDArray[np.bool_], typical: float
) -> SeriesFit:
    """Fit one robust line through the slices that show a body."""
    seen = np.flatnonzero(body)
    span = float(np.ptp(position[seen]))
    if span <= _SAME_MM:
        return SeriesFit(score.copy(), trust=_ALONE, flags=(SINGLE,))
    own, r = theil_sen_slope(position[seen], score[seen]), _r(position[seen], score[seen])
    own_line = own * position[seen]
    off = score[seen] - own_line - np.median(score[seen] - own_line)
    residual = _MAD_TO_SD * float(np.median(np.abs(off)))
    remarks = _about_positions(position[seen])
    short = span < _SHORT_MM or len(seen) < _SHORT_SLICES
    prior = typical if np.isfinite(typical) else own
    fault, trust = "", 0.6 if short else max(r, 0.0) ** 2
    if short:
        remarks = (TOO_SHORT, *remarks)
    elif r <= -_LOW_R:
        fault, trust = UPSIDE_DOWN, 0.1
    elif r < _LOW_R:
        fault = LOW_R
    elif not prior / _SLOPE_FACTOR <= own <= prior * _SLOPE_FACTOR:
        fault, trust = ODD_SLOPE, 0.5 * trust
    alone = SeriesFit(score.copy(), trust, (fault, *remarks) if fault else remarks, r, own, residual, span)
    if fault:
        return alone
    weight = 0.0 if short else span**2 / (span**2 + _PRIOR_MM**2)
    slope = weight * own + (1 - weight) * max(prior, 0.0)
    offset = float(np.median(score[seen] - slope * position[seen]))
    return replace(alone, fitted=offset + slope * position, alone=False)


def _about_positions(position: NDArray[np.float64]) -> tuple[str, ...]:
    """Say what is odd about the distances of neighbouring slices."""
    gaps = np.diff(np.sort(position))
    apart = gaps[gaps > _SAME_MM]
    missing = len(apart) > 0 and apart.max() > max(_GAP_MM, _GAP_FACTOR * float(np.median(apart)))
    return ((GAP,) if missing else ()) + ((DUPLICATES,) if len(apart) < len(gaps) else ())


def theil_sen_slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Median slope over all pairs of points with different x; up to 29 % of the points may be wrong.

    Parameters
    ----------
    x, y : ndarray, shape (n,)
        Not all x equal. Long series are thinned to 160 points spread over their length.
    """
    if len(x) > _FIT_SLICES:
        chosen = np.linspace(0, len(x) - 1, _FIT_SLICES).round().astype(int)
        x, y = x[chosen], y[chosen]
    first, second = np.triu_indices(len(x), 1)
    run = x[second] - x[first]
    use = run != 0
    return float(np.median((y[second] - y[first])[use] / run[use]))


def _r(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan") if len(x) < 3 else 0.0
    return float(np.corrcoef(x, y)[0, 1])
