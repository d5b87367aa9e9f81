"""ROI max pooling: the cells of a map under a box, pooled to a fixed grid (Sec. 4.3)."""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor
from torch.nn import functional


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
    pooled: list[Tensor | None] = [None] * len(maps)
    for (height, width), members in _same_size(windows).items():
        crops = _crops(maps, windows, members, height, width)
        grid = functional.adaptive_max_pool2d(crops, size)
        for member, one in zip(members, grid, strict=True):
            pooled[member] = one
    return torch.stack([one for one in pooled if one is not None])


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


def _same_size(windows: Tensor) -> dict[tuple[int, int], list[int]]:
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row, (x0, y0, x1, y1) in enumerate(windows.tolist()):
        groups[y1 - y0, x1 - x0].append(row)
    return groups


def _crops(maps: Tensor, windows: Tensor, members: list[int], height: int, width: int) -> Tensor:
    if len(members) == len(maps) and (height, width) == tuple(maps.shape[2:]):
        return maps
    corners = windows[members, :2].tolist()
    return torch.stack(
        [maps[m, :, y : y + height, x : x + width] for m, (x, y) in zip(members, corners, strict=True)]
    )
