"""A patch under the traps: flips, borders, sizes, unreadable neighbours."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from imaging_fakes import ArrayReader, noise_volume, series_row, slice_rows

from lesiongraph.errors import UnreadableImageError
from lesiongraph.imaging import PatchError, cut_patch
from lesiongraph.imaging.context import FLAG_END, FLAG_UNREADABLE
from lesiongraph.imaging.patch import FLAG_BOX_CLIPPED, FLAG_SCALED
from lesiongraph.lesion import BoundingBox
from lesiongraph.recipe import ImagingRecipe

RECIPE = ImagingRecipe()
BOX = BoundingBox(60.0, 90.0, 80.0, 104.0)


def _cut(volume, box=BOX, key=1, positions=(0, 5, 10), **series):
    return cut_patch(ArrayReader(volume), series_row(**series), slice_rows(positions), key, box, RECIPE)


@pytest.mark.parametrize(("flip_x", "flip_y"), [(True, False), (False, True), (True, True)])
def test_stored_flips_give_the_same_patch_as_the_canonical_image(flip_x, flip_y):
    volume = noise_volume(3, 180, 200)
    stored = volume[:, :: -1 if flip_y else 1, :: -1 if flip_x else 1]
    box = BOX.flipped(200, 180, flip_x, flip_y)
    canonical = _cut(volume, spacing_mm=(0.77, 0.83))
    turned = _cut(stored, box, spacing_mm=(0.77, 0.83), flip_x=flip_x, flip_y=flip_y)
    assert (turned.hu == canonical.hu).all()
    assert dataclasses.astuple(turned.box) == pytest.approx(dataclasses.astuple(canonical.box))


def test_a_bright_lesion_stays_under_its_box():
    volume = np.full((3, 300, 300), -1000, np.int16)
    volume[:, 100:121, 200:231] = 500  # centre (215, 110)
    patch = _cut(volume, BoundingBox(200, 100, 230, 120), spacing_mm=(0.6, 0.7))
    ys, xs = np.nonzero(patch.hu[1] > -250)
    assert patch.box.centre == pytest.approx((xs.mean(), ys.mean()), abs=0.5)
    assert patch.box.width_px == pytest.approx(30 * 0.7)
    assert patch.box.height_px == pytest.approx(20 * 0.6)


def test_only_the_slices_needed_are_read_once():
    reader = ArrayReader(noise_volume(9, 64, 64))
    slices = slice_rows(np.arange(9) * 5.0)
    cut_patch(reader, series_row(), slices, 4, BoundingBox(20, 20, 30, 30), RECIPE)
    assert reader.reads == [(3, 4, 5)]


def test_air_below_minus_1024_is_kept():
    volume = np.full((3, 64, 64), -3024, np.int16)
    assert (_cut(volume, BoundingBox(20, 20, 30, 30)).hu == -3024).all()


def test_patch_is_clipped_at_the_border_not_padded():
    patch = _cut(noise_volume(3, 100, 90), BoundingBox(0, 0, 8, 8), spacing_mm=(1.0, 1.0))
    assert patch.hu.shape == (3, 59, 59)
    assert patch.box == BoundingBox(0, 0, 8, 8)
    assert patch.flags == ()


def test_box_partly_off_the_image_is_clipped_and_flagged():
    patch = _cut(noise_volume(3, 100, 90), BoundingBox(-12, 40, 9, 50), spacing_mm=(1.0, 1.0))
    assert patch.box.x0 == -0.5
    assert patch.box.x1 == 9
    assert patch.flags == (FLAG_BOX_CLIPPED,)


def test_box_larger_than_the_image():
    patch = _cut(noise_volume(3, 100, 90), BoundingBox(-50, -50, 500, 500), spacing_mm=(1.0, 1.0))
    assert patch.hu.shape == (3, 100, 90)
    assert patch.box == BoundingBox(-0.5, -0.5, 89.5, 99.5)


def test_a_point_is_a_lesion_too():
    patch = _cut(noise_volume(3, 300, 300), BoundingBox(150, 150, 150, 150), spacing_mm=(1.0, 1.0))
    assert patch.hu.shape == (3, 101, 101)
    assert patch.box.width_px == 0


def test_large_patch_is_scaled_down_to_the_limit():
    volume = np.zeros((3, 512, 512), np.int16)
    volume[:, 100:401, 50:451] = 1000
    patch = _cut(volume, BoundingBox(50, 100, 450, 400), spacing_mm=(0.9, 0.9))
    assert max(patch.hu.shape) == RECIPE.patch_max_px
    assert patch.flags == (FLAG_SCALED,)
    assert patch.scale_mm == pytest.approx(456 / 200)  # from the image border to 450.5 · 0.9 + 50 mm
    assert patch.box.width_px * patch.scale_mm == pytest.approx(400 * 0.9)
    ys, xs = np.nonzero(patch.hu[1] > 500)
    assert patch.box.centre == pytest.approx((xs.mean(), ys.mean()), abs=0.5)


def test_unreadable_neighbour_counts_as_missing():
    volume = noise_volume(5, 64, 64)
    reader = ArrayReader(volume, broken=[3])
    box = BoundingBox(20, 20, 30, 30)
    patch = cut_patch(reader, series_row(), slice_rows([0, 5, 10, 15, 20]), 2, box, RECIPE)
    assert patch.flags[0] == FLAG_UNREADABLE
    assert (patch.hu[2] == patch.hu[1]).all()  # 2 mm below is nearer to the key slice than to 10 mm
    assert not (patch.hu[0] == patch.hu[1]).all()


def test_unreadable_key_slice_is_an_error():
    reader = ArrayReader(noise_volume(3, 64, 64), broken=[1])
    with pytest.raises(UnreadableImageError):
        cut_patch(reader, series_row(), slice_rows([0, 5, 10]), 1, BoundingBox(2, 2, 9, 9), RECIPE)


def test_single_slice_is_its_own_neighbour():
    patch = _cut(noise_volume(1, 64, 64), BoundingBox(20, 20, 30, 30), key=0, positions=[0.0])
    assert (patch.hu == patch.hu[1]).all()
    assert patch.flags == (FLAG_END,)


@pytest.mark.parametrize(
    ("box", "series", "cause"),
    [
        (BoundingBox(300, 10, 320, 20), {}, "off the image"),
        (BoundingBox(30, 10, 20, 20), {}, "not a bounding box"),
        (BoundingBox(math.nan, 10, 20, 20), {}, "not a bounding box"),
        (BOX, {"spacing_mm": (math.nan, 1.0)}, "pixel spacing unknown"),
        (BOX, {"spacing_mm": (1.0, 0.0)}, "pixel spacing unknown"),
    ],
)
def test_impossible_marks_say_why(box, series, cause):
    with pytest.raises(PatchError, match=cause) as caught:
        _cut(noise_volume(3, 180, 200), box, **series)
    assert cause in caught.value.cause
    assert len(caught.value.cause) < 40  # it is counted: no numbers in it


@settings(max_examples=60, deadline=None)
@example((2.40625, 0.33984375), (0.0, 0.0, 79.0, 79.0))  # scaled down: two roundings cut the box's edge once
@given(
    st.tuples(st.floats(0.2, 2.5), st.floats(0.2, 2.5)),
    st.tuples(st.floats(-20, 70), st.floats(-20, 90), st.floats(0, 120), st.floats(0, 120)),
)
def test_any_box_that_meets_the_image_gives_a_patch_with_the_box_in_it(spacing, corner_and_size):
    x, y, width, height = corner_and_size
    box = BoundingBox(x, y, x + width, y + height)
    volume = noise_volume(1, 100, 80)
    if box.x1 <= -0.5 or box.y1 <= -0.5 or box.x0 >= 79.5 or box.y0 >= 99.5:
        return
    patch = _cut(volume, box, key=0, positions=[math.nan], spacing_mm=spacing)
    height_px, width_px = patch.hu.shape[1:]
    assert max(height_px, width_px) <= RECIPE.patch_max_px
    slack = 0.5 / patch.scale_mm  # the resized slice is a whole number of px wide
    assert -0.5 - slack <= patch.box.x0 <= patch.box.x1 <= width_px - 0.5 + slack + 1e-6
    assert -0.5 - slack <= patch.box.y0 <= patch.box.y1 <= height_px - 0.5 + slack + 1e-6
    # back to the image: mm → px → mm
    shown = min(box.x1, 79.5) - max(box.x0, -0.5)
    assert patch.box.width_px * patch.scale_mm / spacing[1] == pytest.approx(shown, abs=1e-6)
