"""Which pixels are the patient, and where in the patient a point is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imaging_fakes import chest, ellipse, room

from lesiongraph.imaging import (
    FLAG_CUT,
    FLAG_NO_BODY,
    body_mask,
    on_body,
    plain_from_stated_xy,
    relative_xy,
    relative_xy_as_stated,
)
from lesiongraph.lesion import BoundingBox


def _box(mask):
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return columns[0], rows[0], columns[-1], rows[-1]


def test_trunk_with_its_lungs_and_without_the_table():
    hu, trunk = chest()
    body = body_mask(hu, (1.0, 1.0))
    assert body.flag == ""
    assert not body.limbs.any()
    assert np.abs(np.subtract(_box(body.mask), _box(trunk))).max() <= 2
    assert (body.mask & trunk).sum() / (body.mask | trunk).sum() > 0.97
    assert body.mask[185, 130]  # lung
    assert not body.mask[330, 200]  # inside the table


def test_table_that_touches_the_back_does_not_widen_the_body():
    hu, trunk = chest()
    touching = np.roll(hu, -2, axis=0)  # the table's top edge moves up; put the trunk back where it was
    touching[trunk] = hu[trunk]
    assert np.abs(np.subtract(_box(body_mask(touching, (1.0, 1.0)).mask), _box(trunk))).max() <= 6


def test_arms_are_patient_but_do_not_define_the_body():
    hu, trunk = chest(arms=True)
    body = body_mask(hu, (1.0, 1.0))
    assert np.abs(np.subtract(_box(body.mask), _box(trunk))).max() <= 2
    assert body.limbs[200, 25]
    assert body.limbs[200, 375]
    assert body.patient.sum() == body.mask.sum() + body.limbs.sum()
    assert on_body(body.patient, BoundingBox(20, 195, 30, 205))
    assert relative_xy(body.mask, (25, 200))[0] == 0.0


def test_two_thighs_both_belong():
    hu = room()
    for side in (110, 290):
        hu[ellipse(hu.shape, (200, side), (80, 75))] = 40
    body = body_mask(hu, (1.0, 1.0))
    assert _box(body.mask)[0] == pytest.approx(35, abs=3)
    assert _box(body.mask)[2] == pytest.approx(365, abs=3)


def test_head_between_raised_arms_of_its_own_thickness():
    hu = room()
    for x, radius in ((60, 45), (200, 60), (340, 45)):
        hu[ellipse(hu.shape, (200, x), (radius, radius))] = 40
    body = body_mask(hu, (1.0, 1.0))
    assert np.abs(np.subtract(_box(body.mask), (140, 140, 260, 260))).max() <= 3
    assert body.limbs[200, 60]


@pytest.mark.parametrize(
    ("rows", "columns"),
    [(slice(100, 260), slice(60, 190)), (slice(150, 330), slice(230, 360)), (slice(90, 300), slice(90, 200))],
)
def test_lung_open_to_the_border_of_a_zoomed_view_is_filled(rows, columns):
    hu, trunk = chest(table=False)
    view, truth = hu[rows, columns], trunk[rows, columns]
    body = body_mask(view, (1.0, 1.0))
    assert body.flag == FLAG_CUT
    assert (body.mask & truth).sum() / truth.sum() > 0.95
    assert (body.mask & ~truth).sum() / truth.sum() < 0.03


@pytest.mark.parametrize("padding", [-1024, -2000, -3024])
def test_round_view_that_cuts_the_body(padding):
    hu, trunk = chest(table=False)
    view, truth = hu[60:320, 10:270].copy(), trunk[60:320, 10:270]
    outside = ~ellipse(view.shape, (129.5, 129.5), (130, 130))
    view[outside] = padding
    body = body_mask(view, (1.0, 1.0))
    inside = truth & ~outside
    assert body.flag == FLAG_CUT
    assert (body.mask & inside).sum() / inside.sum() > 0.93


def test_no_body_is_said_not_hidden():
    body = body_mask(np.full((128, 100), -1024, np.int16), (1.0, 1.0))
    assert body.flag == FLAG_NO_BODY
    assert body.mask.all()
    assert not body.limbs.any()


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.8, 0.8), (1.0, 0.7), (0.35, 0.5)])
def test_size_and_spacing_do_not_matter(spacing):
    hu, trunk = chest()
    rows = np.arange(0, 400 - 1, spacing[0]).round().astype(int)
    columns = np.arange(0, 400 - 1, spacing[1]).round().astype(int)
    body = body_mask(hu[np.ix_(rows, columns)], spacing)
    assert body.mask.shape == (len(rows), len(columns))  # not a multiple of the coarse step either
    centre = (265 / spacing[1], 185 / spacing[0])
    plain = relative_xy(trunk, (265, 185))
    assert relative_xy(body.mask, centre) == pytest.approx(plain, abs=0.015)


@given(st.booleans(), st.booleans())
def test_the_mask_turns_with_the_image(flip_x, flip_y):
    hu, _ = chest(arms=True)
    step_y, step_x = (-1 if flip_y else 1), (-1 if flip_x else 1)
    turned = body_mask(hu[::step_y, ::step_x], (1.0, 1.0)).mask[::step_y, ::step_x]
    straight = body_mask(hu, (1.0, 1.0)).mask
    assert (turned ^ straight).mean() < 0.002


def test_marks_on_the_body_and_in_air():
    mask = body_mask(*[chest()[0], (1.0, 1.0)]).patient
    assert on_body(mask, BoundingBox(259, 179, 271, 191))  # nodule in the lung
    assert on_body(mask, BoundingBox(40, 180, 62, 200))  # on the skin: box half in air
    assert not on_body(mask, BoundingBox(5, 5, 25, 30))  # in air
    assert not on_body(mask, BoundingBox(190, 320, 210, 340))  # in the table
    assert not on_body(mask, BoundingBox(-80, 20, -60, 40))  # off the image
    assert on_body(mask, BoundingBox(200, 190, 200, 190))  # a point
    assert not on_body(mask, BoundingBox(200, 190, float("nan"), 190))


@pytest.mark.parametrize(
    ("hu", "spacing"),
    [
        (np.zeros((3, 4, 5), np.int16), (1.0, 1.0)),
        (np.zeros((0, 5), np.int16), (1.0, 1.0)),
        (np.zeros((5, 5), np.int16), (float("nan"), 1.0)),
        (np.zeros((5, 5), np.int16), (1.0, -1.0)),
    ],
)
def test_bad_input_stops_at_the_door(hu, spacing):
    with pytest.raises(ValueError, match="expected"):
        body_mask(hu, spacing)


def test_relative_xy_wants_a_mask_and_a_point():
    with pytest.raises(ValueError, match="empty"):
        relative_xy(np.zeros((4, 4), bool), (1.0, 1.0))
    with pytest.raises(ValueError, match="finite"):
        relative_xy(np.ones((4, 4), bool), (float("nan"), 1.0))


def test_rescaling_of_the_stated_location_is_undone():
    hu = np.full((60, 80), -1000, np.int16)
    hu[10:51, 20:61] = 0  # indices 10–50 and 20–60
    stated = relative_xy_as_stated(hu, (39.0, 29.0))
    assert plain_from_stated_xy(stated) == pytest.approx([0.5, 0.5])
    assert stated[1] > 0.5  # y is pushed towards the back
    assert np.isnan(plain_from_stated_xy((float("nan"), 0.5))[0])
