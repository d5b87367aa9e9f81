"""A region on one slice, as mask or contour → its RECIST diameters.

The long axis is the longest line between two points of the region's outline; the short axis is the longest
line perpendicular to it that crosses it and has both ends on the outline (RECIST 1.1). Lengths are compared
in mm, so that pixels need not be square. Holes do not count: a reader measures across a necrosis.

Where a mask's outline runs: through the middle of the sides between pixels inside and outside, which is
where a linear interpolation of the mask crosses one half. A row of n pixels is thus n px long, a single
pixel 1 px. Measured on ellipses 6–40 px long in any direction: the long axis comes out −0.1 to +0.8 px, the
short one 0 to +0.3 px; pixel centres would give −1.0 to −0.1, pixel corners +0.3 to +1.1 px.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist
from skimage.measure import find_contours

from lesiongraph.lesion import Axis, RecistMark, Spacing
from lesiongraph.mining.limits import POINTS_MAX

_SECTIONS_MAX = 400  # sections tried across the long axis: finer than 1 px up to 400 px
_CELLS_MAX = 1 << 22  # sections × points held at once
_HULL_MAX = 2000  # corners of a hull whose pairs are all compared
_NUDGE = 1e-6  # share of the long axis: a section through a vertex itself is ambiguous


def mask_outlines(mask: np.ndarray) -> list[np.ndarray]:
    """Return the outlines of a mask's 8-connected pieces (holes among them), each (N, 2): x, y px."""
    rows, columns = np.nonzero(mask)
    if len(rows) == 0:
        return []
    top, left = int(rows.min()), int(columns.min())
    piece = np.pad(np.asarray(mask[top : rows.max() + 1, left : columns.max() + 1], float), 1)
    rings = find_contours(np.where(piece > 0, 1.0, 0.0), 0.5, fully_connected="high")  # type: ignore[no-untyped-call]
    return [ring[:-1, ::-1] + np.array([left - 1, top - 1]) for ring in rings]


def mask_diameters(mask: np.ndarray, spacing: Spacing) -> RecistMark | None:
    """Return the diameters of the piece of a mask with the longest axis; None for an empty mask.

    Parameters
    ----------
    mask : (rows, columns) array
        True or non-zero inside the region.
    spacing : Spacing
        Of the slice, mm.

    Source: paper Sec. 3; RECIST 1.1 (Eisenhauer et al. 2009) for the two diameters.
    """
    marks = [polygon_diameters(outline, spacing) for outline in mask_outlines(mask)]
    return max(marks, key=lambda mark: mark.long_axis.length_mm(spacing), default=None)


def polygon_diameters(points_px: np.ndarray, spacing: Spacing) -> RecistMark:
    """Return the diameters of a closed contour.

    Parameters
    ----------
    points_px : (N, 2) array
        x, y in array coordinates (px), N ≥ 1; the last point joins the first. Of more than POINTS_MAX
        points, which lie hundreds to a pixel, every second (third …) is used.
    spacing : Spacing
        Of the slice, mm.

    Returns
    -------
    RecistMark
        With axes of length 0 where the contour encloses nothing: `place_axes` rejects those.
    """
    scale = np.array([spacing.x_mm, spacing.y_mm])
    points = np.asarray(points_px, float).reshape(-1, 2)
    points = points[:: -(-len(points) // POINTS_MAX)] * scale  # (N, 2) mm
    start, end = _farthest_pair(points)
    long_mm = float(np.hypot(*(end - start)))
    if long_mm == 0:
        return _mark(start, start, start, start, scale)
    along = (end - start) / long_mm
    across = np.array([-along[1], along[0]])
    local = np.stack([(points - start) @ along, (points - start) @ across], axis=1)  # (N, 2) mm
    where, low, high = _longest_section(local, long_mm)
    foot = start + where * along
    return _mark(start, end, foot + low * across, foot + high * across, scale)


def _mark(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray, scale: np.ndarray) -> RecistMark:
    a, b, c, d = (point / scale for point in (a, b, c, d))
    return RecistMark(
        Axis(float(a[0]), float(a[1]), float(b[0]), float(b[1])),
        Axis(float(c[0]), float(c[1]), float(d[0]), float(d[1])),
    )


def _farthest_pair(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the two points farthest from each other; of equals the first pair in the order of the points."""
    try:
        points = points[np.sort(ConvexHull(points).vertices)]
    except (QhullError, ValueError):  # fewer than three points, or all on one line
        points = np.unique(points, axis=0)
    if len(points) < 2:
        return points[0], points[0]
    if len(points) > _HULL_MAX:
        points = _extreme(points)
    # Rounded to a nanometre, so that a tie is a tie and the choice does not hang on the last bit.
    pair = int(np.argmax(np.round(pdist(points), 6)))
    i, j = np.triu_indices(len(points), 1)
    return points[i[pair]], points[j[pair]]


def _extreme(points: np.ndarray) -> np.ndarray:
    """Return the points that lie outermost in one of `_HULL_MAX` directions: any two ends within 2e-6."""
    angles = np.linspace(0, 2 * math.pi, _HULL_MAX, endpoint=False)
    outermost = {int(np.argmax(points @ (math.cos(a), math.sin(a)))) for a in angles}
    return points[sorted(outermost)]


def _longest_section(local: np.ndarray, long_mm: float) -> tuple[float, float, float]:
    """Return (where, low, high): the longest stretch inside the contour across the long axis, mm.

    `local` is the contour with the long axis on the first coordinate from 0 to `long_mm`. The length of a
    section is linear between vertices, so the longest one passes (next to) a vertex.
    """
    tries = np.unique(np.round(local[:, 0], 9))
    if len(tries) > _SECTIONS_MAX:
        tries = np.linspace(0, long_mm, _SECTIONS_MAX)
    nudge = _NUDGE * long_mm
    tries = np.concatenate([tries - nudge, tries + nudge])
    tries = tries[(tries > 0) & (tries < long_mm)]
    best = (long_mm / 2, 0.0, 0.0)
    at_once = max(1, _CELLS_MAX // len(local))
    for start in range(0, len(tries), at_once):
        some = tries[start : start + at_once]
        for where, height in zip(some, _crossings(local, some), strict=True):
            low, high = _stretch_over_zero(np.sort(height[np.isfinite(height)]))
            if high - low > best[2] - best[1] + 1e-9:
                best = (float(where), low, high)
    return best


def _crossings(local: np.ndarray, tries: np.ndarray) -> np.ndarray:  # (T, N), NaN where none
    """Return at which height each section crosses each side of the contour."""
    a, b = local, np.roll(local, -1, axis=0)
    where = tries[:, None]
    crossed = (a[:, 0] <= where) != (b[:, 0] <= where)
    run = np.where(crossed, b[:, 0] - a[:, 0], 1.0)
    heights = a[:, 1] + (where - a[:, 0]) * (b[:, 1] - a[:, 1]) / run
    return np.where(crossed, heights, math.nan)


def _stretch_over_zero(heights: np.ndarray) -> tuple[float, float]:
    """Of the stretches inside the contour (even–odd) return the one that meets the long axis, or (0, 0)."""
    for low, high in zip(heights[0::2], heights[1::2], strict=False):
        if low <= _NUDGE and high >= -_NUDGE:
            return float(low), float(high)
    return 0.0, 0.0
