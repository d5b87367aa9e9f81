"""The slices of one series, with their positions -> z, how far to trust it, and what looks wrong.

A score from one slice wanders by a few centimetres; the slices of a series know their distances exactly. So
where a series is long enough its scores are refitted by a robust line against position, and a series whose
scores contradict its positions is flagged instead of smoothed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lesiongraph.bodypart.model import SsbrModel
from lesiongraph.bodypart.slices import shows_body

SINGLE = "single slice"
TOO_SHORT = "too short"
LOW_R = "low correlation"
UPSIDE_DOWN = "upside down"
NO_BODY = "no body"
NO_SPACING = "spacing unknown"
ODD_SLOPE = "slope implausible"
OUT_OF_RANGE = "outside trained range"

_SHORT_MM = 60.0  # below this the series cannot tell its own slope
_SHORT_SLICES = 4
_PRIOR_MM = 120.0  # at this length the series' own slope counts as much as the typical one
_LOW_R = 0.8
_SLOPE_FACTOR = 2.0  # a body is not half or twice as long as the typical one
_OUTLIER_MM = 80.0  # so far off the line, the slice itself is odd
_FIT_SLICES = 160  # Theil-Sen looks at every pair; more slices than this are thinned out


@dataclass(frozen=True)
class SeriesScores:
    """What `locate_series` found; arrays have one entry a slice.

    `score` is raw, `z` in (0, 1) comes from the refitted score where a refit was possible, `confidence` is
    0..1, `flag` a text of semicolon-separated remarks ("" means nothing is wrong). `r` is Pearson's between
    position and score, `slope` the rise of the score per mm (both NaN where there is nothing to fit).
    """

    score: NDArray[np.float64]
    z: NDArray[np.float64]
    confidence: NDArray[np.float64]
    flag: NDArray[np.object_]
    r: float
    slope: float


def locate_series(model: SsbrModel, slices: NDArray[np.uint8], position_mm: ArrayLike | None) -> SeriesScores:
    """Locate each slice of one series.

    Parameters
    ----------
    model : SsbrModel
    slices : ndarray, shape (n, 128, 128), uint8
        From `slice_input` with the model's `slice_mode`, head to foot.
    position_mm : array_like, shape (n,), or None
        Growing towards the feet. None, NaN or all equal: the spacing is unknown, each slice stands alone.

    Returns
    -------
    SeriesScores
        confidence = series x slice, where
        series = 0.4 for slices that stand alone; else r^2, halved for an implausible slope, 0.6 for a short
        series, 0.1 if upside down;
        slice = exp(-d^2 / 2) with d the distance from the refitted line in units of 80 mm (by the model's
        typical rise a mm), halved outside the trained range, 0 where no body is seen.

    Source: ours; a robust line per volume is BUSN's idea (facts, section 6).
    """
    score = model.score(slices)
    if len(score) == 0:
        empty = np.empty(0)
        return SeriesScores(score, empty, empty, np.empty(0, object), float("nan"), float("nan"))
    position = _positions(position_mm, len(score))
    body = shows_body(slices)
    if position is None or body.sum() < 2:
        reason = NO_SPACING if position is None and len(score) > 1 else SINGLE
        fit = _SeriesFit(score.copy(), float("nan"), float("nan"), 0.4, (reason,))
    else:
        fit = _fit(score, position, body, model.score_per_mm)
    return _assembled(model, score, fit, body)


@dataclass(frozen=True)
class _SeriesFit:
    fitted: NDArray[np.float64]
    r: float
    slope: float
    trust: float
    flags: tuple[str, ...]


def _positions(position_mm: ArrayLike | None, n: int) -> NDArray[np.float64] | None:
    if position_mm is None:
        return None
    position = np.asarray(position_mm, dtype=np.float64)
    if position.shape != (n,):
        raise ValueError(f"position_mm: expected shape ({n},), got {position.shape}")
    if not np.isfinite(position).all() or (n > 1 and np.ptp(position) == 0):
        return None
    return position


def _fit(
    score: NDArray[np.float64], position: NDArray[np.float64], body: NDArray[np.bool_], typical: float
) -> _SeriesFit:
    """Fit one robust line through the slices that show a body."""
    seen = np.flatnonzero(body)
    span = float(np.ptp(position[seen]))
    if span == 0:
        return _SeriesFit(score.copy(), float("nan"), float("nan"), 0.4, (SINGLE,))
    own, r = theil_sen_slope(position[seen], score[seen]), _r(position[seen], score[seen])
    prior = typical if np.isfinite(typical) else own
    short = span < _SHORT_MM or len(seen) < _SHORT_SLICES
    flags: list[str] = [TOO_SHORT] if short else []
    trust = 0.6 if short else max(r, 0.0) ** 2
    if not short and own < 0:
        flags.append(UPSIDE_DOWN)
        return _SeriesFit(score.copy(), r, own, 0.1, tuple(flags))
    if not short and r < _LOW_R:
        flags.append(LOW_R)
        return _SeriesFit(score.copy(), r, own, trust, tuple(flags))
    if not short and not prior / _SLOPE_FACTOR <= own <= prior * _SLOPE_FACTOR:
        flags.append(ODD_SLOPE)
        return _SeriesFit(score.copy(), r, own, 0.5 * trust, tuple(flags))
    weight = 0.0 if short else span**2 / (span**2 + _PRIOR_MM**2)
    slope = weight * own + (1 - weight) * max(prior, 0.0)
    offset = float(np.median(score[seen] - slope * position[seen]))
    return _SeriesFit(offset + slope * position, r, own, trust, tuple(flags))


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


def _assembled(
    model: SsbrModel, score: NDArray[np.float64], fit: _SeriesFit, body: NDArray[np.bool_]
) -> SeriesScores:
    per_mm = model.score_per_mm if np.isfinite(model.score_per_mm) else abs(fit.slope)
    distance = (score - fit.fitted) / (_OUTLIER_MM * per_mm) if per_mm > 0 else np.zeros(len(score))
    outside = ~model.in_trained_range(score)
    confidence = fit.trust * np.exp(-0.5 * distance**2) * np.where(outside, 0.5, 1.0)
    flags = np.empty(len(score), dtype=object)
    for i in range(len(score)):
        own = ([NO_BODY] if not body[i] else []) + ([OUT_OF_RANGE] if body[i] and outside[i] else [])
        flags[i] = ";".join([*fit.flags, *own])
    return SeriesScores(
        score=score,
        z=model.to_z(fit.fitted),
        confidence=np.where(body, np.clip(confidence, 0.0, 1.0), 0.0),
        flag=flags,
        r=fit.r,
        slope=fit.slope,
    )
