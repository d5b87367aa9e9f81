"""The simulated radiologist: a lesion's section → the two RECIST diameters as a hand draws them (Sec. 3).

Coordinates are array coordinates of the view the mask is given in: x = column, y = row, pixel centre at an
integer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull, QhullError

from lesiongraph.lesion import Axis, RecistMark

Points = npt.NDArray[np.float64]

MINIMUM_SECTION_PX = 4  # a section of fewer pixels is not seen, so not measured
NEIGHBOUR_SLICE_PROBABILITY = 0.3  # how often the slice beside the largest section is measured
NEIGHBOUR_SECTION_FRACTION = 0.5  # and how large its section must be
ENDPOINT_NOISE_PX = 0.6  # standard deviation of one endpoint's coordinate
ENDPOINT_NOISE_LIMIT_PX = 1.5
STEADY_HAND_BELOW_PX = 12.0  # on smaller lesions readers zoom in: noise shrinks with the length
ANGLE_NOISE_DEGREES = 2.5
ANGLE_LIMIT_DEGREES = 5.0
CHORD_SAMPLES = 41


@dataclass(frozen=True)
class Section:
    """One lesion on one slice. `mask` (rows, columns) is a block whose first pixel is (`row`, `column`)."""

    slice_index: int
    row: int
    column: int
    mask: npt.NDArray[np.bool_]

    @property
    def area_px(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.mask))

    @property
    def centre(self) -> tuple[float, float]:
        """Centre of mass (x, y) px."""
        rows, columns = np.nonzero(self.mask)
        return float(columns.mean() + self.column), float(rows.mean() + self.row)

    def points(self) -> Points:
        """Pixel centres as (n, 2) x, y."""
        rows, columns = np.nonzero(self.mask)
        return np.column_stack([columns + self.column, rows + self.row]).astype(float)


def choose_section(
    lesion_mask: tuple[tuple[int, int, int], npt.NDArray[np.bool_]], rng: np.random.Generator
) -> Section | None:
    """Choose the slice to measure: that of the largest section, or one beside it.

    Parameters
    ----------
    lesion_mask : ((slice, row, column), (n, rows, columns) bool)
        Offset and block, as the renderer gives it.
    rng
        Random source.

    Returns
    -------
    Section or None
        None where no section is large enough to be seen.
    """
    best = largest_section(lesion_mask)
    if best is None or rng.random() >= NEIGHBOUR_SLICE_PROBABILITY:
        return best
    (first, row, column), block = lesion_mask
    other = best.slice_index - first + (1 if rng.random() < 0.5 else -1)
    if not 0 <= other < len(block):
        return best
    neighbour = Section(first + other, row, column, block[other])
    smallest = max(MINIMUM_SECTION_PX, NEIGHBOUR_SECTION_FRACTION * best.area_px)
    return neighbour if neighbour.area_px >= smallest else best


def largest_section(
    lesion_mask: tuple[tuple[int, int, int], npt.NDArray[np.bool_]],
) -> Section | None:
    """Return the section of largest area, or None if none has `MINIMUM_SECTION_PX`."""
    (first, row, column), block = lesion_mask
    if block.size == 0:
        return None
    areas = block.sum(axis=(1, 2))
    best = int(np.argmax(areas))
    if areas[best] < MINIMUM_SECTION_PX:
        return None
    return Section(first + best, row, column, block[best])


def true_diameters(section: Section) -> RecistMark:
    """Measure the longest diameter and the longest chord perpendicular to it, without a hand's error.

    Both are taken on the convex hull of the pixel centres and reach half a pixel beyond it at each end,
    to the pixels' outer edges.

    Source: Sec. 3; RECIST 1.1 (Eisenhauer et al. 2009).
    """
    hull = _hull(section.points())
    start, end = _farthest_pair(hull)
    direction = _unit(end - start)
    normal = np.array([-direction[1], direction[0]])
    chord = _longest_chord(hull, start, end, normal)
    long_axis = _axis(start - 0.5 * direction, end + 0.5 * direction)
    return RecistMark(long_axis, _axis(chord[0] - 0.5 * normal, chord[1] + 0.5 * normal))


def draw_mark(section: Section, rng: np.random.Generator) -> RecistMark:
    """Draw the two diameters as a reader does: endpoints off by a pixel or so, the angle by up to 5°.

    The two lines still cross and the long axis stays the longer one.
    """
    true = true_diameters(section)
    length = true.long_axis.length_px
    noise = ENDPOINT_NOISE_PX * min(1.0, length / STEADY_HAND_BELOW_PX)
    start = _point(true.long_axis, 0) + _bounded(rng, noise, 2)
    end = _point(true.long_axis, 1) + _bounded(rng, noise, 2)
    direction = _unit(end - start)
    angle = math.radians(
        float(np.clip(rng.normal(0, ANGLE_NOISE_DEGREES), -ANGLE_LIMIT_DEGREES, ANGLE_LIMIT_DEGREES))
    )
    normal = _rotated(np.array([-direction[1], direction[0]]), angle)
    # Where the true short axis crosses the true long axis, carried over to the line as drawn.
    crossing, before, after = _crossing(true)
    foot = start + crossing * (end - start)
    before, after = (max(0.25, reach + float(_bounded(rng, noise, 1)[0])) for reach in (before, after))
    drawn = float(np.linalg.norm(end - start))
    shrink = min(1.0, 0.98 * drawn / (before + after))
    short_axis = _axis(foot - shrink * before * normal, foot + shrink * after * normal)
    return RecistMark(_axis(start, end), short_axis)


def _crossing(mark: RecistMark) -> tuple[float, float, float]:
    """Where (0–1 along the long axis) the short axis crosses it, and its reach to either side (px)."""
    start, end = _point(mark.long_axis, 0), _point(mark.long_axis, 1)
    low, high = _point(mark.short_axis, 0), _point(mark.short_axis, 1)
    direction = end - start
    crossing = float(np.dot(low - start, direction) / np.dot(direction, direction))
    foot = start + crossing * direction
    return crossing, float(np.linalg.norm(low - foot)), float(np.linalg.norm(high - foot))


def _hull(points: Points) -> Points:
    """Vertices (n, 2) of the convex hull in order; the points themselves where they lie on one line."""
    if len(points) < 3:
        return points
    try:
        vertices: Points = points[ConvexHull(points).vertices]
    except QhullError:
        return points
    return vertices


def _farthest_pair(hull: Points) -> tuple[Points, Points]:
    distances = np.linalg.norm(hull[:, None] - hull[None], axis=2)
    first, second = np.unravel_index(int(np.argmax(distances)), distances.shape)
    return hull[first], hull[second]


def _longest_chord(hull: Points, start: Points, end: Points, normal: Points) -> tuple[Points, Points]:
    """Longest chord of a convex polygon along `normal` that meets the segment start–end."""
    direction = _unit(end - start)
    length = float(np.linalg.norm(end - start))
    along = (hull - start) @ direction
    across = (hull - start) @ normal
    next_along, next_across = np.roll(along, -1), np.roll(across, -1)
    best = (0.0, length / 2, 0.0, 0.0)  # extent, position along, lowest and highest point across
    for position in np.linspace(0, length, CHORD_SAMPLES):
        span = next_along - along
        meets = (np.minimum(along, next_along) <= position) & (position <= np.maximum(along, next_along))
        meets &= span != 0
        if not meets.any():
            continue
        fraction = (position - along[meets]) / span[meets]
        values = across[meets] + fraction * (next_across[meets] - across[meets])
        low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
        if high - low > best[0]:
            best = (high - low, float(position), low, high)
    _, position, low, high = best
    foot = start + position * direction
    return foot + low * normal, foot + high * normal


def _bounded(rng: np.random.Generator, deviation: float, size: int) -> Points:
    noise = rng.normal(0, deviation, size)
    return np.clip(noise, -ENDPOINT_NOISE_LIMIT_PX, ENDPOINT_NOISE_LIMIT_PX)


def _unit(vector: Points) -> Points:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0 else np.array([1.0, 0.0])


def _rotated(vector: Points, angle: float) -> Points:
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.array([cosine * vector[0] - sine * vector[1], sine * vector[0] + cosine * vector[1]])


def _point(axis: Axis, end: int) -> Points:
    return np.array([axis.x1, axis.y1] if end else [axis.x0, axis.y0])


def _axis(start: Points, end: Points) -> Axis:
    return Axis(float(start[0]), float(start[1]), float(end[0]), float(end[1]))
