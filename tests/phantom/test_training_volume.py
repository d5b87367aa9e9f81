"""Training volumes: in order from head to foot, varied, with landmarks where they are drawn."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from lesiongraph.phantom import TrainingPhantom, sample_plain_volume, sample_training_volume
from lesiongraph.phantom.anatomy import sample_anatomy
from lesiongraph.phantom.artefacts import Scanner, ScannerLook
from lesiongraph.phantom.contours import skin_outline
from lesiongraph.phantom.implants import sample_implants
from lesiongraph.phantom.painting import paint_slice
from lesiongraph.phantom.pathology import Pathology
from lesiongraph.phantom.scan import REGIONS
from lesiongraph.phantom.skeleton import thoracic_bones
from lesiongraph.phantom.tissues import sample_tissues
from lesiongraph.phantom.training_body import (
    TrainingStudy,
    landmark_heights_mm,
    sample_pose,
    sample_training_anatomy,
)
from lesiongraph.phantom.training_bones import raised_girdle, training_pelvis
from lesiongraph.phantom.training_limbs import ArmPose, pose_arms
from lesiongraph.phantom.training_view import (
    TRAINING_REGIONS,
    Aperture,
    interval_blend,
    sample_training_plan,
)

ORDER = ("hyoid", "thoracic inlet", "aortic arch", "carina", "heart", "liver dome", "pancreas",
         "iliac crest", "sacral promontory", "femoral head", "ischial tuberosity", "mid thigh")  # fmt: skip
QUIET = ScannerLook(
    noise_hu=0.0, streaks=0.0, unmodulated=0.5, hardening=0.0, blur_mm=0.0, sharpen=0.0, gain=1.0,
    offset_hu=0.0, cut_hu=(-1024, 3071), metal=400.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def volumes() -> list[TrainingPhantom]:
    return [sample_training_volume(np.random.default_rng(seed), 96) for seed in range(8)]


@pytest.fixture(scope="module")
def studies() -> list[TrainingStudy]:
    return [_study(seed) for seed in range(6)]


def _study(seed: int) -> TrainingStudy:
    """A whole-body study of coarse slices, all of it in view, level, with both kidneys and a plain liver."""
    rng = np.random.default_rng(seed)
    anatomy = sample_training_anatomy(rng)
    plan = replace(sample_training_plan(anatomy, rng, 128, "neck-to-thigh"), pixel_mm=4.2, rotation_deg=0.0,
                   centre_x_mm=0.0, centre_y_mm=5.0, slice_interval_mm=4.0, table=False)  # fmt: skip
    pose = replace(sample_pose(rng, "neck-to-thigh"), pathology=Pathology())
    z_mm = plan.top_mm + 4.0 * np.arange(plan.slices)
    tissues = sample_tissues("portal", 50, rng)
    return TrainingStudy(anatomy, plan, tissues, z_mm, rng, pose=pose)


def test_volumes_run_from_head_to_foot(volumes: list[TrainingPhantom]) -> None:
    for volume in volumes:
        assert volume.hu.dtype == np.int16
        assert volume.hu.shape == (len(volume.z01), 96, 96)
        assert np.all(np.diff(volume.z01) > 0)
        assert 2 <= volume.interval_mm < 14
        assert 0.5 < volume.pixel_mm < 8
    assert len({float(volume.z01[0]) for volume in volumes}) == len(volumes)


def test_one_random_state_gives_one_volume(volumes: list[TrainingPhantom]) -> None:
    again = sample_training_volume(np.random.default_rng(3), 96)
    np.testing.assert_array_equal(again.hu, volumes[3].hu)
    assert again.landmarks == volumes[3].landmarks


def test_landmarks_lie_within_the_scan_in_anatomical_order(volumes: list[TrainingPhantom]) -> None:
    for volume in volumes:
        assert all(0 <= at <= len(volume.hu) - 1 for at in volume.landmarks.values())
        seen = [volume.landmarks[name] for name in ORDER if name in volume.landmarks]
        assert all(a < b for a, b in pairwise(seen))


@pytest.mark.parametrize("region", TRAINING_REGIONS)
def test_every_region_can_be_asked_for(region: str) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        plan = sample_training_plan(sample_training_anatomy(rng), rng, 64, region)
        assert plan.region == region
        assert plan.top_mm < plan.bottom_mm
        assert 2 <= plan.slices <= 91


def test_an_unknown_region_is_refused() -> None:
    with pytest.raises(ValueError, match="region 'knee': expected one of head-neck"):
        sample_training_volume(np.random.default_rng(0), 64, region="knee")


def test_views_differ_more_than_a_hospitals() -> None:
    plans = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        anatomy = sample_training_anatomy(rng)
        plan = sample_training_plan(anatomy, rng, 64)
        widest = 2 * float(skin_outline(anatomy, np.linspace(plan.top_mm, plan.bottom_mm, 9)).half_x.max())
        plans.append((plan.pixel_mm * 64 / widest, plan.bottom_mm - plan.top_mm, plan.region))
    share, length, region = zip(*plans, strict=True)
    assert np.mean(np.array(share) < 0.8) > 0.15  # the view cuts the body
    assert np.mean(np.array(share) > 1.3) > 0.1  # the body is small in the view
    assert np.mean(np.array(length) < 150) > 0.08
    assert np.mean(np.array(length) > 550) > 0.2
    assert set(region) == set(TRAINING_REGIONS)


def test_bodies_range_from_emaciated_to_very_obese() -> None:
    fat = [sample_training_anatomy(np.random.default_rng(seed)).subcutaneous_mm for seed in range(150)]
    assert min(fat) < 5
    assert max(fat) > 45


def test_organs_keep_their_order_however_they_wander() -> None:
    for seed in range(60):
        true, own = sample_pose(np.random.default_rng(seed), "chest").organ_knots_mm
        assert np.all(np.diff(true) > 0)
        assert np.all(np.diff(own) > 0)


def test_real_proportions_hold_on_average() -> None:
    """Means of the real volumes as printed by tools/phantom_proportions.py (mm)."""
    heights = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        heights.append(landmark_heights_mm(sample_training_anatomy(rng), sample_pose(rng, "chest")))
    mean = {name: float(np.mean([h[name] for h in heights])) for name in heights[0]}
    assert mean["kidney hilum"] - mean["carina"] == pytest.approx(196, abs=12)
    assert mean["liver dome"] - mean["carina"] == pytest.approx(93, abs=12)
    assert mean["iliac crest"] - mean["liver dome"] == pytest.approx(222, abs=15)
    assert mean["sacral promontory"] - mean["iliac crest"] == pytest.approx(36, abs=15)


def test_landmarks_stand_where_the_organs_are_drawn(studies: list[TrainingStudy]) -> None:
    for study in studies:
        heights = landmark_heights_mm(study.anatomy, study._pose)
        for i in range(len(study.z_mm)):
            paint_slice(study, i)
        spans = {organ: study.z_mm[[seen[0], seen[-1]]] for organ, seen in study.organ_slices.items()}
        assert abs(heights["liver dome"] - spans["liver"][0]) < 12
        kidneys = np.mean([spans["left kidney"].mean(), spans["right kidney"].mean()])
        assert abs(heights["kidney hilum"] - kidneys) < 12
        assert abs(heights["iliac crest"] - spans["ilium"][0]) < 10
        assert spans["heart"][0] < heights["heart"] < spans["heart"][1]


def test_arms_lie_where_their_pose_says() -> None:
    anatomy = sample_anatomy(np.random.default_rng(0))
    z = np.asarray(anatomy.patient_z(np.arange(-100.0, 900, 4)))
    skin = skin_outline(anatomy, z)
    belly = float(anatomy.patient_z(440.0))

    def sections(place: str) -> list[np.ndarray]:
        tubes, _ = pose_arms(anatomy, (ArmPose(place, (0, 0, 0)), ArmPose("none", (0, 0, 0))), skin, z)
        at = [tube.sections(belly) for tube in tubes]
        return [section for section in at if section[2] > 2 and abs(section[0]) > 1]

    assert sections("up") == []
    assert sections("none") == []
    (beside,) = sections("down")
    (over,) = sections("belly")
    front = float(np.interp(belly, z, skin.centre_y - skin.half_y))
    assert beside[0] > float(np.interp(belly, z, skin.half_x))
    assert over[1] < front + 20


def test_overlapping_pelvic_pieces_look_like_one_bone() -> None:
    anatomy = sample_anatomy(np.random.default_rng(0))
    bones = training_pelvis(anatomy, 0.0)
    hips = [bone.inside for bone in bones if bone.organ == "ilium"]
    assert hips.index("spongiosa") == sum(inside == "cortex" for inside in hips)  # insides after all shells


def test_the_iliac_crest_moves_alone() -> None:
    anatomy = sample_anatomy(np.random.default_rng(0))

    def top(crest_mm: float, organ: str) -> float:
        return min(float(b.tube.z_mm[0]) for b in training_pelvis(anatomy, crest_mm) if b.organ == organ)

    moved = float(anatomy.patient_z(514.0) - anatomy.patient_z(502.0))
    assert top(12.0, "ilium") - top(0.0, "ilium") == pytest.approx(moved)
    assert top(12.0, "femur") == top(0.0, "femur")


def test_a_raised_girdle_takes_the_scapulae_along() -> None:
    bones = thoracic_bones(sample_anatomy(np.random.default_rng(0)))
    for before, after in zip(bones, raised_girdle(bones, 9.0), strict=True):
        lift = 9.0 if before.organ == "scapula" else 0.0
        np.testing.assert_allclose(before.tube.z_mm - after.tube.z_mm, lift)


def test_nearly_every_slice_shows_a_body(volumes: list[TrainingPhantom]) -> None:
    shown = np.concatenate([(volume.hu > -150).mean(axis=(1, 2)) > 0.02 for volume in volumes])
    assert shown.mean() > 0.97


def test_tilt_and_thickness_keep_a_ramp_and_move_a_tilted_one() -> None:
    ramp = np.repeat(np.arange(9, dtype=np.float32)[:, None, None], 5, axis=1)
    rows_mm = np.array([-20.0, -10, 0, 10, 20])
    np.testing.assert_allclose(interval_blend(ramp, 5.0, 0.0, rows_mm, 1.0)[1:-1], ramp[1:-1], atol=1e-5)
    tilted = interval_blend(ramp, 5.0, 0.1, rows_mm, 0.0)
    np.testing.assert_allclose(tilted[4, :, 0], 4 + 0.1 * rows_mm / 5, atol=1e-5)


def test_noise_grows_with_what_the_beam_crosses() -> None:
    slab = np.full((64, 64), -1000, np.float32)
    slab[8:24] = 0  # a wide part and, below, a narrow one
    slab[40:56, 24:40] = 0
    look = replace(QUIET, noise_hu=8.0, unmodulated=0.9)
    scanner = Scanner(look, (64, 64), 6.0, np.random.default_rng(0))
    noisy = np.stack([scanner.spoil(slab, []) - slab for _ in range(20)])
    assert noisy[:, 8:24].std() > 1.3 * noisy[:, 40:56, 24:40].std()


def test_beams_harden_between_dense_bones() -> None:
    hips = np.zeros((64, 64), np.float32)
    hips[28:36, 10:18] = hips[28:36, 46:54] = 900
    scanner = Scanner(replace(QUIET, hardening=1.5), (64, 64), 4.0, np.random.default_rng(0))
    seen = scanner.spoil(hips, [])
    assert seen[30:34, 28:36].mean() < -20
    assert abs(seen[8:12, 28:36].mean()) < 2


def test_metal_streaks_fade_with_distance() -> None:
    scanner = Scanner(QUIET, (96, 96), 2.0, np.random.default_rng(1))
    rays = scanner.spoil(np.zeros((96, 96), np.float32), [(48.0, 48.0, 6.0, 1.0)])
    assert rays[42:54, 42:54].std() > 100
    assert rays[:10].std() < 0.5 * rays[42:54, 42:54].std()


def test_the_circle_is_padded() -> None:
    hu = np.zeros((2, 40, 40), np.float32)
    Aperture((19.5, 19.5), 20.0, -2000, 0.0).apply(hu)
    assert hu[0, 0, 0] == -2000
    assert hu[0, 20, 20] == 0
    assert np.mean(hu == -2000) == pytest.approx(1 - np.pi / 4, abs=0.03)


def test_some_bodies_carry_metal_and_most_do_not() -> None:
    counts = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        counts.append(len(sample_implants(sample_anatomy(rng), rng)))
    assert 0.2 < np.mean(np.array(counts) == 0) < 0.8


def test_ascites_turns_the_mesentery_to_fluid() -> None:
    rng = np.random.default_rng(0)
    dry = sample_tissues("none", 60, rng)
    assert Pathology(ascites=1.0).alter(dry, rng)["mesentery"] == pytest.approx(8.0)


def test_a_training_study_needs_its_pose(studies: list[TrainingStudy]) -> None:
    one = studies[0]
    with pytest.raises(ValueError, match="pose: expected the BodyPose"):
        TrainingStudy(one.anatomy, one.plan, one.tissues, one.z_mm, np.random.default_rng(0))


def test_a_plain_volume_looks_as_the_hospital_scans_it() -> None:
    volume, again = (sample_plain_volume(np.random.default_rng(5), 96) for _ in range(2))
    assert np.array_equal(volume.hu, again.hu)
    assert (np.diff(volume.z01) > 0).all()
    assert volume.region in REGIONS
    at = [volume.landmarks[name] for name in ORDER if name in volume.landmarks]
    assert len(at) >= 3
    assert all(above < below for above, below in pairwise(at))


def test_volumes_differ(volumes: list[TrainingPhantom]) -> None:
    assert len({hashlib.sha256(volume.hu.tobytes()).hexdigest() for volume in volumes}) == len(volumes)
