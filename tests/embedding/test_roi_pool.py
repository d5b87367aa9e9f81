import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lesiongraph.embedding import roi_pool
from lesiongraph.embedding.roi_pool import box_windows, whole_windows


def slow_roi_pool(one: torch.Tensor, box: list[float], size: int, stride: int) -> torch.Tensor:
    """Fast R-CNN's ROI pooling of one map (C, H, W), cell by cell, from its definition."""
    x0, y0, x1, y1 = (math.floor(corner / stride + 0.5) for corner in box)
    rows, columns = max(y1 - y0 + 1, 1), max(x1 - x0 + 1, 1)
    out = torch.zeros(len(one), size, size)
    for i in range(size):
        for j in range(size):
            top, bottom = y0 + math.floor(i * rows / size), y0 + math.ceil((i + 1) * rows / size)
            left, right = x0 + math.floor(j * columns / size), x0 + math.ceil((j + 1) * columns / size)
            for channel in range(len(one)):
                out[channel, i, j] = max(
                    float(one[channel, y, x]) for y in range(top, bottom) for x in range(left, right)
                )
    return out


@settings(max_examples=40, deadline=None)
@given(data=st.data(), stride=st.sampled_from([2, 4, 8]), size=st.sampled_from([1, 2, 5]))
def test_equals_the_definition_on_boxes_inside(data, stride, size):
    height, width = data.draw(st.integers(1, 14)), data.draw(st.integers(1, 14))
    maps = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(height * 17 + width))
    boxes = []
    for _ in range(2):
        x = sorted(data.draw(st.floats(0, (width - 1) * stride)) for _ in range(2))
        y = sorted(data.draw(st.floats(0, (height - 1) * stride)) for _ in range(2))
        boxes.append([x[0], y[0], x[1], y[1]])
    extents = torch.tensor([[height, width]] * 2)
    windows = box_windows(torch.tensor(boxes, dtype=torch.float64), stride, extents)
    found = roi_pool(maps, windows, size)
    for row in range(2):
        torch.testing.assert_close(
            found[row], slow_roi_pool(maps[row], boxes[row], size, stride), rtol=0, atol=0
        )


def test_a_box_smaller_than_a_cell_pools_one_cell():
    maps = torch.arange(9.0).view(1, 1, 3, 3)
    windows = box_windows(torch.tensor([[9.0, 9.0, 9.1, 9.1]]), 8, torch.tensor([[3, 3]]))
    assert windows.tolist() == [[1, 1, 2, 2]]
    assert roi_pool(maps, windows, 5).unique().tolist() == [4.0]


def test_a_box_over_the_border_is_clipped_to_the_true_extent():
    windows = box_windows(torch.tensor([[-20.0, -3.0, 500.0, 500.0]]), 4, torch.tensor([[7, 9]]))
    assert windows.tolist() == [[0, 0, 9, 7]]


def test_the_whole_patch_leaves_padding_out():
    maps = torch.full((2, 1, 4, 4), 9.0)
    maps[0, :, :2, :3] = 1.0
    pooled = roi_pool(maps, whole_windows(torch.tensor([[2, 3], [4, 4]])), 2)
    assert pooled[0].unique().tolist() == [1.0]
    assert pooled[1].unique().tolist() == [9.0]


@pytest.mark.parametrize("window", [[0, 0, 0, 2], [0, 0, 5, 2], [-1, 0, 2, 2]])
def test_a_window_outside_its_map_is_refused(window):
    with pytest.raises(ValueError, match="outside a 4×4 map"):
        roi_pool(torch.zeros(1, 1, 4, 4), torch.tensor([window]), 2)


def test_one_window_for_each_map():
    with pytest.raises(ValueError, match="one for each map"):
        roi_pool(torch.zeros(2, 1, 4, 4), torch.tensor([[0, 0, 1, 1]]), 2)
