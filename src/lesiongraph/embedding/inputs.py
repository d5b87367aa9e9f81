"""Where the head's inputs come from: cached pooled maps, or patches through a trunk that learns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lesiongraph.embedding.batching import PatchLike, batch_pixels, plan_batches, stack_patches
from lesiongraph.embedding.features import pool_batch
from lesiongraph.embedding.pooling import choose_pool
from lesiongraph.embedding.trunk import TrunkLike

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Piece:
    """A part of a mini-batch that goes through the network at once."""

    positions: IntArray  # (n,) which of the rows asked for
    maps: Callable[[], list[Tensor]]  # their pooled maps, each (n, C_i, s, s) float32
    pixels: int  # that the trunk sees, padding included; 0 of cached maps
    places: Tensor | None = None  # (n, 5) where the head is told place and size (`LesionEmbedder.forward`)


class LesionInputs(Protocol):
    """N lesions whose pooled maps can be had by row."""

    def __len__(self) -> int:
        """N."""

    def pieces(self, rows: IntArray, device: torch.device) -> list[Piece]:
        """Return the pieces that together cover `rows`, each once."""


class CachedLesions:
    """Pooled maps computed beforehand (`pooled_maps`); the trunk is frozen.

    Parameters
    ----------
    maps : arrays (M, C_i, s, s) float16, one a scale, may be memory-mapped
    rows : (N,) int, optional
        Which rows of `maps` the lesions 0 … N−1 are; all of them if not given.
    places : (M, 5) array, optional
        Location and size of each row of `maps`, for a head that is told them.

    Raises
    ------
    ValueError
        If there is no array, or their lengths differ.
    """

    def __init__(
        self,
        maps: Sequence[NDArray[Any]],
        rows: IntArray | None = None,
        places: NDArray[np.float64] | None = None,
    ) -> None:
        lengths = [len(array) for array in maps]
        if len(set(lengths)) != 1:
            raise ValueError(f"expected arrays of equal length, got lengths {lengths}")
        self._maps = maps
        self._rows = np.arange(lengths[0]) if rows is None else np.asarray(rows, dtype=np.int64)
        self._places = places

    def __len__(self) -> int:
        return len(self._rows)

    def pieces(self, rows: IntArray, device: torch.device) -> list[Piece]:
        """Return one piece: the cached rows."""

        def read() -> list[Tensor]:
            chosen = self._rows[rows]
            return [torch.from_numpy(np.asarray(array[chosen])).to(device).float() for array in self._maps]

        return [Piece(np.arange(len(rows)), read, 0, _told(self._places, self._rows[rows], device))]


class PatchSequence(Protocol):
    """Patches by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int, /) -> PatchLike: ...


class PatchLesions:
    """Patches run through the trunk each time, so that the trunk can learn.

    Parameters
    ----------
    patches : PatchSequence
    trunk : TrunkLike
    roi_size : int
    pool : str
        A name of `pooling.POOLS`.
    places : (N, 5) array, optional
        Location and size of each patch, for a head that is told them.
    """

    def __init__(
        self,
        patches: PatchSequence,
        trunk: TrunkLike,
        roi_size: int = 5,
        pool: str = "roi_pool",
        *,
        places: NDArray[np.float64] | None = None,
    ) -> None:
        self._patches = patches
        self._trunk = trunk
        self._roi_size = roi_size
        self._pool_boxes = choose_pool(pool)
        self._places = places

    def __len__(self) -> int:
        return len(self._patches)

    def pieces(self, rows: IntArray, device: torch.device) -> list[Piece]:
        """Return batches of patches of similar size."""
        patches = [self._patches[int(row)] for row in rows]
        extents = np.array([patch.hu.shape[1:] for patch in patches], dtype=np.int64)
        plan = plan_batches(extents, batch_pixels(device))
        return [
            Piece(
                positions,
                self._pool([patches[i] for i in positions], device),
                len(positions) * int(extents[positions].max(0).prod()),
                _told(self._places, rows[positions], device),
            )
            for positions in plan
        ]

    def _pool(self, patches: list[PatchLike], device: torch.device) -> Callable[[], list[Tensor]]:
        return lambda: pool_batch(
            self._trunk, stack_patches(patches, device), self._roi_size, self._pool_boxes
        )


def _told(places: NDArray[np.float64] | None, rows: IntArray, device: torch.device) -> Tensor | None:
    return None if places is None else torch.from_numpy(places[rows]).float().to(device)
