"""The box round the whole body where the view cuts it, and x, y relative to it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imaging_fakes import chest, ellipse

from lesiongraph.imaging import (
    FLAG_CUT,
    FLAG_UNSURE,
    BodyBox,
    body_mask,
    place_flag,
    relative_xy,
    relative_xy_error,
    seen_box,
    whole_body_box,
)
from lesiongraph.imaging.body_outline import EXPONENT, _beyond, fit_outline

MM = (1.0, 1.0)
NAN = (math.nan, math.nan)


def patient():
    """A chest with a spine at 1 mm/px, and the trunk's box."""
    hu, trunk = chest(table=False)
    grain = np.random.default_rng(3).normal(320, 150, hu.shape)
    spine = ellipse(hu.shape, (240, 200), (18, 22))
    hu[spine] = grain[spine]
    return hu, seen_box(trunk)


def whole_of(view, spacing_mm=MM):
    return whole_body_box(view, body_mask(view, spacing_mm if spacing_mm[0] > 0 else MM), spacing_mm)


def edges(box):
    return np.array([box.x0, box.y0, box.x1, box.y1])


def test_nothing_is_estimated_where_nothing_is_cut():
    hu, trunk = patient()
    whole = whole_of(hu)
    assert whole == seen_box(body_mask(hu, MM).mask)
    assert whole.seen == (True,) * 4
    assert edges(whole) == pytest.approx(edges(trunk), abs=2)


@pytest.mark.parametrize(
    ("rows", "columns", "most_off_mm"),
    [
        ((0, 400), (90, 400), 8),  # one side cut
        ((0, 400), (80, 320), 15),  # both sides cut: a patient too wide for the view
        ((120, 400), (0, 400), 15),  # the front cut
        ((60, 220), (30, 200), 40),  # a zoomed corner, without the spine
        ((150, 320), (120, 300), 45),  # a zoomed view of the spine
    ],
)
def test_cut_edges_are_found_and_seen_edges_kept(rows, columns, most_off_mm):
    hu, trunk = patient()
    view = hu[slice(*rows), slice(*columns)]
    whole = whole_of(view)
    truth = edges(trunk) - [columns[0], rows[0]] * 2
    seen = np.array(whole.seen)
    assert body_mask(view, MM).flag == FLAG_CUT
    assert not seen.all()
    assert np.abs(edges(whole) - truth)[seen].max(initial=0) <= 2
    assert np.abs(edges(whole) - truth).max() <= most_off_mm
    assert (np.array(whole.error_px)[~seen] > 0).all()
    assert (np.array(whole.error_px)[seen] == 0).all()
    seen_off = np.abs(edges(seen_box(body_mask(view, MM).mask)) - truth).max()
    assert np.abs(edges(whole) - truth).max() < 0.6 * seen_off


def test_round_view_that_cuts_the_sides():
    hu, trunk = patient()
    view = hu[70:310, 80:320].copy()
    view[~ellipse(view.shape, (119.5, 119.5), (120, 120))] = -2000
    whole = whole_of(view)
    assert not whole.seen[0]
    assert not whole.seen[2]
    assert edges(whole) == pytest.approx(edges(trunk) - [80, 70] * 2, abs=30)


def test_mirrored_view_has_the_mirrored_box():
    hu, _ = patient()
    view = np.ascontiguousarray(hu[:, 90:])
    whole, mirrored = whole_of(view), whole_of(view[:, ::-1])
    width = view.shape[1] - 1
    assert mirrored.x1 == pytest.approx(width - whole.x0, abs=6)
    assert mirrored.y0 == pytest.approx(whole.y0, abs=3)
    assert mirrored.seen == (whole.seen[2], whole.seen[1], whole.seen[0], whole.seen[3])


@pytest.mark.parametrize("spacing", [(0.5, 0.5), (1.0, 0.5), (2.0, 2.0)])
def test_resolution_does_not_matter(spacing):
    hu, _ = patient()
    view = hu[:, 90:]
    rows = np.arange(0, view.shape[0] - 1, spacing[0]).round().astype(int)
    columns = np.arange(0, view.shape[1] - 1, spacing[1]).round().astype(int)
    point = (150.0, 190.0)
    there = relative_xy(whole_of(view[np.ix_(rows, columns)], spacing), (150 / spacing[1], 190 / spacing[0]))
    assert there == pytest.approx(relative_xy(whole_of(view), point), abs=0.03)


def test_without_spacing_the_proportions_still_help():
    hu, trunk = patient()
    view = hu[:, 90:]
    whole = whole_body_box(view, body_mask(view, MM), NAN)
    truth = edges(trunk) - [90, 0] * 2
    assert abs(whole.x0 - truth[0]) < abs(seen_box(body_mask(view, MM).mask).x0 - truth[0]) / 2


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 220), st.integers(0, 220), st.integers(100, 180))
def test_the_whole_is_never_smaller_than_what_is_seen(x, y, side):
    hu, _ = patient()
    view = np.ascontiguousarray(hu[y : y + side, x : x + side])
    body = body_mask(view, MM)
    whole, seen = whole_body_box(view, body, MM), seen_box(body.mask)
    assert (edges(whole)[:2] <= edges(seen)[:2] + 1e-9).all()
    assert (edges(whole)[2:] >= edges(seen)[2:] - 1e-9).all()
    assert np.isfinite(edges(whole)).all()
    assert np.isfinite(whole.error_px).all()


def test_no_body_gives_the_image():
    nothing = np.full((60, 80), -1024, np.int16)
    whole = whole_of(nothing)
    assert edges(whole) == pytest.approx([-0.5, -0.5, 79.5, 59.5])


def test_errors_of_the_edges_reach_x_and_y():
    box = BodyBox(0, 0, 200, 100, (False, True, False, True), (10.0, 0.0, 20.0, 0.0))
    assert relative_xy_error(box, (0, 50)) == pytest.approx((10 / 200, 0))
    assert relative_xy_error(box, (200, 50)) == pytest.approx((20 / 200, 0))
    assert relative_xy_error(box, (100, 50))[0] == pytest.approx(math.hypot(5, 10) / 200)


def test_an_uncertain_place_is_flagged():
    hu, _ = patient()
    zoomed = hu[150:260, 60:170]
    body = body_mask(zoomed, MM)
    whole = whole_body_box(zoomed, body, MM)
    assert max(relative_xy_error(whole, (50, 50))) > 0.1
    assert place_flag(body, whole, (50, 50)) == FLAG_UNSURE
    wide = hu[:, 60:]
    body = body_mask(wide, MM)
    assert place_flag(body, whole_body_box(wide, body, MM), (150, 190)) == FLAG_CUT
    body = body_mask(hu, MM)
    assert place_flag(body, whole_body_box(hu, body, MM), (150, 190)) == ""


def test_points_of_a_superellipse_lie_on_it():
    angles = np.linspace(0, 2 * np.pi, 40)
    cos, sin = np.cos(angles), np.sin(angles)
    points = np.stack(
        [np.sign(cos) * np.abs(cos) ** (2 / EXPONENT), np.sign(sin) * np.abs(sin) ** (2 / EXPONENT)], 1
    )
    centre, halves = np.array([[30.0, -20.0]]), np.array([[170.0, 120.0]])
    assert _beyond(points * halves + centre, centre, halves) == pytest.approx(0, abs=1e-9)
    assert (_beyond(points * halves * 1.1 + centre, centre, halves) > 10).all()


def test_an_outline_needs_something_usual():
    with pytest.raises(ValueError, match="usual: expected"):
        fit_outline(None, ())


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**16), st.sampled_from([0.1, 1.0, 9.0, 50.0]))
def test_any_image_has_a_box(rows, columns, seed, mm):
    rng = np.random.default_rng(seed)
    blocks = rng.choice([-3024, -1024, -850, -175, 40, 2900], size=(rows, columns))
    hu = np.repeat(np.repeat(blocks, 3, axis=0), 3, axis=1).astype(np.int16)
    body = body_mask(hu, (mm, mm))
    for spacing in ((mm, mm), NAN):
        whole = whole_body_box(hu, body, spacing)
        assert np.isfinite([*edges(whole), *whole.error_px]).all()
        x, y = relative_xy(whole, (0.0, 0.0))
        assert 0 <= x <= 1
        assert 0 <= y <= 1
