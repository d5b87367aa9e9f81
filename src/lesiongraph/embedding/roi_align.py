"""ROI align: the mean of bilinear samples under a box, without rounding its corners."""

from __future__ import annotations

import torch
from torch import Tensor


def align_boxes(maps: Tensor, boxes: Tensor | None, extents: Tensor, *, stride: int, size: int) -> Tensor:
    """Average bilinear samples in each of `size` × `size` bins of a box (a `Pool`).

    Cell i of a map stands for the patch px i·stride … (i + 1)·stride − 1, so px x lies at
    (x + 0.5) / stride − 0.5 cells. Each bin is sampled on a regular grid of as many points a side as the
    bin has cells (rounded up); samples outside the true extent take its border cell. Bilinear weights are
    products of one weight a row and one a column, and so is their mean over a grid: each box is two
    small matrix products.

    Source: He et al., Mask R-CNN (2017), Sec. 3; half a pixel's shift as in later implementations.
    """
    if boxes is None:
        last = (extents.flip(1) * stride - 1).float()
        # the outer edge of the border cells, half a px beyond their centres
        boxes = torch.cat([torch.zeros_like(last) - 0.5, last + 0.5], dim=1)
    corners = (boxes + 0.5) / stride - 0.5  # (B, 4) in cells
    weights = [
        _bin_weights(corners[:, axis], corners[:, axis + 2], extents[:, 1 - axis], maps.shape[3 - axis], size)
        for axis in (0, 1)
    ]
    across, down = (one.to(maps) for one in weights)
    return torch.einsum("biy,bcyx,bjx->bcij", down, maps, across)


def _bin_weights(start: Tensor, end: Tensor, extent: Tensor, cells: int, size: int) -> Tensor:
    """Mean bilinear weights (B, size, cells) of the bins between two places along one axis."""
    bin_cells = (end - start).clamp(min=0) / size  # (B,)
    points = bin_cells.ceil().clamp(min=1)
    most = int(points.max())
    step = torch.arange(most, dtype=start.dtype)
    used = step < points[:, None]  # (B, most)
    within = (step + 0.5) / points[:, None]
    bins = torch.arange(size, dtype=start.dtype)
    places = start[:, None, None] + (bins[None, :, None] + within[:, None]) * bin_cells[:, None, None]
    places = places.clamp(min=0).minimum((extent - 1).to(start.dtype)[:, None, None])
    hats = (1 - (places[..., None] - torch.arange(cells, dtype=start.dtype)).abs()).clamp(min=0)
    return (hats * used[:, None, :, None]).sum(2) / points[:, None, None]
