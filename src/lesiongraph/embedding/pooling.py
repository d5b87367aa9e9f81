"""What turns the cells of a map under a box into a fixed grid: one protocol, one file for each way."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from lesiongraph.embedding.roi_align import align_boxes
from lesiongraph.embedding.roi_pool import pool_boxes
from lesiongraph.errors import UsageError


class Pool(Protocol):
    """Pools one box of each map to a grid, whatever company the map keeps in its batch."""

    def __call__(
        self, maps: Tensor, boxes: Tensor | None, extents: Tensor, *, stride: int, size: int
    ) -> Tensor:
        """Pool.

        Parameters
        ----------
        maps : Tensor (B, C, H, W)
        boxes : Tensor (B, 4) float, or None for the whole patch
            x0, y0, x1, y1 in patch px.
        extents : Tensor (B, 2) int64 on the CPU
            True height and width of each map in cells; what lies beyond is padding.
        stride : int
            Patch px a cell.
        size : int

        Returns
        -------
        Tensor (B, C, size, size)
        """


POOLS: dict[str, Pool] = {"roi_pool": pool_boxes, "roi_align": align_boxes}


def choose_pool(name: str) -> Pool:
    """Return the pool of that name.

    Raises
    ------
    UsageError
        If there is none.
    """
    if name not in POOLS:
        raise UsageError(f"Unknown pool {name!r}; expected one of {', '.join(POOLS)}.")
    return POOLS[name]
