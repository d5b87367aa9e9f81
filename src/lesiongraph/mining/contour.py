"""A contour on a slice → the two RECIST diameters of its outline."""

from __future__ import annotations

import numpy as np

from lesiongraph.lesion import Axis


def contour_axes(points: np.ndarray, spacing_x_mm: float, spacing_y_mm: float) -> tuple[Axis, Axis] | None:
    """Return the longest chord of a polygon and the longest chord inside it perpendicular to that one.

    Parameters
    ----------
    points : (N, 2) float
        Vertices (x, y) in array coordinates (px), in order; the polygon is closed.
    spacing_x_mm, spacing_y_mm : float
        Pixel spacing: "longest" and "perpendicular" are meant in mm.

    Returns
    -------
    tuple of Axis or None
        Long and short axis in px; None where the polygon has no area.

    Source
    ------
    RECIST 1.1 (Eisenhauer et al. 2009): longest diameter, and the longest one perpendicular to it.
    """
    spacing = np.array([spacing_x_mm, spacing_y_mm])
    corners = np.asarray(points, float) * spacing  # (N, 2) mm
    if len(corners) < 3:
        return None
    squared = ((corners[:, None] - corners[None]) ** 2).sum(axis=-1)
    start, end = np.unravel_index(int(squared.argmax()), squared.shape)
    length = float(np.sqrt(squared[start, end]))
    if length == 0:
        return None
    along = (corners[end] - corners[start]) / length
    across = np.array([-along[1], along[0]])
    local = np.stack([(corners - corners[start]) @ along, (corners - corners[start]) @ across], axis=1)
    short = _widest(local)
    if short is None:
        return None
    at, low, high = short
    ends = [corners[start] + at * along + reach * across for reach in (low, high)]
    return _axis(corners[start] / spacing, corners[end] / spacing), _axis(
        ends[0] / spacing, ends[1] / spacing
    )


def _widest(local: np.ndarray) -> tuple[float, float, float] | None:
    """Return (u, v low, v high) of the longest inside chord across the u axis; None if all are points.

    The width is piecewise linear in u between vertices, so the longest chord stands just beside a vertex.
    """
    step = 1e-9 * float(np.ptp(local[:, 0]))
    best: tuple[float, float, float] | None = None
    for at in np.unique(np.concatenate([local[:, 0] - step, local[:, 0] + step])):
        crossings = _crossings(local, float(at))
        for low, high in zip(crossings[::2], crossings[1::2], strict=False):
            if high - low > 1e-9 and (best is None or high - low > best[2] - best[1]):
                best = (float(at), float(low), float(high))
    return best


def _crossings(local: np.ndarray, at: float) -> np.ndarray:
    """Return the sorted v at which the outline crosses u = at."""
    following = np.roll(local, -1, axis=0)
    crosses = (local[:, 0] > at) != (following[:, 0] > at)
    first, second = local[crosses], following[crosses]
    share = (at - first[:, 0]) / (second[:, 0] - first[:, 0])
    return np.sort(first[:, 1] + share * (second[:, 1] - first[:, 1]))


def _axis(start: np.ndarray, end: np.ndarray) -> Axis:
    return Axis(float(start[0]), float(start[1]), float(end[0]), float(end[1]))
