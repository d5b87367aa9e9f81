"""The slices of one series, with their positions -> z, how far to trust it, and what looks wrong.

A score from one slice wanders by a few centimetres; the slices of a series know their distances exactly. So
where a series is long enough its scores are refitted by a robust line against position, and a series whose
scores contradict its positions is flagged instead of smoothed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lesiongraph.bodypart.atlas import Atlas
from lesiongraph.bodypart.cross_section import CrossSection
from lesiongraph.bodypart.model import SsbrModel
from lesiongraph.bodypart.series_fit import SeriesFit, fit_line, unfitted, usable_positions
from lesiongraph.bodypart.slices import shows_body

NO_BODY = "no body"
OUT_OF_RANGE = "outside trained range"
OFF_LINE = "off its series' line"
HEAD = "head"
NARROW = "too narrow for its z"
NO_TRUNK = "head, neck or limb only"
SMALL_VIEW = "small part of the body in view"
_OUTLIER_MM = 80.0  # so far off the line, the slice itself is odd
_FLAT_LEVELS = 2.0  # grey levels between the 10th and the 90th percentile of what is not air
_NO_TRUNK_SHARE = 0.8  # of the slices that could be measured
_BORDER_MM = 30.0  # so near a border of the trunk, a narrow slice may belong beyond it
_TRUNK = ("chest", "abdomen", "pelvis")


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
    sections: Sequence[CrossSection] | None = None,
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
    sections : sequence of CrossSection, optional
        From `cross_section` of each slice: tells heads and limbs, which the scores cannot.

    Returns
    -------
    SeriesScores
        confidence = series x slice, where
        series = 0.4 for slices that stand alone; else r^2, halved for an implausible slope, 0.6 for a short
        series, 0.1 if upside down; halved where hardly a slice is as wide as a trunk;
        slice = exp(-d^2 / 2) with d the distance from the refitted line in units of 80 mm (by the model's
        typical rise a mm), halved outside the trained range or in a small view, 0.1 of it for a head or a
        slice too narrow for its z, 0 where no body is seen.

    Source: ours; a robust line per volume is BUSN's idea (facts, section 6).
    """
    found = locate_scores(model, model.score(slices), shows_patient(slices), position_mm, atlas)
    return found if sections is None else _with_sections(found, sections, atlas)


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
    position = usable_positions(position_mm, len(score))
    if position is None or body.sum() < 2:
        fit = unfitted(score, body, placed=position is not None)
    else:
        fit = fit_line(score, position, body, model.score_per_mm)
    return _assembled(model, score, fit, body, atlas)


def shows_patient(slices: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tell which inputs (n, size, size) show something like a body: not air, not one even grey."""
    shown = shows_body(slices)
    for i in np.flatnonzero(shown):
        grey = slices[i, ::2, ::2]
        low, high = np.quantile(grey[grey > 0], [0.1, 0.9])
        shown[i] = high - low >= _FLAT_LEVELS
    return shown


def _assembled(
    model: SsbrModel, score: NDArray[np.float64], fit: SeriesFit, body: NDArray[np.bool_], atlas: Atlas | None
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


def _with_sections(
    found: SeriesScores, sections: Sequence[CrossSection], atlas: Atlas | None
) -> SeriesScores:
    """Flag heads, limbs and small views, which a regressor trained on trunks scores all the same."""
    if len(sections) != len(found.z):
        raise ValueError(f"sections: expected {len(found.z)}, got {len(sections)}")
    head, small = (np.array([getattr(s, name) for s in sections], bool) for name in ("head", "small_view"))
    measured = found.body & np.array([s.measured for s in sections], bool)
    narrow = np.array([s.narrow for s in sections], bool) & found.body
    wrong_place = narrow & (np.zeros(len(narrow), bool) if atlas is None else _in_trunk(found.z, atlas))
    no_trunk = measured.any() and narrow.sum() >= _NO_TRUNK_SHARE * max(measured.sum(), found.body.sum() / 2)
    remarks = [(HEAD, head & found.body), (NARROW, wrong_place & ~head), (SMALL_VIEW, small & found.body)]
    series = (NO_TRUNK,) if no_trunk else ()
    flag = np.empty(len(found.flag), object)
    for i, text in enumerate(found.flag):
        flag[i] = ";".join(filter(None, [*series, text, *(name for name, at in remarks if at[i])]))
    lost = (head | wrong_place) & found.body
    factor = np.where(lost, 0.1, np.where(small, 0.5, 1.0)) * (0.5 if no_trunk else 1.0)
    return replace(
        found,
        z_sd=np.where(lost, np.nan, found.z_sd),
        confidence=found.confidence * factor,
        flag=flag,
        flags=(*series, *found.flags),
    )


def remarked(found: SeriesScores, remark: str) -> SeriesScores:
    """Return the scores with one more remark on the whole series; "" changes nothing."""
    if not remark:
        return found
    flag = np.empty(len(found.flag), object)
    flag[:] = [";".join(filter(None, [remark, text])) for text in found.flag]
    return replace(found, flag=flag, flags=(remark, *found.flags))


def place_names(found: SeriesScores, atlas: Atlas) -> list[tuple[str, str]]:
    """Name region and nearest landmark of each slice, as far as its z means a place.

    z knows no heads and no limbs: a slice within a skull is "head", and one too narrow for the trunk that its
    z says is nowhere.
    """
    names = []
    for z, text in zip(found.z, found.flag, strict=True):
        remarks, region = set(str(text).split(";")), atlas.region(z)
        if HEAD in remarks:
            names.append(("head", ""))
        elif NARROW in remarks or (NO_TRUNK in remarks and region in _TRUNK):
            names.append(("", ""))
        else:
            names.append((region, str(atlas.nearest_landmark(z) or "")))
    return names


def _in_trunk(z: NDArray[np.float64], atlas: Atlas) -> NDArray[np.bool_]:
    """Tell which z lie in the trunk, 3 cm and more from its ends."""
    trunk = [region for region in atlas.regions if region.name in _TRUNK]
    margin = _BORDER_MM * atlas.z_per_mm
    return np.asarray((z > trunk[0].z_from + margin) & (z < trunk[-1].z_to - margin))
