"""Lesions lie where they belong, have the size asked for, and can be told apart only with an effort."""

from __future__ import annotations

import numpy as np
import pytest

from lesiongraph.lesion import LESION_TYPES
from lesiongraph.phantom.anatomy import Anatomy, sample_anatomy
from lesiongraph.phantom.contours import cavity_outline, skin_outline
from lesiongraph.phantom.lesions import PhantomLesion, place_lesion
from lesiongraph.phantom.organs import abdomen_parts

# Shares of the eight types among DeepLesion's typed lesions, in the order of LESION_TYPES.
SHARES = np.array([0.025, 0.22, 0.17, 0.13, 0.245, 0.05, 0.07, 0.09])


def _place(adult: Anatomy, lesion_type: str, count: int, long_axis_mm: float = 14.0) -> list[PhantomLesion]:
    rng = np.random.default_rng(1)
    return [place_lesion(adult, lesion_type, long_axis_mm, n, rng) for n in range(count)]


@pytest.fixture(scope="module")
def adult() -> Anatomy:
    return sample_anatomy(np.random.default_rng(2))


@pytest.mark.parametrize("lesion_type", LESION_TYPES)
def test_every_type_lies_inside_the_body_with_the_size_asked_for(adult: Anatomy, lesion_type: str) -> None:
    for lesion in _place(adult, lesion_type, 40):
        assert lesion.type == lesion_type
        assert 2 * lesion.radii_mm[0] == pytest.approx(14.0)
        assert lesion.radii_mm[1] <= lesion.radii_mm[0]
        x, y, z = (np.array([value]) for value in lesion.centre_mm)
        radius = float(skin_outline(adult, z).radius_at(x, y)[0])
        assert radius < 1.0 or lesion.organ in ("breast", "axilla")


def test_liver_lesions_lie_in_the_liver(adult: Anatomy) -> None:
    liver = [part.tube for part in abdomen_parts(adult) if part.organ == "liver"]
    for lesion in _place(adult, "liver", 40):
        centre = np.array([lesion.centre_mm])
        assert min(float(shape.radius_at(centre)[0]) for shape in liver) < 1


def test_lung_lesions_lie_in_the_chest_at_the_height_of_the_lungs(adult: Anatomy) -> None:
    for lesion in _place(adult, "lung", 40):
        x, y, z = (np.array([value]) for value in lesion.centre_mm)
        assert float(cavity_outline(adult, z).radius_at(x, y)[0]) < 1.03
        assert 100 < float(adult.template_z(z)[0]) < 392


def test_chest_belly_and_pelvis_follow_each_other(adult: Anatomy) -> None:
    z = {
        kind: float(np.median([adult.z01(lesion.centre_mm[2]) for lesion in _place(adult, kind, 40)]))
        for kind in ("mediastinum", "liver", "kidney", "pelvis")
    }
    assert z["mediastinum"] < z["liver"] < z["kidney"] < z["pelvis"]


def test_one_random_state_gives_one_lesion(adult: Anatomy) -> None:
    assert _place(adult, "lung", 5) == _place(adult, "lung", 5)


def test_growth_scales_all_radii_and_keeps_the_identity(adult: Anatomy) -> None:
    lesion = _place(adult, "abdomen", 1)[0]
    grown = lesion.scaled(2.0)
    assert grown.radii_mm == pytest.approx(tuple(2 * r for r in lesion.radii_mm))
    assert (grown.identity, grown.centre_mm, grown.seed) == (lesion.identity, lesion.centre_mm, lesion.seed)
    drifted = lesion.scaled(2.0, np.random.default_rng(0))
    np.testing.assert_allclose(drifted.radii_mm, grown.radii_mm, rtol=0.13)
    assert drifted.contrast_hu != lesion.contrast_hu


@pytest.mark.parametrize("factor", [0.0, -1.0])
def test_a_lesion_does_not_shrink_to_nothing(adult: Anatomy, factor: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        _place(adult, "lung", 1)[0].scaled(factor)


def test_unknown_type_and_impossible_size_are_refused(adult: Anatomy) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="expected one of bone"):
        place_lesion(adult, "brain", 10, 0, rng)
    with pytest.raises(ValueError, match="positive length"):
        place_lesion(adult, "lung", 0, 0, rng)


def test_location_alone_misses_the_type_often_enough() -> None:
    """The five nearest by (x, y, z) differ in type for a fifth to a third, as in the paper's Table 1."""
    rng = np.random.default_rng(5)
    types, points = [], []
    for _ in range(160):
        adult = sample_anatomy(rng)
        for kind in rng.choice(8, size=5, p=SHARES / SHARES.sum()):
            lesion = place_lesion(adult, LESION_TYPES[kind], 15.0, 0, rng)
            x, y, z = lesion.centre_mm
            skin = skin_outline(adult, np.array([z]))
            across = (x / skin.half_x[0] + 1) / 2
            down = ((y - skin.centre_y[0]) / skin.half_y[0] + 1) / 2
            types.append(int(kind))
            points.append((across, down, adult.z01(z)))
    where = np.array(points) / np.max(points, axis=0)
    distances = np.linalg.norm(where[:, None] - where[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1)[:, :5]
    missed = np.mean(np.array(types)[nearest] != np.array(types)[:, None])
    assert 0.18 < missed < 0.40
