"""Bellies full of fluid or one growth: the wall keeps its thickness, the back its place, the bones theirs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lesiongraph.phantom import sample_training_volume
from lesiongraph.phantom.contours import Outline
from lesiongraph.phantom.painting import paint_slice
from lesiongraph.phantom.pathology import Pathology
from lesiongraph.phantom.tissues import sample_tissues
from lesiongraph.phantom.training_belly import Belly, Growth
from lesiongraph.phantom.training_body import (
    TrainingStudy,
    landmark_heights_mm,
    sample_pose,
    sample_training_anatomy,
)
from lesiongraph.phantom.training_view import sample_training_plan

FLUID_HU = 11.0
GROWTH = Growth((0.0, -70.0, 500.0), (70.0, 50.0, 90.0), 3.0, 90.0, 25.0, 0.0, 80.0)


def study(belly: Belly, heights_mm: tuple[float, ...] = (300.0, 470.0, 500.0, 560.0)) -> TrainingStudy:
    """A few level slices of one body, with this belly and nothing else wrong."""
    rng = np.random.default_rng(5)
    anatomy = sample_training_anatomy(rng)
    plan = sample_training_plan(anatomy, rng, 128, "neck-to-thigh")
    plan = replace(plan, pixel_mm=4.4, rotation_deg=0.0, centre_x_mm=0.0, centre_y_mm=-10.0, table=False)
    pose = replace(sample_pose(rng, "chest"), pathology=Pathology(), belly=belly)
    tissues = sample_tissues("portal", 50, rng)
    return TrainingStudy(anatomy, plan, tissues, anatomy.patient_z(list(heights_mm)), rng, pose=pose)


def painted(belly: Belly) -> list[np.ndarray]:
    whole = study(belly)
    return [paint_slice(whole, i)[0].hu for i in range(len(whole.z_mm))]


def test_the_wall_keeps_its_thickness_and_the_back_its_place() -> None:
    z = np.arange(300.0, 700.0, 20.0)
    ones = np.ones(len(z))
    skin, muscle, cavity = (Outline(half * ones, 0.7 * half * ones, 0 * z, 0 * z) for half in (160, 140, 120))
    belly = Belly(bulge=0.4, bulge_mm=500.0, reach_mm=90.0)
    grown = belly.stretched((skin, muscle, cavity), z)
    for before, after in zip((skin, muscle, cavity), grown, strict=True):
        assert after.centre_y + after.half_y == pytest.approx(before.centre_y + before.half_y)
        assert (after.half_x >= before.half_x).all()
    for outer, inner in ((0, 1), (1, 2)):
        before = ((skin, muscle, cavity)[outer].half_x - (skin, muscle, cavity)[inner].half_x)[0]
        assert grown[outer].half_x - grown[inner].half_x == pytest.approx(before * ones)
    deeper = grown[1].half_y - muscle.half_y
    assert z[deeper.argmax()] == 500.0
    assert 2 * deeper.max() == pytest.approx(0.8 * muscle.half_y[0])
    same = Belly().stretched((skin, muscle, cavity), z)
    np.testing.assert_array_equal(same[0].half_y, skin.half_y)


def test_an_ordinary_belly_changes_no_pixel_and_a_full_one_leaves_the_chest() -> None:
    plain = painted(Belly())
    for fuller in (Belly(fluid_mm=25.0, fluid_hu=FLUID_HU), Belly(growth=GROWTH)):
        full = painted(fuller)
        np.testing.assert_array_equal(full[0], plain[0])
        assert all((a != b).mean() > 0.015 for a, b in zip(full[1:3], plain[1:3], strict=True))


def test_fluid_lies_under_the_wall_and_a_growth_before_the_spine() -> None:
    plain, wet, grown = (
        painted(Belly()),
        painted(Belly(fluid_mm=25.0, fluid_hu=FLUID_HU)),
        painted(Belly(growth=GROWTH)),
    )
    changed = np.abs(wet[1] - plain[1]) > 1
    assert np.median(wet[1][changed]) == pytest.approx(FLUID_HU, abs=12)
    rows, columns = np.nonzero(np.abs(grown[2] - plain[2]) > 1)
    assert abs(columns.mean() - 63.5) * 4.4 < 30
    assert (rows.mean() - 63.5) * 4.4 - 10 < -25  # to the front of the trunk's middle
    middle = grown[2][round(63.5 + (-70 + 10) / 4.4), 64]
    assert middle == pytest.approx(GROWTH.content_hu, abs=40)


def test_a_full_belly_moves_no_landmark() -> None:
    plain, full = study(Belly()), study(Belly(bulge=0.5, fluid_mm=30.0, growth=GROWTH))
    assert landmark_heights_mm(full.anatomy, full._pose) == landmark_heights_mm(plain.anatomy, plain._pose)


def test_a_full_belly_holds_fluid_or_a_growth_and_some_hold_both() -> None:
    drawn = [Belly.sample(np.random.default_rng(seed)) for seed in range(100)]
    assert all(belly.fluid_mm > 0 or belly.growth is not None for belly in drawn)
    assert {belly.fluid_mm > 0 and belly.growth is not None for belly in drawn} == {True, False}


def test_volumes_have_full_bellies_only_when_asked() -> None:
    plain, again, full = (
        sample_training_volume(np.random.default_rng(3), 64, region="abdomen", full_belly=asked)
        for asked in (False, False, True)
    )
    np.testing.assert_array_equal(plain.hu, again.hu)
    assert full.hu.shape == plain.hu.shape
    assert full.landmarks == plain.landmarks
    assert (full.hu != plain.hu).mean() > 0.05
