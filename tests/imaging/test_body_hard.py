"""Body masks where things other than the patient, or the picture itself, get in the way."""

from __future__ import annotations

import numpy as np
import pytest
from body_fakes import legs, neck_between_shoulders, pelvis, trunk_with_things, with_metal
from imaging_fakes import chest, ellipse

from lesiongraph.imaging import FLAG_CUT, body_mask

MM = (1.0, 1.0)


def overlap(mask, truth):
    return (mask & truth).sum() / (mask | truth).sum()


def edges(mask):
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return np.array([columns[0], rows[0], columns[-1], rows[-1]])


def as_picture(hu, low, high):
    """The slice drawn in 8 bits with a window, and read back as HU."""
    grey = np.rint((np.clip(hu, low, high) - low) / (high - low) * 255)
    return np.rint(low + grey / 255 * (high - low)).astype(np.int16)


def test_hip_prostheses_and_their_streaks():
    hu, trunk, heads = pelvis()
    scanned = with_metal(hu, 1.0, heads)
    inner = trunk & ~ellipse(hu.shape, (205, 105), (30, 30)) & ~ellipse(hu.shape, (205, 295), (30, 30))
    assert scanned[inner].min() < -500  # dark bands between the hips: a threshold alone breaks
    assert (scanned[inner] - hu[inner]).std() > 60
    body = body_mask(scanned, MM)
    assert overlap(body.mask, trunk) > 0.985
    assert np.abs(edges(body.mask) - edges(trunk)).max() <= 4
    assert body.flag == ""


@pytest.mark.parametrize("gap_px", [24, 4, 0, -10])
def test_legs_apart_touching_and_pressed_together_are_one_body(gap_px):
    hu, mask = legs(gap_px)
    body = body_mask(hu, MM)
    assert np.abs(edges(body.mask) - edges(mask)).max() <= 4
    assert not body.limbs.any()


def test_bottle_blanket_cushion_and_solid_table():
    hu, trunk = trunk_with_things()
    body = body_mask(hu, MM)
    left, top, right, bottom = edges(body.mask) - edges(trunk)
    assert abs(left) <= 6
    assert abs(right) <= 6
    assert abs(bottom) <= 4
    assert top >= -6 or not body.mask[60:90, 180:220].any()
    assert not body.patient[335:350].any()  # long and thin: a table, no arm


def test_a_hand_beside_the_trunk_is_patient():
    hu, _ = chest()
    hu[ellipse(hu.shape, (200, 20), (45, 14))] = 40
    assert body_mask(hu, MM).limbs[200, 20]


@pytest.mark.parametrize("window", [(-175, 275), (-160, 240), (-135, 215), (-450, 550), (-1350, 150)])
def test_a_picture_whose_window_ends_above_air(window):
    hu, trunk = chest(arms=True)
    body = body_mask(as_picture(hu, *window), MM)
    assert body.flag == ""
    assert overlap(body.mask, trunk) > 0.97
    assert body.mask[185, 130]  # lung, as black as the room
    assert body.limbs[200, 25]


@pytest.mark.parametrize("rows", [slice(100, 260), slice(150, 330)])
def test_a_zoomed_picture_keeps_its_lung(rows):
    hu, trunk = chest(table=False)
    view, truth = as_picture(hu, -175, 275)[rows, 60:190], trunk[rows, 60:190]
    body = body_mask(view, MM)
    assert body.flag == FLAG_CUT
    assert (body.mask & truth).sum() / truth.sum() > 0.95
    assert (body.mask & ~truth).sum() / truth.sum() < 0.05


def test_tissue_without_air_is_no_clipped_picture():
    fat_and_muscle = np.random.default_rng(0).normal(-100, 20, (200, 200)).astype(np.int16)
    assert body_mask(fat_and_muscle, MM).mask.all()


@pytest.mark.parametrize("padding", [-2000, -3024])
def test_padding_colder_than_air_is_not_air(padding):
    hu, trunk = chest(table=False)
    view = hu[:, 0:400].copy()
    view[~ellipse(view.shape, (199.5, 199.5), (200, 200))] = padding
    body = body_mask(view, MM)
    assert body.flag == ""
    assert overlap(body.mask, trunk) > 0.97


def test_room_air_between_neck_and_cut_shoulders_stays_out():
    hu, mask = neck_between_shoulders()
    body = body_mask(hu, MM)
    assert body.flag == FLAG_CUT
    assert (body.mask & ~mask).sum() / mask.sum() < 0.04


def test_gap_above_a_table_cut_at_both_sides_stays_out():
    hu, trunk = chest(table=False)
    hu[trunk.shape[0] - 60 :] = 100  # a thick, solid table from edge to edge
    view, truth = hu[:, 90:310], trunk[:, 90:310]
    body = body_mask(view, MM)
    assert body.flag == FLAG_CUT
    assert (body.mask & truth).sum() / truth.sum() > 0.97
    assert not body.mask[300:340].any()


def test_vessels_that_the_view_cuts_belong_to_their_lung():
    hu, trunk = chest(table=False)
    for row in (150, 175, 200, 225):
        hu[row : row + 3, 110:130] = 30
    hu[170:190, 118:135] = 30
    view, truth = hu[110:260, 40:125], trunk[110:260, 40:125]
    body = body_mask(view, MM)
    assert (body.mask & truth).sum() / truth.sum() > 0.97


def test_gut_gas_behind_a_thin_wall_is_inside():
    hu, trunk = chest(table=False)
    gas = ellipse(hu.shape, (190, 337), (9, 6))  # 1.7 cm² of gas; the wall is 7 mm thick
    hu[gas] = -950
    assert overlap(body_mask(hu, MM).mask, trunk) > 0.985
    assert body_mask(hu, MM).mask[190, 330:347].all()
