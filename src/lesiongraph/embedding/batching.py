"""Patches of many sizes → batches of nearly equal ones, padded to a common extent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lesiongraph.embedding.trunk import MIN_PATCH_PX
from lesiongraph.lesion import BoundingBox

MAX_PADDING = 0.15  # share of a batch's pixels that may be padding
BATCH_PX = {"cpu": 200_000, "cuda": 3_000_000}  # a CPU gains nothing from more than about 8 patches
# Of how many pixels a training step keeps the activations: with VGG-16 about 2.3 kB a pixel. The paper's 120
# patches of at most 200 × 200 stay on a card whole; a workstation's memory is left room for the rest.
HELD_PX = {"cpu": 1_000_000, "cuda": 5_000_000}


class PatchLike(Protocol):
    """What the network needs of a patch (`imaging.Patch` has it)."""

    @property
    def hu(self) -> NDArray[Any]:
        """Three context slices (3, h, w) int16 in HU."""

    @property
    def box(self) -> BoundingBox:
        """The lesion's bounding box in patch px."""


@dataclass(frozen=True)
class PatchBatch:
    """Patches padded to one extent."""

    hu: Tensor  # (B, 3, H, W) float32
    extents: Tensor  # (B, 2) int64 on the CPU: true height, width
    boxes: Tensor  # (B, 4) float32 on the CPU: x0, y0, x1, y1 in patch px


def plan_batches(
    extents: NDArray[np.int64], batch_px: int, max_padding: float = MAX_PADDING
) -> list[NDArray[np.int64]]:
    """Deal patches into batches of similar extent.

    Parameters
    ----------
    extents : (N, 2) int
        Height and width of each patch.
    batch_px : int
        Most pixels, padding included, in a batch of more than one patch.
    max_padding : float
        Most of a batch's pixels that may be padding.

    Returns
    -------
    list of (n,) int arrays
        Positions; together each position once.
    """
    height, width = extents[:, 0], extents[:, 1]
    # rows of similar height, walked in alternating width: neighbours in this order differ little
    order = np.lexsort((np.where((height // 16) % 2, -width, width), height // 16))
    batches: list[NDArray[np.int64]] = []
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and _fits(extents[order[start : end + 1]], batch_px, max_padding):
            end += 1
        batches.append(order[start:end])
        start = end
    return batches


def _fits(extents: NDArray[np.int64], batch_px: int, max_padding: float) -> bool:
    padded = len(extents) * int(extents[:, 0].max()) * int(extents[:, 1].max())
    used = int((extents[:, 0] * extents[:, 1]).sum())
    return padded <= batch_px and padded - used <= max_padding * padded


def stack_patches(patches: Sequence[PatchLike], device: torch.device) -> PatchBatch:
    """Pad patches at the right and bottom to the largest of them (at least 16 px).

    Raises
    ------
    ValueError
        If a patch is not (3, h, w).
    """
    for patch in patches:
        if patch.hu.ndim != 3 or patch.hu.shape[0] != 3 or 0 in patch.hu.shape:
            raise ValueError(f"expected a patch (3, h, w) of three context slices, got {patch.hu.shape}")
    extents = torch.tensor([patch.hu.shape[1:] for patch in patches], dtype=torch.int64)
    height, width = (max(MIN_PATCH_PX, int(side)) for side in extents.amax(0))
    stacked = np.zeros((len(patches), 3, height, width), dtype=np.int16)
    for row, patch in enumerate(patches):
        stacked[row, :, : patch.hu.shape[1], : patch.hu.shape[2]] = patch.hu
    boxes = torch.tensor([[p.box.x0, p.box.y0, p.box.x1, p.box.y1] for p in patches], dtype=torch.float32)
    return PatchBatch(torch.from_numpy(stacked).to(device).float(), extents, boxes)


def batch_pixels(device: torch.device) -> int:
    """Most pixels in a batch on that device."""
    return BATCH_PX.get(device.type, BATCH_PX["cpu"])


def held_pixels(device: torch.device) -> int:
    """Most pixels whose activations a training step keeps on that device."""
    return HELD_PX.get(device.type, HELD_PX["cpu"])
