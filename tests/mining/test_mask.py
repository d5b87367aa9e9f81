"""Diameters of regions: countable shapes, and a slow loop over every pair and every section."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_opening, gaussian_filter

from lesiongraph.lesion import Spacing
from lesiongraph.mining.mask import mask_diameters, mask_outlines, polygon_diameters

UNIT = Spacing(math.nan, 1.0, 1.0)


def drawn(*rows: str) -> np.ndarray:
    return np.array([[c == "#" for c in row] for row in rows])


def lengths(mark, spacing=UNIT) -> tuple[float, float]:
    return mark.long_axis.length_mm(spacing), mark.short_axis.length_mm(spacing)


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (drawn("....", ".#..", "...."), (1, 1)),
        (drawn("......", ".####.", "......"), (4, 1)),
        (drawn("#"), (1, 1)),  # the whole image
        (drawn("###", "###", "###"), (math.hypot(3, 2), None)),
    ],
)
def test_countable_masks(mask, expected):
    long_mm, short_mm = lengths(mask_diameters(mask, UNIT))
    assert long_mm == pytest.approx(expected[0])
    if expected[1] is not None:
        assert short_mm == pytest.approx(expected[1], abs=1e-4)


def test_empty_mask_has_no_diameters():
    assert mask_diameters(np.zeros((4, 4), bool), UNIT) is None


@pytest.mark.parametrize("radius_px", [3.0, 7.5, 20.0])
def test_a_disc_measures_its_diameter(radius_px):
    y, x = np.mgrid[:64, :64]
    mark = mask_diameters(np.hypot(x - 31.3, y - 30.6) <= radius_px, UNIT)
    long_mm, short_mm = lengths(mark)
    assert long_mm == pytest.approx(2 * radius_px, abs=0.9)
    assert short_mm == pytest.approx(2 * radius_px, abs=1.0)


def test_an_ellipse_on_oblong_pixels_is_measured_in_mm():
    spacing = Spacing(math.nan, 2.0, 0.5)
    y, x = np.mgrid[:60, :200]
    inside = ((x - 100) * 0.5 / 15) ** 2 + ((y - 30) * 2.0 / 30) ** 2 <= 1
    mark = mask_diameters(inside, spacing)
    long_mm, short_mm = lengths(mark, spacing)
    assert long_mm == pytest.approx(60, abs=2)
    assert short_mm == pytest.approx(30, abs=1)
    assert abs(mark.long_axis.y1 - mark.long_axis.y0) == pytest.approx(30, abs=1)  # it runs along y


def test_holes_do_not_shorten():
    y, x = np.mgrid[:40, :40]
    distance = np.hypot(x - 20, y - 20)
    assert lengths(mask_diameters((distance <= 15) & (distance > 6), UNIT)) == lengths(
        mask_diameters(distance <= 15, UNIT)
    )


def test_of_two_pieces_the_longer_one_is_measured():
    mask = drawn("##......", "........", "...#####", "...#####")
    mark = mask_diameters(mask, UNIT)
    assert mark.long_axis.length_px == pytest.approx(math.hypot(5, 1))
    assert min(mark.long_axis.x0, mark.long_axis.x1) >= 2.5
    assert len(mask_outlines(mask)) == 2


@pytest.mark.parametrize("side", [1, -1])
def test_short_axis_crosses_the_long_one(side):
    """A bar with a lobe on a stalk: the lobe is 20 thick, but only the stalk (14) meets the long axis."""
    bar = [(0, -2), (100, -2), (100, 2), (31, 2)]
    stalk_and_lobe = [(31, 10), (50, 10), (50, 10), (60, 10), (60, 30), (50, 30), (50, 12), (30, 12)]
    outline = np.array([*bar, *stalk_and_lobe, (30, 2), (0, 2)]) * [1, side]
    long_mm, short_mm = lengths(polygon_diameters(outline, UNIT))
    assert long_mm == pytest.approx(math.hypot(100, 4))
    assert short_mm == pytest.approx(14, abs=0.2)


@pytest.mark.parametrize("points", [[(3, 4)], [(3, 4), (3, 4)], [(0, 0), (3, 4)], [(0, 0), (1, 1), (2, 2)]])
def test_a_contour_that_encloses_nothing_has_no_short_axis(points):
    assert polygon_diameters(np.array(points), UNIT).short_axis.length_px == pytest.approx(0)


def test_a_rectangle():
    long_mm, short_mm = lengths(polygon_diameters(np.array([(0, 0), (12, 0), (12, 5), (0, 5)]), UNIT))
    assert long_mm == 13
    # across the diagonal of a 12 × 5 rectangle the longest section is 5 / cos, its slope 12/5
    assert short_mm == pytest.approx(13 * 5 / 12, abs=1e-3)


def slow_diameters(outline: np.ndarray) -> tuple[float, float]:
    """Every pair; then 1,500 sections of the contour, side by side."""
    (a, b) = max(itertools.combinations(outline, 2), key=lambda pair: math.dist(*pair))
    long_mm = math.dist(a, b)
    u = (b - a) / long_mm
    best = 0.0
    for where in np.linspace(1e-4, long_mm - 1e-4, 1500):
        heights = []
        for p, q in zip(outline, np.roll(outline, -1, axis=0), strict=True):
            pu, qu = (p - a) @ u, (q - a) @ u
            if (pu <= where) != (qu <= where):
                t = (where - pu) / (qu - pu)
                point = p + t * (q - p) - a
                heights.append(u[0] * point[1] - u[1] * point[0])
        heights.sort()
        for low, high in zip(heights[::2], heights[1::2], strict=True):
            if low <= 1e-6 and high >= -1e-6:
                best = max(best, high - low)
    return long_mm, best


@pytest.mark.parametrize("seed", range(3))
def test_against_a_slow_loop(seed):
    rng = np.random.default_rng(seed)
    blob = binary_opening(gaussian_filter(rng.normal(size=(26, 26)), 4) > 0.02)
    assert blob.any()
    outline = max(mask_outlines(blob), key=len)
    fast = polygon_diameters(outline, UNIT)
    long_mm, short_mm = slow_diameters(outline)
    assert fast.long_axis.length_px == pytest.approx(long_mm)
    assert fast.short_axis.length_px == pytest.approx(short_mm, abs=0.06)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=36, max_size=36), st.integers(0, 3), st.integers(0, 20))
def test_any_mask_turned_or_moved_measures_the_same(cells, turns, shift):
    mask = np.array(cells).reshape(6, 6)
    mark, moved = mask_diameters(mask, UNIT), mask_diameters(np.pad(np.rot90(mask, turns), shift), UNIT)
    if mark is None:
        assert moved is None
        return
    assert moved.long_axis.length_px == pytest.approx(mark.long_axis.length_px)
    assert mark.short_axis.length_px <= mark.long_axis.length_px + 1e-6
    assert mark.long_axis.length_px >= 1 - 1e-9
