"""One synthetic adult: heights in order, alike in every study, cheap to send to another process."""

from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pytest

from lesiongraph.phantom.anatomy import TEMPLATE_LANDMARKS, Anatomy, sample_anatomy
from lesiongraph.phantom.contours import cavity_outline, muscle_outline, skin_outline

PATIENTS = [sample_anatomy(np.random.default_rng(seed)) for seed in range(12)]


def test_one_random_state_gives_one_adult() -> None:
    first, again = (sample_anatomy(np.random.default_rng(3)) for _ in range(2))
    assert first == again
    assert first != sample_anatomy(np.random.default_rng(4))


def test_an_adult_survives_pickling_and_serves_as_a_key() -> None:
    adult = PATIENTS[0]
    assert pickle.loads(pickle.dumps(adult)) == adult
    assert len(pickle.dumps(adult)) < 2000
    assert len({adult, sample_anatomy(np.random.default_rng(0))}) == 1


@pytest.mark.parametrize("adult", PATIENTS)
def test_landmarks_come_in_anatomical_order(adult: Anatomy) -> None:
    heights = adult.landmarks
    order = ["thoracic inlet", "carina", "liver dome", "kidney hilum", "iliac crest", "femoral head"]
    assert all(heights[a] < heights[b] for a, b in pairwise(order))
    assert 1350 < adult.height_mm < 2150


def test_equal_anatomy_has_equal_z_in_every_patient() -> None:
    # The domes move with the diaphragm; everything fixed to the skeleton shares one z.
    fixed = [name for name in TEMPLATE_LANDMARKS if name != "liver dome"]
    zs = np.array([[adult.z01(adult.landmarks[name]) for name in fixed] for adult in PATIENTS])
    assert np.ptp(zs, axis=0).max() < 1e-9
    assert zs.min() > 0
    assert zs.max() < 1


def test_z_rises_from_the_vertex_to_the_sole() -> None:
    for adult in PATIENTS:
        z = adult.relative_z(np.linspace(0, adult.height_mm, 200))
        assert np.all(np.diff(z) > 0)
        assert z[0] == pytest.approx(0)
        assert z[-1] == pytest.approx(1)


def test_template_and_patient_heights_are_inverse() -> None:
    z = np.linspace(-150, 850, 60)
    for adult in PATIENTS:
        np.testing.assert_allclose(adult.template_z(adult.patient_z(z)), z, atol=1e-9)


def test_proportions_are_those_of_adults() -> None:
    # Hip centre near the middle of the body, carina near a quarter, as in anthropometric tables.
    adult = PATIENTS[0]
    assert adult.z01(adult.landmarks["femoral head"]) == pytest.approx(0.50, abs=0.03)
    assert adult.z01(adult.landmarks["carina"]) == pytest.approx(0.227, abs=0.02)


def test_cavity_lies_in_muscle_lies_in_skin() -> None:
    for adult in PATIENTS:
        z = adult.patient_z(np.linspace(110, 700, 80))
        skin, muscle, cavity = skin_outline(adult, z), muscle_outline(adult, z), cavity_outline(adult, z)
        assert np.all(skin.half_x > muscle.half_x)
        assert np.all(skin.half_y > muscle.half_y)
        assert np.all(muscle.half_x > cavity.half_x + 4)


def test_a_trait_is_drawn_alike_in_every_study() -> None:
    adult = PATIENTS[0]
    assert adult.rng("liver").random() == adult.rng("liver").random()
    assert adult.rng("liver").random() != adult.rng("spleen").random()
