"""Body mask, location and patches on real CT."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from body_fakes import with_metal
from imaging_fakes import ellipse
from scipy import ndimage

from lesiongraph.imaging import (
    FLAG_NO_BODY,
    body_mask,
    cut_patch,
    on_body,
    plain_from_stated_xy,
    relative_xy,
    relative_xy_as_stated,
    seen_box,
    whole_body_box,
)
from lesiongraph.lesion import KEPT, BoundingBox
from lesiongraph.mining import mine_sources, open_series
from lesiongraph.recipe import ImagingRecipe

pytestmark = pytest.mark.real

_FOLDERS = (
    "LIDC-IDRI-0001",
    "LUNG1-001_tcia",
    "Pancreas-CT-CB_001",
    "CRLM-CT-1004",
    "Lung_Dx-A0001_s3",
    "3Dircadb1.17",
    "ACRIN-FLT-Breast_001_19600101",
)


def _each_series(result):
    for _, row in result.series.iterrows():
        series = row.to_dict()
        slices = result.slices[result.slices["series_instance_uid"] == row["series_instance_uid"]]
        yield series, slices.sort_values("slice_index")


def _spacing(series):
    return series["spacing_y_mm"], series["spacing_x_mm"]


def _kept(result):
    """(lesion, box, series, slices) of the marks that have an image."""
    rows = {series["series_instance_uid"]: (series, slices) for series, slices in _each_series(result)}
    lesions = result.lesions
    for lesion in lesions[(lesions["status"] == KEPT) & (lesions["slice_index"] >= 0)].itertuples():
        box = BoundingBox(lesion.x0, lesion.y0, lesion.x1, lesion.y1)
        yield lesion, box, *rows[lesion.series_instance_uid]


@pytest.mark.parametrize("folder", _FOLDERS)
def test_body_is_found_and_holds_its_soft_tissue(real_data, folder):
    source = real_data / "dicom" / folder
    if not source.is_dir():
        pytest.skip(f"{source} not found")
    for series, slices in _each_series(mine_sources([source])):
        indices = slices["slice_index"].to_numpy()[::20]
        for hu in open_series(series, slices).read(indices):
            body = body_mask(hu, _spacing(series))
            assert body.flag != FLAG_NO_BODY
            assert 0.03 < body.mask.mean() < 0.95
            # nothing large and dense may be left out: an arm is in `limbs`, a table is a thin shell
            left_out = ndimage.binary_opening((hu > -200) & ~body.patient, np.ones((25, 25)))
            assert left_out.sum() < 200
            # nor may the mask reach over the air and the table beside the patient
            assert ndimage.binary_erosion(body.mask, np.ones((15, 15)))[hu < -985].mean() < 0.06


def test_the_table_and_the_view_of_zoomed_chests(real_data):
    """Patient 1 of DeepLesion: whole chest (3), cut at the sides (1), a corner of the chest (2)."""
    folder = real_data / "deeplesion_mini"
    zoomed = {"000001_01_01", "000001_02_01"}
    seen = set()
    for lesion, box, series, slices in _kept(mine_sources([folder])):
        hu = open_series(series, slices).read([lesion.slice_index])[0]
        body = body_mask(hu, _spacing(series))
        assert on_body(body.patient, box), lesion.lesion_id
        if lesion.series_instance_uid in zoomed:
            assert body.flag == "cut by the field of view"
            seen.add(lesion.series_instance_uid)
        if lesion.series_instance_uid == "000001_02_01":  # lungs open to the border are filled
            assert body.mask[np.flatnonzero(body.mask.any(1))[0] + 60 :].mean() > 0.95
    assert seen == zoomed


def test_zoomed_views_of_one_patient_agree_with_whole_ones(real_data):
    """Patient 1 of DeepLesion: lesions of the upper mediastinum, y about 0.2 in whole views."""
    y_seen, y_whole = {}, {}
    for lesion, box, series, slices in _kept(mine_sources([real_data / "deeplesion_mini"])):
        if lesion.series_instance_uid in {"000001_02_01", "000001_03_01"}:
            hu = open_series(series, slices).read([lesion.slice_index])[0]
            body = body_mask(hu, _spacing(series))
            uid = lesion.series_instance_uid
            y_seen.setdefault(uid, []).append(relative_xy(body.mask, box.centre)[1])
            whole = whole_body_box(hu, body, _spacing(series))
            y_whole.setdefault(uid, []).append(relative_xy(whole, box.centre)[1])
    truth = np.mean(y_seen["000001_03_01"])
    print("y: whole view, zoomed (box seen), zoomed (whole body):", truth, y_seen, y_whole)
    assert np.abs(np.array(y_seen["000001_02_01"]) - truth).min() > 0.2  # relative to what is seen
    assert np.abs(np.array(y_whole["000001_02_01"]) - truth).max() < 0.08


def test_cut_views_of_a_real_chest_keep_x_and_y(real_data):
    source = real_data / "dicom" / "CRLM-CT-1004"
    if not source.is_dir():
        pytest.skip(f"{source} not found")
    series, slices = next(_each_series(mine_sources([source])))
    off_seen, off_whole = [], []
    for hu in open_series(series, slices).read(slices["slice_index"].to_numpy()[::8]):
        mask = body_mask(hu, _spacing(series)).mask
        truth = seen_box(mask)
        left = round(0.75 * truth.x0 + 0.25 * truth.x1)  # a quarter of the body is lost
        point = (0.6 * truth.x0 + 0.4 * truth.x1, (truth.y0 + truth.y1) / 2)
        view = np.ascontiguousarray(hu[:, left:])
        body = body_mask(view, _spacing(series))
        there = (point[0] - left, point[1])
        off_seen.append(abs(relative_xy(body.mask, there)[0] - 0.4))
        off_whole.append(abs(relative_xy(whole_body_box(view, body, _spacing(series)), there)[0] - 0.4))
    print("x off, box seen and whole body (median):", np.median(off_seen), np.median(off_whole))
    assert np.median(off_whole) < 0.25 * np.median(off_seen)
    assert max(off_whole) < min(off_seen)


@pytest.mark.parametrize("window", [(-175, 275), (-160, 240)])
def test_a_picture_of_a_real_slice_has_the_slices_body(real_data, window):
    source = real_data / "dicom" / "LIDC-IDRI-0001"
    if not source.is_dir():
        pytest.skip(f"{source} not found")
    low, high = window
    series, slices = next(_each_series(mine_sources([source])))
    for hu in open_series(series, slices).read(slices["slice_index"].to_numpy()[55::25]):
        grey = np.rint((np.clip(hu, low, high) - low) / (high - low) * 255)
        picture = body_mask(np.rint(low + grey / 255 * (high - low)).astype(np.int16), _spacing(series)).mask
        mask = body_mask(hu, _spacing(series)).mask
        assert (picture & mask).sum() / (picture | mask).sum() > 0.95


def test_hip_prostheses_in_a_real_pelvis(real_data):
    source = real_data / "dicom" / "Pancreas-CT-CB_001"
    if not source.is_dir():
        pytest.skip(f"{source} not found")
    series, slices = next(_each_series(mine_sources([source])))
    hu = open_series(series, slices).read([int(slices["slice_index"].iloc[-1])])[0]
    clean = body_mask(hu, _spacing(series))
    box, mm = seen_box(clean.mask), series["spacing_x_mm"]
    heads = np.zeros(hu.shape, bool)
    for side in (0.27, 0.73):
        centre = 0.45 * box.y0 + 0.55 * box.y1, (1 - side) * box.x0 + side * box.x1
        heads |= ellipse(hu.shape, centre, (22 / mm, 22 / mm))
    scanned = body_mask(with_metal(hu, mm, heads), _spacing(series))
    assert scanned.flag == clean.flag
    assert (scanned.mask & clean.mask).sum() / (scanned.mask | clean.mask).sum() > 0.98


def test_stated_location_is_reproduced_and_ours_is_near(real_data):
    folder = real_data / "deeplesion"
    reproduced, ours = [], []
    for lesion, box, series, slices in _kept(mine_sources([folder])):
        hu = open_series(series, slices).read([lesion.slice_index])[0]
        stated = (lesion.x_stated, lesion.y_stated)
        reproduced.append(np.subtract(relative_xy_as_stated(hu, box.centre), stated))
        mask = body_mask(hu, _spacing(series)).mask
        ours.append(np.subtract(relative_xy(mask, box.centre), plain_from_stated_xy(stated)))
    assert len(ours) == 6
    assert np.abs(reproduced).max() < 1e-5
    print("ours − stated, rescaling undone (median, max):", np.median(np.abs(ours), 0), np.abs(ours).max(0))
    assert (np.median(np.abs(ours), axis=0) < (0.015, 0.006)).all()
    assert np.abs(ours).max() < 0.05  # where a piece of table widens the authors' box


def test_patches_show_the_same_tissue_at_1_mm(real_data):
    source = real_data / "dicom" / "LIDC-IDRI-0001"
    kept = list(_kept(mine_sources([source])))[:4]
    assert kept
    for lesion, box, series, slices in kept:
        reader = open_series(series, slices)
        patch = cut_patch(reader, series, slices, lesion.slice_index, box, ImagingRecipe())
        assert patch.scale_mm == 1.0
        assert patch.context_slices_mm == (-2.0, 0.0, 2.0)
        key = reader.read([lesion.slice_index])[0]
        inside = key[math.ceil(box.y0) : int(box.y1) + 1, math.ceil(box.x0) : int(box.x1) + 1]
        small = patch.box
        resampled = patch.hu[1][
            math.ceil(small.y0) : int(small.y1) + 1, math.ceil(small.x0) : int(small.x1) + 1
        ]
        assert resampled.mean() == pytest.approx(inside.mean(), abs=60)
        assert small.width_px == pytest.approx(box.width_px * series["spacing_x_mm"])
        # neighbours 2 mm away resemble the key slice, and are not it
        for channel in (0, 2):
            correlation = np.corrcoef(patch.hu[channel].ravel(), patch.hu[1].ravel())[0, 1]
            assert 0.8 < correlation < 0.9999


def test_a_real_slice_stored_upside_down_gives_the_same_patch(real_data):
    source = real_data / "dicom" / "CRLM-CT-1004"
    series, slices = next(_each_series(mine_sources([source])))
    index = int(slices["slice_index"].iloc[20])
    volume = open_series(series, slices).read(slices["slice_index"].tolist()[18:23])
    places = pd.Series(range(5), index=slices["slice_index"].tolist()[18:23])

    class Stored:
        def __init__(self, step):
            self.step = step

        def read(self, slice_indices):
            return volume[places[list(slice_indices)].to_numpy(), :: self.step]

    box = BoundingBox(150.0, 200.0, 190.0, 230.0)
    rows, columns = volume.shape[1:]
    plain = dict(series, flip_x=False, flip_y=False)
    straight = cut_patch(Stored(1), plain, slices, index, box, ImagingRecipe())
    flipped = cut_patch(
        Stored(-1),
        dict(plain, flip_y=True),
        slices,
        index,
        box.flipped(columns, rows, False, True),
        ImagingRecipe(),
    )
    assert (flipped.hu == straight.hu).all()
    assert dataclasses.astuple(flipped.box) == pytest.approx(dataclasses.astuple(straight.box))
