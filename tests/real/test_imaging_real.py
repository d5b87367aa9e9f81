"""Body mask, location and patches on real CT."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from lesiongraph.imaging import (
    FLAG_NO_BODY,
    body_mask,
    cut_patch,
    on_body,
    plain_from_stated_xy,
    relative_xy,
    relative_xy_as_stated,
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
