"""Rendered series: what a radiologist would look for is there, and the truth fits the pixels."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from lesiongraph.lesion import LESION_TYPES
from lesiongraph.phantom.anatomy import Anatomy, sample_anatomy
from lesiongraph.phantom.lesions import PhantomLesion, place_lesion
from lesiongraph.phantom.render import (
    REGIONS,
    RenderedSeries,
    ScanPlan,
    render,
    sample_scan,
)
from lesiongraph.phantom.tissues import sample_tissues


@pytest.fixture(scope="module")
def adult() -> Anatomy:
    return sample_anatomy(np.random.default_rng(2))


@pytest.fixture(scope="module")
def plan(adult: Anatomy) -> ScanPlan:
    whole = sample_scan(adult, np.random.default_rng(0), rows=192, region="chest-abdomen-pelvis")
    return replace(
        whole, pixel_mm=2.4, centre_x_mm=0.0, centre_y_mm=10.0, slice_interval_mm=10.0, noise_hu=6.0,
        kernel="smooth", rotation_deg=0.0, breath_mm=0.0, contrast_phase="portal", table=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def lesions(adult: Anatomy) -> list[PhantomLesion]:
    rng = np.random.default_rng(4)
    return [place_lesion(adult, kind, 32.0, n, rng) for n, kind in enumerate(LESION_TYPES)]


@pytest.fixture(scope="module")
def series(adult: Anatomy, plan: ScanPlan, lesions: list[PhantomLesion]) -> RenderedSeries:
    return render(adult, lesions, plan, np.random.default_rng(9))


def _slice_at(series: RenderedSeries, adult: Anatomy, template_mm: float) -> np.ndarray:
    z = float(adult.patient_z(template_mm))
    return series.hu[int(np.argmin(np.abs(series.positions_mm - z)))]


def test_the_series_has_the_shape_of_its_plan(series: RenderedSeries, plan: ScanPlan, adult: Anatomy) -> None:
    assert series.hu.shape == (plan.slices, 192, 192)
    assert series.hu.dtype == np.int16
    assert series.hu.min() >= -1024
    np.testing.assert_allclose(np.diff(series.positions_mm), 10.0)
    np.testing.assert_allclose(series.z01, [adult.z01(z) for z in series.positions_mm])


def test_one_random_state_gives_the_same_pixels(
    adult: Anatomy, plan: ScanPlan, lesions: list[PhantomLesion], series: RenderedSeries
) -> None:
    again = render(adult, lesions, plan, np.random.default_rng(9))
    np.testing.assert_array_equal(again.hu, series.hu)


def test_lungs_are_air_spine_is_bone_liver_is_soft(series: RenderedSeries, adult: Anatomy) -> None:
    chest = _slice_at(series, adult, 240)
    columns = np.arange(192) - 95.5
    lungs = chest[60:120][:, (np.abs(columns) * 2.4 > 80) & (np.abs(columns) * 2.4 < 105)]
    assert np.median(lungs) < -750
    assert _slice_at(series, adult, 300).max() > 350
    belly = _slice_at(series, adult, 360)
    right_lobe = belly[80:100, 60:75]  # the patient's right is on the left of the image
    assert 40 < np.median(right_lobe) < 170
    assert np.median(series.hu[:, :4]) < -950


def test_organs_are_seen_from_head_to_foot(series: RenderedSeries) -> None:
    order = ["lung", "heart", "liver", "left kidney", "bladder"]
    tops = [series.organ_ranges[organ][0] for organ in order]
    assert tops == sorted(tops)
    assert all(first <= last for first, last in series.organ_ranges.values())


def test_masks_lie_where_the_lesions_are(
    series: RenderedSeries, lesions: list[PhantomLesion], plan: ScanPlan
) -> None:
    assert set(series.lesion_masks) == {lesion.identity for lesion in lesions}
    for lesion in lesions:
        (first, row, column), block = series.lesion_masks[lesion.identity]
        assert block.any(axis=(1, 2)).all()
        assert first + len(block) <= len(series.hu)
        at = np.argwhere(block) + np.array([first, row, column])
        x = (at[:, 2].mean() - 95.5) * plan.pixel_mm + plan.centre_x_mm
        y = (at[:, 1].mean() - 95.5) * plan.pixel_mm + plan.centre_y_mm
        z = series.positions_mm[at[:, 0]].mean()
        # The smooth warp moves everything by up to about a centimetre.
        assert np.hypot(x - lesion.centre_mm[0], y - lesion.centre_mm[1]) < 16
        assert abs(z - lesion.centre_mm[2]) < 16


def test_the_mask_is_as_long_as_the_lesion(adult: Anatomy, plan: ScanPlan) -> None:
    lesion = place_lesion(adult, "liver", 40.0, 7, np.random.default_rng(11))
    z = lesion.centre_mm[2]
    close = replace(plan, top_mm=z, bottom_mm=z + 1, slice_interval_mm=2.0, pixel_mm=1.0)
    close = replace(close, centre_x_mm=lesion.centre_mm[0], centre_y_mm=lesion.centre_mm[1])
    block = render(adult, [lesion], close, np.random.default_rng(0)).lesion_masks[7][1][0]
    points = np.argwhere(block)
    longest = np.sqrt(((points[:, None] - points[None]) ** 2).sum(-1)).max()
    assert 30 < longest < 52


def test_a_lung_nodule_is_denser_than_the_lung_round_it(adult: Anatomy, plan: ScanPlan) -> None:
    rng = np.random.default_rng(3)
    lesion = replace(place_lesion(adult, "lung", 24.0, 1, rng), look="solid", spiculation=0.0, core=0.0)
    z = lesion.centre_mm[2]
    image = render(adult, [lesion], replace(plan, top_mm=z, bottom_mm=z + 1), rng)
    (_, row, column), block = image.lesion_masks[1]
    inside = image.hu[0, row : row + block.shape[1], column : column + block.shape[2]][block[0]]
    assert np.median(inside) > -100


def test_a_lesion_outside_the_scan_has_no_mask(adult: Anatomy, plan: ScanPlan) -> None:
    lesion = place_lesion(adult, "pelvis", 20.0, 5, np.random.default_rng(0))
    top = float(adult.patient_z(150))
    chest = replace(plan, top_mm=top, bottom_mm=top + 60)
    assert render(adult, [lesion], chest, np.random.default_rng(0)).lesion_masks == {}


def test_follow_up_shows_the_same_patient(adult: Anatomy, plan: ScanPlan, series: RenderedSeries) -> None:
    later = render(adult, [], replace(plan, contrast_phase="none"), np.random.default_rng(77))
    other = render(sample_anatomy(np.random.default_rng(50)), [], plan, np.random.default_rng(77))
    bone, bone_later, bone_other = (volume.hu[10:50] > 300 for volume in (series, later, other))

    def overlap(a: np.ndarray, b: np.ndarray) -> float:
        return float((a & b).sum() / (a | b).sum())

    assert overlap(bone, bone_later) > 0.6
    assert overlap(bone, bone_other) < 0.5


@pytest.mark.parametrize("region", REGIONS)
def test_every_region_is_scanned_head_to_foot(adult: Anatomy, region: str) -> None:
    plans = [sample_scan(adult, np.random.default_rng(seed), region=region) for seed in range(20)]
    assert all(p.top_mm < p.bottom_mm and p.region == region for p in plans)
    assert {p.slice_interval_mm for p in plans} <= {1.0, 1.25, 2.0, 2.5, 3.0, 5.0}
    assert all(0.5 < p.pixel_mm < 2.1 for p in plans)


def test_plans_differ_between_studies(adult: Anatomy) -> None:
    plans = [sample_scan(adult, np.random.default_rng(seed)) for seed in range(60)]
    assert {p.arms_up for p in plans} == {True, False}
    assert {p.kernel for p in plans} == {"smooth", "sharp"}
    assert len({p.contrast_phase for p in plans}) == 4
    assert len({p.region for p in plans}) >= 5
    assert min(p.pixel_mm for p in plans) * 256 < 330


def test_unknown_region_and_phase_are_refused(adult: Anatomy) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="region 'head'"):
        sample_scan(adult, rng, region="head")
    with pytest.raises(ValueError, match="contrast phase 'late'"):
        sample_tissues("late", 50, rng)


def test_rendering_is_fast_enough_for_the_demo(adult: Anatomy, plan: ScanPlan) -> None:
    """The demo's budget allows about 16 ms a slice of 256 px; the limit here leaves room for slow CI."""
    large = replace(plan, rows=256, columns=256, pixel_mm=1.8, slice_interval_mm=25.0)
    render(adult, [], large, np.random.default_rng(0))
    start = time.process_time()
    slices = len(render(adult, [], large, np.random.default_rng(0)).hu)
    assert (time.process_time() - start) / slices < 0.05
