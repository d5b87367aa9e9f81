"""The slices of one series, with their positions -> z, how far to trust it, and what looks wrong.

A score from one slice wanders by a few centimetres; the slices of a series know their distances exactly. So
where a series is long enough its scores are refitted by a robust line against position, and a series whose
scores contradict its positions is flagged instead of smoothed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lesiongraph.bodypart.atlas import Atlas
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
GAP = "gap in series"
DUPLICATES = "duplicate positions"
OFF_LINE = "off its series' line"

_SHORT_MM = 60.0  # below this the series cannot tell its own slope
_SHORT_SLICES = 4
_PRIOR_MM = 120.0  # at this length the series' own slope counts as much as the typical one
_LOW_R = 0.8
_SLOPE_FACTOR = 2.0  # a body is not half or twice as long as the typical one
_OUTLIER_MM = 80.0  # so far off the line, the slice itself is odd
_FIT_SLICES = 160  # Theil-Sen looks at every pair; more slices than this are thinned out
_GAP_MM, _GAP_FACTOR = 30.0, 2.1  # more than usual, and more than a thinned-out series leaves
_SAME_MM = 1e-3
_FLAT_LEVELS = 2.0  # grey levels between the 10th and the 90th percentile of what is not air
_MAD_TO_SD = 1.4826
_ALONE = 0.4


@dataclass(frozen=True)
class SeriesScores:
    """What `locate_series` found; arrays have one entry a slice.

    Attributes
    ----------
    score : ndarray, shape (n,)
        Raw.
    z : ndarray, shape (n,)
        In (0, 1): from the refitted score where a refit was possible.
    z_sd : ndarray, shape (n,)
        Expected error of z (one standard deviation, `uncertainty.ZError`); NaN without an atlas, where no
        body is seen and beyond the range the atlas knows: there nothing was measured.
    confidence : ndarray, shape (n,)
        0..1.
    body : ndarray, shape (n,), bool
        Whether the slice shows a body.
    flag : ndarray of str, shape (n,)
        Semicolon-separated remarks, "" means that nothing is wrong.
    r : float
        Pearson's, between position and score.
    slope : float
        Rise of the score per mm.
    residual_mm : float
        Robust standard deviation of the scores about their line, in mm along the body.
    span_mm : float
        Length of what shows a body.
    flags : tuple of str
        The remarks that hold for the whole series.

    r, slope, residual and span are NaN where there is nothing to fit.
    """

    score: NDArray[np.float64]
    z: NDArray[np.float64]
    z_sd: NDArray[np.float64]
    confidence: NDArray[np.float64]
    body: NDArray[np.bool_]
    flag: NDArray[np.object_]
    r: float
    slope: float
    residual_mm: float
    span_mm: float
    flags: tuple[str, ...]


def locate_series(
    model: SsbrModel,
    slices: NDArray[np.uint8],
    position_mm: ArrayLike | None,
    atlas: Atlas | None = None,
) -> SeriesScores:
    """Locate each slice of one series.

    Parameters
    ----------
    model : SsbrModel
    slices : ndarray, shape (n, 128, 128), uint8
        From `slice_input` with the model's `slice_mode`, head to foot.
    position_mm : array_like, shape (n,), or None
        Growing towards the feet. None, NaN or all equal: the spacing is unknown, each slice stands alone.
    atlas : Atlas, optional
        Of this model (`Atlas.for_model`): gives the expected error and the range in which z means a place.

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
    return locate_scores(model, model.score(slices), shows_patient(slices), position_mm, atlas)


def locate_scores(
    model: SsbrModel,
    score: NDArray[np.float64],
    body: NDArray[np.bool_],
    position_mm: ArrayLike | None,
    atlas: Atlas | None = None,
) -> SeriesScores:
    """Locate slices that were scored before: `locate_series` without the network.

    Parameters
    ----------
    score : ndarray, shape (n,)
    body : ndarray, shape (n,), bool
        From `shows_patient`.
    model, position_mm, atlas
        As for `locate_series`.
    """
    position = _positions(position_mm, len(score))
    if position is None or body.sum() < 2:
        reason = NO_SPACING if position is None and len(score) > 1 else SINGLE
        fit = _Fit(score.copy(), trust=_ALONE, flags=(reason,) if len(score) else ())
    else:
        fit = _fit(score, position, body, model.score_per_mm)
    return _assembled(model, score, fit, body, atlas)


def shows_patient(slices: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tell which inputs (n, size, size) show something like a body: not air, not one even grey."""
    shown = shows_body(slices)
    for i in np.flatnonzero(shown):
        grey = slices[i, ::2, ::2]
        low, high = np.quantile(grey[grey > 0], [0.1, 0.9])
        shown[i] = high - low >= _FLAT_LEVELS
    return shown


@dataclass(frozen=True)
class _Fit:
    """The line through a series. `alone`: z is each slice's own, not the line's."""

    fitted: NDArray[np.float64]
    trust: float
    flags: tuple[str, ...]
    r: float = float("nan")
    slope: float = float("nan")
    residual: float = float("nan")  # in score
    span_mm: float = float("nan")
    alone: bool = True


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
) -> _Fit:
    """Fit one robust line through the slices that show a body."""
    seen = np.flatnonzero(body)
    span = float(np.ptp(position[seen]))
    if span == 0:
        return _Fit(score.copy(), trust=_ALONE, flags=(SINGLE,))
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
    alone = _Fit(score.copy(), trust, (fault, *remarks) if fault else remarks, r, own, residual, span)
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
    missing = apart.max() > max(_GAP_MM, _GAP_FACTOR * float(np.median(apart)))
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


def _assembled(
    model: SsbrModel, score: NDArray[np.float64], fit: _Fit, body: NDArray[np.bool_], atlas: Atlas | None
) -> SeriesScores:
    per_mm = model.score_per_mm if np.isfinite(model.score_per_mm) else abs(fit.slope)
    distance = (score - fit.fitted) / (_OUTLIER_MM * per_mm) if per_mm > 0 else np.zeros(len(score))
    z = model.to_z(fit.fitted)
    outside = ~model.in_trained_range(score) | (False if atlas is None else ~atlas.in_range(z))
    confidence = fit.trust * np.exp(-0.5 * distance**2) * np.where(outside, 0.5, 1.0)
    sd = np.full(len(score), np.nan)
    if atlas is not None:
        # a slice alone cannot know its series' scatter, but a series that scatters makes its slices unsure
        sd[:] = atlas.z_sd(0.0 if fit.alone else fit.span_mm, fit.residual * model.z_map.slope)
    flags = np.empty(len(score), dtype=object)
    for i in range(len(score)):
        own = [] if body[i] else [NO_BODY]
        if body[i]:
            own = [OUT_OF_RANGE] * bool(outside[i]) + [OFF_LINE] * bool(abs(distance[i]) > 1)
        flags[i] = ";".join([*fit.flags, *own])
    return SeriesScores(
        score=score,
        z=z,
        z_sd=np.where(body & ~outside, sd, np.nan),
        confidence=np.where(body, np.clip(confidence, 0.0, 1.0), 0.0),
        body=body,
        flag=flags,
        r=fit.r,
        slope=fit.slope,
        residual_mm=fit.residual / per_mm if per_mm > 0 else float("nan"),
        span_mm=fit.span_mm,
        flags=fit.flags,
    )
