"""ROI max pooling: the cells of a map under a box, pooled to a fixed grid (Sec. 4.3)."""

from __future__ import annotations

import torch
from torch import Tensor


def roi_pool(maps: Tensor, windows: Tensor, size: int) -> Tensor:
    """Max-pool one window of each map to `size` × `size`.

    The grid is Fast R-CNN's: bin i of n cells covers ⌊i·n/size⌋ up to ⌈(i+1)·n/size⌉, so that bins
    overlap where the window does not divide evenly, and repeat where it is smaller than the grid.

    Parameters
    ----------
    maps : Tensor (B, C, H, W)
    windows : Tensor (B, 4) int64 on the CPU
        x0, y0, x1, y1 in cells, the ends exclusive (see `box_windows`, `whole_windows`).
    size : int

    Returns
    -------
    Tensor (B, C, size, size)

    Raises
    ------
    ValueError
        If the counts differ, or a window is empty or leaves its map.

    Source: Sec. 4.3; Girshick, Fast R-CNN (2015), Sec. 2.1.
    """
    _check(maps, windows)
    rows = _bin_cells(windows[:, 1], windows[:, 3], size)  # (B, size, a)
    columns = _bin_cells(windows[:, 0], windows[:, 2], size)  # (B, size, b)
    batch, channels, height, width = maps.shape
    first = torch.arange(batch)[:, None] * height
    rows, columns = rows.permute(2, 0, 1), columns.permute(2, 0, 1)  # (a, B, size), (b, B, size)
    cells = (first + rows)[:, None, :, :, None] * width + columns[None, :, :, None]
    # channels last: each cell is one run of memory, so all boxes of the batch are gathered in one go
    flat = maps.permute(0, 2, 3, 1).reshape(-1, channels)
    gathered = flat.index_select(0, cells.reshape(-1).to(maps.device, non_blocking=True))
    grid = gathered.view(-1, batch * size * size * channels).amax(0)
    return grid.view(batch, size, size, channels).permute(0, 3, 1, 2)


def pool_boxes(maps: Tensor, boxes: Tensor | None, extents: Tensor, *, stride: int, size: int) -> Tensor:
    """Max-pool boxes in patch px, or the whole patch where there are none (a `Pool`)."""
    windows = whole_windows(extents) if boxes is None else box_windows(boxes, stride, extents)
    return roi_pool(maps, windows, size)


def box_windows(boxes: Tensor, stride: int, extents: Tensor) -> Tensor:
    """Return the cells under each box on the map at `stride`, within the patch's true extent.

    Corners are divided by the stride and rounded half up; the last cell belongs to the window, so that
    the smallest box still has one.

    Parameters
    ----------
    boxes : Tensor (B, 4) float
        x0, y0, x1, y1 in patch px.
    stride : int
    extents : Tensor (B, 2) int64
        True height and width of each map in cells.

    Returns
    -------
    Tensor (B, 4) int64, ends exclusive
    """
    cells = torch.floor(boxes / stride + 0.5).long()
    last = extents.flip(1) - 1  # (B, 2): x, y
    start = torch.minimum(cells[:, :2].clamp(min=0), last)
    end = torch.maximum(torch.minimum(cells[:, 2:], last), start)
    return torch.cat([start, end + 1], dim=1)


def whole_windows(extents: Tensor) -> Tensor:
    """Return windows (B, 4) over the whole true extent (B, 2) of each map."""
    return torch.cat([torch.zeros_like(extents), extents.flip(1)], dim=1)


def _check(maps: Tensor, windows: Tensor) -> None:
    if windows.shape != (len(maps), 4):
        raise ValueError(f"expected windows ({len(maps)}, 4), one for each map, got {tuple(windows.shape)}")
    height, width = maps.shape[2:]
    x0, y0, x1, y1 = windows.unbind(1)
    inside = (x0 >= 0) & (y0 >= 0) & (x0 < x1) & (y0 < y1) & (x1 <= width) & (y1 <= height)
    if not bool(inside.all()):
        row = int(torch.nonzero(~inside)[0])
        raise ValueError(f"window {windows[row].tolist()} is empty or outside a {height}×{width} map")


def _bin_cells(start: Tensor, end: Tensor, size: int) -> Tensor:
    """Cells (B, size, n) along one axis of each bin; a bin shorter than the longest repeats its last cell."""
    bins = torch.arange(size)
    length = (end - start)[:, None]
    first = bins * length // size  # (B, size)
    last = -(-(bins + 1) * length // size) - 1
    reach = torch.arange(int((last - first).max()) + 1)
    return start[:, None, None] + torch.minimum(first[..., None] + reach, last[..., None])
