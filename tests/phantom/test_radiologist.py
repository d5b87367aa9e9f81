"""The simulated radiologist: exact diameters of known shapes, and a hand that stays within bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lesiongraph.lesion import Axis, RecistMark
from lesiongraph.phantom.radiologist import (
    ENDPOINT_NOISE_LIMIT_PX,
    MINIMUM_SECTION_PX,
    Section,
    choose_section,
    draw_mark,
    largest_section,
    true_diameters,
)


def ellipse(half_x: float, half_y: float, angle: float = 0.0) -> Section:
    size = int(2 * max(half_x, half_y)) + 5
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    along = x * math.cos(angle) + y * math.sin(angle)
    across = -x * math.sin(angle) + y * math.cos(angle)
    return Section(7, 30, 40, (along / half_x) ** 2 + (across / half_y) ** 2 <= 1)


def angle_between(mark: RecistMark) -> float:
    """Degrees between the two axes, 0–90."""
    one, other = (
        np.array([axis.x1 - axis.x0, axis.y1 - axis.y0]) for axis in (mark.long_axis, mark.short_axis)
    )
    cosine = abs(one @ other) / (np.linalg.norm(one) * np.linalg.norm(other))
    return math.degrees(math.acos(min(1.0, cosine)))


def ends(axis: Axis) -> tuple[np.ndarray, np.ndarray]:
    return np.array([axis.x0, axis.y0]), np.array([axis.x1, axis.y1])


def cross(mark: RecistMark) -> bool:
    (a, b), (c, d) = ends(mark.long_axis), ends(mark.short_axis)
    places = np.linalg.solve(np.column_stack([b - a, c - d]), c - a)
    return bool((places >= -1e-9).all() and (places <= 1 + 1e-9).all())


class TestTrueDiameters:
    def test_of_a_rectangle_is_its_diagonal_between_pixel_centres_and_an_edge(self) -> None:
        mark = true_diameters(Section(0, 5, 3, np.ones((4, 9), bool)))
        assert mark.long_axis.length_px == pytest.approx(math.hypot(8, 3) + 1)
        assert angle_between(mark) == pytest.approx(90)

    def test_of_a_single_row_is_its_width_in_pixels(self) -> None:
        mark = true_diameters(Section(0, 0, 0, np.ones((1, 6), bool)))
        assert mark.long_axis.length_px == pytest.approx(6)
        assert mark.short_axis.length_px == pytest.approx(1)

    def test_of_a_single_pixel_is_one_pixel(self) -> None:
        mark = true_diameters(Section(0, 2, 3, np.ones((1, 1), bool)))
        assert (mark.long_axis.length_px, mark.short_axis.length_px) == (1, 1)

    @pytest.mark.parametrize("angle", [0.0, 0.4, 1.1, 2.6])
    def test_of_an_ellipse_are_its_axes_at_any_angle(self, angle: float) -> None:
        mark = true_diameters(ellipse(20, 12, angle))
        assert mark.long_axis.length_px == pytest.approx(40, abs=1.2)
        assert mark.short_axis.length_px == pytest.approx(24, abs=1.5)

    def test_lie_on_the_block_s_place_in_the_image(self) -> None:
        section = ellipse(9, 6)
        box = true_diameters(section).bounding_box(0)
        assert box.centre == pytest.approx(section.centre, abs=0.6)
        assert section.centre == pytest.approx((40 + 11, 30 + 11))


class TestDrawMark:
    @pytest.mark.parametrize("radii", [(2.5, 2.0), (6.0, 4.0), (30.0, 11.0)])
    def test_wobble_stays_within_bounds(self, radii: tuple[float, float]) -> None:
        section = ellipse(*radii, angle=0.7)
        true = true_diameters(section)
        limit = 2 * math.hypot(ENDPOINT_NOISE_LIMIT_PX, ENDPOINT_NOISE_LIMIT_PX)
        for seed in range(200):
            mark = draw_mark(section, np.random.default_rng(seed))
            assert abs(mark.long_axis.length_px - true.long_axis.length_px) <= limit
            assert abs(mark.short_axis.length_px - true.short_axis.length_px) <= limit
            assert angle_between(mark) >= 85 - 1e-6
            assert cross(mark)
            assert mark.short_axis.length_px <= mark.long_axis.length_px

    def test_is_not_exact_but_right_on_average(self) -> None:
        section = ellipse(20, 12)
        true = true_diameters(section).long_axis.length_px
        drawn = [draw_mark(section, np.random.default_rng(k)).long_axis.length_px for k in range(300)]
        assert np.std(drawn) > 0.3
        assert np.mean(drawn) == pytest.approx(true, abs=0.3)

    def test_a_small_lesion_is_drawn_with_a_steadier_hand(self) -> None:
        def spread(half: float) -> float:
            section = ellipse(half, half)
            true = true_diameters(section).long_axis.x0
            marks = [draw_mark(section, np.random.default_rng(k)) for k in range(200)]
            return float(np.std([mark.long_axis.x0 - true for mark in marks]))

        assert spread(2.5) < 0.6 * spread(12)

    def test_same_random_source_same_mark(self) -> None:
        marks = [draw_mark(ellipse(8, 5), np.random.default_rng(3)) for _ in range(2)]
        assert marks[0] == marks[1]


class TestChooseSection:
    def block(self, *areas: int) -> tuple[tuple[int, int, int], np.ndarray]:
        block = np.zeros((len(areas), 5, 20), bool)
        for plane, area in zip(block, areas, strict=True):
            plane.reshape(-1)[:area] = True
        return (100, 10, 20), block

    def test_takes_the_largest_or_its_neighbour(self) -> None:
        chosen = {
            choose_section(self.block(3, 60, 80, 50, 10), np.random.default_rng(k)).slice_index  # type: ignore[union-attr]
            for k in range(100)
        }
        assert chosen == {101, 102, 103}

    def test_leaves_a_much_smaller_neighbour(self) -> None:
        chosen = {
            choose_section(self.block(30, 80, 30), np.random.default_rng(k)).slice_index  # type: ignore[union-attr]
            for k in range(100)
        }
        assert chosen == {101}

    def test_sees_nothing_in_too_few_pixels(self) -> None:
        assert largest_section(self.block(MINIMUM_SECTION_PX - 1)) is None
        assert choose_section(self.block(0, 0), np.random.default_rng(0)) is None

    def test_knows_the_block_s_place(self) -> None:
        section = largest_section(self.block(20, 40))
        assert section is not None
        assert (section.slice_index, section.row, section.column) == (101, 10, 20)
        assert section.centre == (20 + 9.5, 10 + 0.5)
