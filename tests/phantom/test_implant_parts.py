"""The parts of grafting, each against something worked out another way."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lesiongraph.lesion import LESION_TYPES
from lesiongraph.phantom.grafting.backgrounds import BackgroundVolume
from lesiongraph.phantom.grafting.levels import Levels
from lesiongraph.phantom.grafting.looks import TYPE_LOOKS, draw_lesion
from lesiongraph.phantom.grafting.organs import grow_organ, known_lesions
from lesiongraph.phantom.grafting.painting import ScannerLook, SlicePainter
from lesiongraph.phantom.grafting.plan import plan_patient
from lesiongraph.phantom.grafting.prepared import Offer, PreparedBackground
from lesiongraph.phantom.grafting.public_sets import Ball, licence_of
from lesiongraph.phantom.grafting.skeleton_mask import between_lungs
from lesiongraph.phantom.grafting.tissue_masks import TissueMasks, coarse_slice, grown
from lesiongraph.phantom.grafting.warp import ImageGrid, Warp
from lesiongraph.phantom.lesions import PhantomLesion
from lesiongraph.phantom.tissues import Tissues

ROWS, SLICES = 60, 5
TISSUES = {"liver": 100.0, "kidney": 150.0, "muscle": 55.0, "spleen": 110.0}


def _background(room: np.ndarray | None = None, hu: float = 100.0) -> PreparedBackground:
    """An even block of 60 × 60 px of 1 mm, slices 4 mm apart; a liver lesion may grow in `room`."""
    z_mm = np.arange(SLICES) * 4.0
    volume = BackgroundVolume(np.full((SLICES, ROWS, ROWS), hu, np.int16), (1.0, 1.0), z_mm, 4.0)
    bit = np.uint16(1 << (len(LESION_TYPES) + LESION_TYPES.index("liver")))
    bits = np.zeros((SLICES, ROWS, ROWS), np.uint16)
    bits |= bit if room is None else np.where(room, bit, np.uint16(0))
    levels = Levels(np.linspace(0.5, 0.6, SLICES), z_mm, True)
    return PreparedBackground("P", "1.2", "CC BY", volume, levels, bits, 1, TISSUES, 0.0)


def _grid(background: PreparedBackground) -> ImageGrid:
    return ImageGrid(
        np.arange(ROWS, dtype=float), np.arange(ROWS, dtype=float), background.volume.z_mm, 1.0,
        tuple((k,) for k in range(SLICES)), background.volume.thickness_mm,
    )  # fmt: skip


def _lesion(radius: float = 10.0) -> PhantomLesion:
    return PhantomLesion(
        1, "liver", "liver", (30.0, 30.0, 8.0), (radius, radius, radius),
        look="hypodense", contrast_hu=-60.0, roughness=0.0, texture_hu=0.0,
    )  # fmt: skip


def _painted(background: PreparedBackground, index: int, lesion: PhantomLesion, blur_mm: float = 0.0):
    grid = _grid(background)
    painter = SlicePainter(background, grid, Warp.build(grid, 1, 2, amount=0.0), index)
    look = ScannerLook(blur_mm=blur_mm, sharpness=0.0, added_noise=0.0, texture_seed=0)
    cut = painter.add(lesion, Tissues(TISSUES), look, np.random.default_rng(0))
    return painter.base, cut


def test_a_ball_is_painted_where_the_formula_says():
    image, cut = _painted(_background(), 2, _lesion())
    y, x = np.indices((ROWS, ROWS))
    away = np.hypot(x - 30, y - 30)
    assert np.abs(image[away < 8] - 40).max() < 0.1
    assert np.abs(image[away > 12] - 100).max() < 1e-3
    assert cut.mask.sum() == pytest.approx(math.pi * 100, rel=0.06)


def test_the_slice_thickness_gives_partial_volume():
    """Slice 4 lies 8 mm from the centre: of its three sub-slices two are in the ball at the middle."""
    lesion = PhantomLesion(
        1, "liver", "liver", (30.0, 30.0, 8.0), (9.0, 9.0, 9.0),
        look="hypodense", contrast_hu=-60.0, roughness=0.0, texture_hu=0.0,
    )  # fmt: skip
    image, _ = _painted(_background(), 4, lesion)
    inside = sum(abs(16.0 + part * 4.0 - 8.0) < 9.0 for part in (-1 / 3, 0, 1 / 3))
    assert inside == 2
    assert image[30, 30] == pytest.approx(100 - 60 * inside / 3, abs=7)  # a soft edge at 8 mm


def test_nothing_grows_out_of_its_room():
    room = np.zeros((SLICES, ROWS, ROWS), bool)
    room[:, :, :30] = True
    image, cut = _painted(_background(room), 2, _lesion())
    assert np.abs(image[:, 32:] - 100).max() < 1e-3
    assert image[30, 25] == pytest.approx(40, abs=0.1)
    columns = np.nonzero(cut.mask)[1]
    assert (columns + cut.box[1].start).max() <= 30


def test_the_blur_moves_nothing_but_softens():
    sharp, _ = _painted(_background(), 2, _lesion())
    soft, _ = _painted(_background(), 2, _lesion(), blur_mm=1.0)
    assert soft.sum() == pytest.approx(sharp.sum(), rel=1e-4)
    assert np.abs(np.diff(soft[30])).max() < 0.8 * np.abs(np.diff(sharp[30])).max()


def test_the_warp_is_bounded_smooth_and_none_at_amount_0():
    background = _background()
    grid = _grid(background)
    dx, dy = Warp.build(grid, 3, 4).displacement(2)
    assert 0 < np.abs(dx).max() <= Warp.build(grid, 3, 4).reach_mm
    assert np.abs(np.diff(dx, axis=1)).max() < 0.5  # no folding: neighbours move together
    assert np.abs(np.diff(dy, axis=0)).max() < 0.5
    assert not np.any(Warp.build(grid, 3, 4, amount=0.0).displacement(2))


def test_the_follow_up_is_deformed_anew_but_a_little():
    grid = _grid(_background())
    first, second = (Warp.build(grid, 3, study).displacement(1)[0] for study in (4, 5))
    other = Warp.build(grid, 9, 4).displacement(1)[0]
    assert 0 < np.abs(first - second).mean() < np.abs(first - other).mean()


def test_between_lungs_against_a_loop():
    lung = np.random.default_rng(0).random((6, 9)) > 0.7
    for i, row in enumerate(lung):
        for j in range(len(row)):
            expected = not row[j] and row[:j].any() and row[j + 1 :].any()
            assert between_lungs(lung)[i, j] == expected


def test_coarse_slice_is_the_mean_of_blocks():
    values = np.random.default_rng(1).normal(size=(7, 9))
    coarse = coarse_slice(values, 2)
    assert coarse.shape == (3, 4)
    assert coarse[1, 2] == pytest.approx(values[2:4, 4:6].mean(), rel=1e-5)


def test_grown_is_a_disc():
    mask = np.zeros((21, 21), bool)
    mask[10, 10] = True
    y, x = np.indices(mask.shape)
    np.testing.assert_array_equal(grown(mask, (2.0, 1.0), 5.0), np.hypot(2 * (y - 10), x - 10) <= 5)


def _masks(hu: np.ndarray) -> tuple[TissueMasks, BackgroundVolume]:
    everything, nothing = np.ones(hu.shape, bool), np.zeros(hu.shape, bool)
    masks = TissueMasks(hu.astype(np.float32), 1, (1.0, 1.0), 4.0, everything, nothing, nothing, nothing)
    return masks, BackgroundVolume(hu.astype(np.int16), (1.0, 1.0), np.arange(len(hu)) * 4.0, 4.0)


def test_an_organ_grows_within_its_ball_only():
    hu = np.full((3, 80, 80), -100.0)
    hu[:, 20:60, 20:60] = 100.0
    masks, volume = _masks(hu)
    found = grow_organ(masks, volume, [Ball("liver", 1, 40, 40, 15.0)], "liver")
    y, x = np.indices((80, 80))
    away = np.hypot(y - 40, x - 40)
    assert found[1][away < 12].all()
    assert not found[1][away > 15.5].any()
    assert not grow_organ(masks, volume, [Ball("liver", 1, 40, 40, 15.0)], "kidney").any()


def test_known_marks_are_kept_out_in_the_canonical_view():
    masks, volume = _masks(np.full((3, 80, 80), 50.0))
    mark = {"x0": 10.0, "x1": 20.0, "y0": 10.0, "y1": 20.0, "long_mm": 12.0, "slice_index": 1}
    one = SimpleNamespace(uid="none", known=pd.DataFrame([mark]), series={"flip_x": False, "flip_y": True})
    found = known_lesions(one, masks, volume)
    assert found[1, 79 - 15, 15]
    assert not found[1, 15, 15]
    assert found[1].sum() == pytest.approx(math.pi * 12**2, rel=0.1)  # half of 12 mm and 6 mm around


def test_licences_are_known_by_name_and_else_not_open():
    assert licence_of(["LIDC-IDRI-0001"]).is_open
    assert not licence_of(["LUNG1-001", "LUNG1-001_tcia"]).is_open
    assert not licence_of(["unknown-1", "3Dircadb1.17"]).is_open
    assert not licence_of(["somebody"]).is_open


def _offers() -> list[Offer]:
    lung = dict.fromkeys(LESION_TYPES, 0) | {"lung": 100, "bone": 100}
    return [Offer(name, f"1.{i}", "CC BY", 40, lung) for i, name in enumerate("ABCDE")]


def test_plans_deal_backgrounds_evenly_and_only_what_they_offer():
    plans = [plan_patient(index, 3, _offers()) for index in range(20)]
    counts = pd.Series([plan.series_uid for plan in plans]).value_counts()
    assert set(counts) == {4}
    assert {lesion.type for plan in plans for lesion in plan.wanted} == {"lung", "bone"}
    assert sum(plan.labelled for plan in plans) == 12
    assert plans[7] == plan_patient(7, 3, _offers())
    assert plans[7] != plan_patient(7, 4, _offers())


@pytest.mark.parametrize("lesion_type", LESION_TYPES)
def test_drawn_lesions_keep_their_size_and_a_look_of_their_type(lesion_type):
    rng = np.random.default_rng(5)
    for _ in range(20):
        lesion = draw_lesion(lesion_type, 20.0, (1.0, 2.0, 3.0), 1, rng)
        assert lesion.radii_mm[0] == 10.0 >= lesion.radii_mm[1] > 3
        assert lesion.look in TYPE_LOOKS[lesion_type].shares
