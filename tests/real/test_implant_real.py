"""Grafting into real CT: the zones, the hand-set voxels, a mask series, and a cohort of two patients."""

from __future__ import annotations

import numpy as np
import pytest

from lesiongraph.mining import mine_sources
from lesiongraph.phantom.grafting import CohortOptions, generate_cohort, read_grafted_truth
from lesiongraph.phantom.grafting.backgrounds import find_backgrounds, read_volume
from lesiongraph.phantom.grafting.levels import find_levels
from lesiongraph.phantom.grafting.organs import organ_masks
from lesiongraph.phantom.grafting.public_sets import balls_of
from lesiongraph.phantom.grafting.tissue_masks import find_masks
from lesiongraph.phantom.grafting.zones import find_zones

UPPER_ABDOMEN = "CRLM-CT-1004"


@pytest.fixture(scope="module")
def folder(real_data):
    folder = real_data / "dicom" / UPPER_ABDOMEN
    if not folder.is_dir():
        pytest.skip(f"no {UPPER_ABDOMEN} in the real data")
    return folder


def test_the_zones_of_an_upper_abdomen(folder):
    (one,), left = find_backgrounds([folder])
    assert not left
    volume = read_volume(one)
    zones = find_zones(one, volume, find_levels(volume))
    hu, centres = zones.masks.hu, zones.centres
    assert 90 < np.median(hu[centres["liver"]]) < 140  # portal phase
    assert np.median(hu[centres["kidney"]]) > 150
    assert np.median(hu[centres["lung"]]) < -750
    assert np.median(hu[centres["bone"]]) > 150
    assert not centres["pelvis"].any()  # the scan ends above the crest
    assert not (centres["liver"] & centres["kidney"]).any()
    assert not (centres["bone"] & centres["abdomen"]).any()
    # a liver of one to two litres, two kidneys of one to three decilitres each
    voxel_ml = np.prod(zones.masks.pixel_mm) * zones.masks.interval_mm / 1000
    assert 0.5 < centres["liver"].sum() * voxel_ml / 1000 < 2
    assert 0.2 < centres["kidney"].sum() * voxel_ml / 1000 < 0.6


def test_the_hand_set_voxels_of_the_liver_lie_in_it(folder):
    (one,), _ = find_backgrounds([folder])
    volume = read_volume(one)
    balls = [ball for ball in balls_of(one.uid) if ball.kind == "liver"]
    assert len(balls) == 5
    for ball in balls:
        near = volume.hu[ball.slice_index, ball.row - 3 : ball.row + 4, ball.column - 3 : ball.column + 4]
        assert 80 < np.median(near) < 160, ball


def test_a_mask_series_is_paired_with_its_slices(real_data):
    folder = real_data / "dicom" / "3Dircadb1.17"
    if not folder.is_dir():
        pytest.skip("no 3Dircadb1.17 in the real data")
    (one,), _ = find_backgrounds([folder])
    volume = read_volume(one)
    masks = find_masks(volume)
    found = organ_masks(one, masks)
    assert set(found) == {"liver", "keep out"}
    assert 80 < np.median(masks.hu[found["liver"] & ~found["keep out"]]) < 140
    assert (found["keep out"] & found["liver"]).sum() > 0.5 * found["keep out"].sum()


def test_a_cohort_is_mined_like_any_archive(folder, tmp_path):
    counts = generate_cohort(tmp_path / "H", 2, CohortOptions((folder,), 4, open_licence_only=True))
    truth = read_grafted_truth(tmp_path / "H" / "truth" / "truth.csv")
    assert set(truth["licence"]) == {"CC BY 4.0"}
    assert counts["backgrounds with pelvis"] == 0
    mined = mine_sources([tmp_path / "H" / "dicom"])
    right = truth[truth["marked"] & (truth["wrong_on_purpose"] == "")]
    kept = mined.lesions[mined.lesions["status"] == "kept"].set_index("tracking_uid")
    assert set(right["tracking_uid"]) <= set(kept.index)
    assert (mined.series["slices"] >= 30).all()
    assert mined.series["rows"].between(200, 512).all()
