"""Sec. 3: the window, 5 px, 50 mm, 1 mm/px and three slices 2 mm apart, against slow loops.

And Sec. 8.1: x and y relative to the body mask.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from lesiongraph.imaging import cut_patch, relative_xy, window_to_255
from lesiongraph.lesion import Axis, BoundingBox, RecistMark
from lesiongraph.recipe import ImagingRecipe


class _Reader:
    def __init__(self, volume):
        self.volume = volume

    def read(self, slice_indices):
        return self.volume[list(slice_indices)]


def _sample(image, row, column):
    """Bilinear value at (row, column), the border repeated: written from the formula."""
    row = min(max(row, 0.0), image.shape[0] - 1.0)
    column = min(max(column, 0.0), image.shape[1] - 1.0)
    r, c = int(row), int(column)
    r1, c1 = min(r + 1, image.shape[0] - 1), min(c + 1, image.shape[1] - 1)
    dr, dc = row - r, column - c
    return (
        (1 - dr) * (1 - dc) * image[r, c]
        + (1 - dr) * dc * image[r, c1]
        + dr * (1 - dc) * image[r1, c]
        + dr * dc * image[r1, c1]
    )


def _slow_patch(volume, positions, key, box, spacing):
    """Resize every slice to 1 mm/px, take the 3 slices, crop box + 50 mm: pixel by pixel."""
    spacing_y, spacing_x = spacing
    rows, columns = round(volume.shape[1] * spacing_y), round(volume.shape[2] * spacing_x)
    left = max(0, math.floor((box.x0 + 0.5) * spacing_x - 50))
    right = min(columns, math.ceil((box.x1 + 0.5) * spacing_x + 50))
    top = max(0, math.floor((box.y0 + 0.5) * spacing_y - 50))
    bottom = min(rows, math.ceil((box.y1 + 0.5) * spacing_y + 50))
    patch = np.zeros((3, bottom - top, right - left))
    for channel, offset in enumerate((-2.0, 0.0, 2.0)):
        target = positions[key] + offset
        for i in range(len(positions) - 1):
            if positions[i] <= target <= positions[i + 1]:
                share = (target - positions[i]) / (positions[i + 1] - positions[i])
                image = (1 - share) * volume[i] + share * volume[i + 1]
                break
        for v in range(top, bottom):
            for u in range(left, right):
                row = (v + 0.5) / spacing_y - 0.5
                column = (u + 0.5) / spacing_x - 0.5
                patch[channel, v - top, u - left] = _sample(image, row, column)
    return patch, (left, top)


@pytest.mark.parametrize(
    ("spacing", "interval", "box"),
    [
        ((0.7, 0.9), 5.0, BoundingBox(70.3, 80.1, 88.8, 91.6)),  # non-isotropic, thick slices
        ((1.0, 1.0), 2.0, BoundingBox(60.0, 60.0, 70.0, 75.0)),  # no resampling at all
        ((0.6, 0.6), 1.25, BoundingBox(2.0, 3.0, 15.0, 17.0)),  # clipped at the border, thin slices
    ],
)
def test_patch_is_the_crop_of_the_resized_slice(spacing, interval, box):
    volume = np.random.default_rng(3).integers(-1000, 1500, (9, 150, 130)).astype(np.int16)
    positions = [100.0 + interval * i for i in range(9)]
    expected, (left, top) = _slow_patch(volume, positions, 4, box, spacing)
    patch = cut_patch(
        _Reader(volume),
        {"spacing_y_mm": spacing[0], "spacing_x_mm": spacing[1], "slice_interval_mm": interval},
        pd.DataFrame({"slice_index": range(9), "position_mm": positions}),
        4,
        box,
        ImagingRecipe(),
    )
    assert patch.hu.shape == expected.shape
    assert np.abs(patch.hu - expected).max() <= 0.51  # rounded to whole HU
    # the box moves with its pixels: image column c lies at (c + 0.5) spacing − 0.5 − left
    assert patch.box.x0 == pytest.approx((box.x0 + 0.5) * spacing[1] - 0.5 - left)
    assert patch.box.y1 == pytest.approx((box.y1 + 0.5) * spacing[0] - 0.5 - top)
    assert (patch.scale_mm, patch.flags, patch.context_slices_mm) == (1.0, (), (-2.0, 0.0, 2.0))


def test_patch_has_50_mm_on_each_side_of_the_box():
    volume = np.zeros((1, 400, 400), np.int16)
    box = BoundingBox(180.0, 190.0, 200.0, 220.0)
    patch = cut_patch(
        _Reader(volume),
        {"spacing_y_mm": 0.5, "spacing_x_mm": 0.5, "slice_interval_mm": math.nan},
        pd.DataFrame({"slice_index": [0], "position_mm": [math.nan]}),
        0,
        box,
        ImagingRecipe(),
    )
    assert patch.box.x0 == pytest.approx(50, abs=1)
    assert patch.hu.shape[2] - 1 - patch.box.x1 == pytest.approx(50, abs=1)
    assert patch.hu.shape == (3, 15 + 100 + 1, 10 + 100 + 1)  # + 1: neither edge lies on a whole mm


def test_window_against_a_slow_loop():
    hu = np.array([[-3024, -1024, -1023, 0], [40, 3070, 3071, 9000]], np.int16)
    expected = [[min(255.0, max(0.0, (v + 1024) / 4095 * 255)) for v in row] for row in hu.tolist()]
    assert window_to_255(hu) == pytest.approx(np.array(expected), abs=1e-4)
    assert window_to_255(hu).dtype == np.float32
    assert window_to_255(np.array([-1024, 3071])).tolist() == [0.0, 255.0]


def test_box_is_tight_round_both_axes_plus_5_px():
    mark = RecistMark(Axis(10, 20, 30, 24), Axis(22, 12, 18, 33))
    assert mark.bounding_box(ImagingRecipe().box_padding_px) == BoundingBox(5, 7, 35, 38)


def test_relative_location_against_a_slow_loop():
    mask = np.zeros((40, 60), bool)
    mask[10:30, 20:50] = True
    mask[9, 35] = True
    columns = [c for c in range(60) if any(mask[r, c] for r in range(40))]
    rows = [r for r in range(40) if any(mask[r, c] for c in range(60))]
    width, height = max(columns) - min(columns) + 1, max(rows) - min(rows) + 1
    for x, y in ((20.0, 9.0), (34.5, 19.0), (49.0, 29.0), (41.25, 12.5)):
        expected = ((x - min(columns) + 0.5) / width, (y - min(rows) + 0.5) / height)
        assert relative_xy(mask, (x, y)) == pytest.approx(expected)
    assert relative_xy(mask, (19.5, 8.5)) == (0.0, 0.0)  # the box's outer corner
    assert relative_xy(mask, (49.5, 29.5)) == (1.0, 1.0)
