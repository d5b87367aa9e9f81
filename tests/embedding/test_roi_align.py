import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lesiongraph.embedding.pooling import POOLS, choose_pool
from lesiongraph.embedding.roi_align import align_boxes
from lesiongraph.errors import UsageError


def bilinear(one: torch.Tensor, y: float, x: float, extent: tuple[int, int]) -> torch.Tensor:
    """Value of a map (C, H, W) between its cells, from the definition."""
    y, x = min(max(y, 0), extent[0] - 1), min(max(x, 0), extent[1] - 1)
    top, left = math.floor(y), math.floor(x)
    value = torch.zeros(len(one), dtype=one.dtype)
    for row, by_row in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, by_column in ((left, 1 - (x - left)), (left + 1, x - left)):
            if by_row * by_column > 0:
                value += by_row * by_column * one[:, row, column]
    return value


def slow_align(one: torch.Tensor, box: list[float], extent: tuple[int, int], stride: int, size: int):
    """ROI align of one map, sample by sample."""
    x0, y0, x1, y1 = ((corner + 0.5) / stride - 0.5 for corner in box)
    bin_h, bin_w = (y1 - y0) / size, (x1 - x0) / size
    rows, columns = max(1, math.ceil(bin_h)), max(1, math.ceil(bin_w))
    out = torch.zeros(len(one), size, size, dtype=one.dtype)
    for i in range(size):
        for j in range(size):
            samples = [
                bilinear(
                    one, y0 + (i + (a + 0.5) / rows) * bin_h, x0 + (j + (b + 0.5) / columns) * bin_w, extent
                )
                for a in range(rows)
                for b in range(columns)
            ]
            out[:, i, j] = torch.stack(samples).mean(0)
    return out


@settings(max_examples=40, deadline=None)
@given(data=st.data(), stride=st.sampled_from([2, 4, 16]), size=st.sampled_from([1, 2, 5]))
def test_equals_the_slow_loop(data, stride, size):
    height, width = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    maps = torch.randn(2, 3, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(height))
    boxes = []
    for _ in range(2):
        x = sorted(data.draw(st.floats(-5, width * stride + 5)) for _ in range(2))
        y = sorted(data.draw(st.floats(-5, height * stride + 5)) for _ in range(2))
        boxes.append([x[0], y[0], x[1], y[1]])
    extents = torch.tensor([[height, width], [12, 12]])
    found = align_boxes(maps, torch.tensor(boxes, dtype=torch.float64), extents, stride=stride, size=size)
    for row in range(2):
        extent = tuple(extents[row].tolist())
        wanted = slow_align(maps[row], boxes[row], extent, stride, size)
        torch.testing.assert_close(found[row], wanted, rtol=1e-9, atol=1e-9)


def test_a_slope_is_read_at_the_middle_of_each_bin():
    columns = torch.arange(10.0).expand(1, 1, 10, 10)
    # px 3.5 … 11.5 at stride 2 are cells 1.5 … 5.5: two bins with middles 2.5 and 4.5
    box = torch.tensor([[3.5, 3.5, 11.5, 11.5]])
    found = align_boxes(columns, box, torch.tensor([[10, 10]]), stride=2, size=2)
    torch.testing.assert_close(found[0, 0], torch.tensor([[2.5, 4.5], [2.5, 4.5]]))


@pytest.mark.parametrize("name", list(POOLS))
def test_the_whole_patch_leaves_padding_out(name):
    maps = torch.full((2, 1, 6, 6), 9.0)
    maps[0, :, :4, :3] = 1.0
    pooled = choose_pool(name)(maps, None, torch.tensor([[4, 3], [6, 6]]), stride=16, size=2)
    torch.testing.assert_close(pooled[0], torch.ones(1, 2, 2))
    torch.testing.assert_close(pooled[1], torch.full((1, 2, 2), 9.0))


@pytest.mark.parametrize("name", list(POOLS))
def test_a_box_is_pooled_alike_in_any_company(name):
    maps = torch.randn(3, 4, 20, 20, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[4.0, 6.0, 15.0, 30.0], [0.0, 0.0, 39.0, 39.0], [20.0, 20.0, 21.0, 22.0]])
    extents = torch.tensor([[20, 20]] * 3)
    pool = choose_pool(name)
    together = pool(maps, boxes, extents, stride=2, size=5)
    for row in range(3):
        one = slice(row, row + 1)
        alone = pool(maps[one], boxes[one], extents[one], stride=2, size=5)
        torch.testing.assert_close(together[one], alone)


@pytest.mark.parametrize("name", list(POOLS))
def test_the_gradient_reaches_the_cells_of_the_box(name):
    maps = torch.rand(1, 1, 8, 8, requires_grad=True)
    choose_pool(name)(
        maps, torch.tensor([[4.0, 4.0, 9.0, 9.0]]), torch.tensor([[8, 8]]), stride=2, size=1
    ).sum().backward()
    assert float(maps.grad.sum()) == pytest.approx(1)
    assert float(maps.grad[0, 0, :, :1].abs().sum()) == 0


def test_an_unknown_pool_is_a_usage_error():
    with pytest.raises(UsageError, match="roi_pool, roi_align"):
        choose_pool("mean")
