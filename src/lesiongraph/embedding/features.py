"""Patches → pooled maps of each scale → the initial feature (Sec. 4.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from lesiongraph.embedding.batching import PatchBatch, PatchLike, batch_pixels, plan_batches, stack_patches
from lesiongraph.embedding.pooling import Pool, choose_pool
from lesiongraph.embedding.trunk import TrunkLike, map_extents

PATCHES_AHEAD = 256  # patches held at once, so that batches of similar size can be made of a stream
FLOAT16_MAX = 65504.0

FeatureProgress = Callable[[int, int], None]  # patches done, patches in all (0: unknown)


def map_shapes(trunk: TrunkLike, count: int, roi_size: int = 5) -> list[tuple[int, int, int, int]]:
    """Return the shapes of the arrays that `pooled_maps` fills for `count` patches, one a scale."""
    return [(count, channels, roi_size, roi_size) for channels in trunk.variant.channels]


def pool_batch(trunk: TrunkLike, batch: PatchBatch, roi_size: int, pool: Pool) -> list[Tensor]:
    """Run the trunk on one batch and pool its maps; differentiable.

    Of the VGG trunks conv2_2, conv3_3 and conv4_3 pool the lesion's box, conv5_3 the whole patch (without
    batch padding).

    Returns
    -------
    list of Tensor (B, C_i, roi_size, roi_size) float32
    """
    pooled = []
    for scale, cells in zip(trunk.variant.scales, trunk(batch.hu, batch.extents), strict=True):
        extents = map_extents(batch.extents, scale.stride).minimum(torch.tensor(cells.shape[2:]))
        boxes = None if scale.whole else batch.boxes
        pooled.append(pool(cells, boxes, extents, stride=scale.stride, size=roi_size).float())
    return pooled


def pooled_maps(
    patches: Iterable[PatchLike],
    trunk: TrunkLike,
    *,
    out: Sequence[NDArray[Any]] | None = None,
    roi_size: int = 5,
    pool: str = "roi_pool",
    progress: FeatureProgress | None = None,
) -> list[NDArray[np.float16]]:
    """Pool the maps of every patch; the trunk is not trained here.

    Parameters
    ----------
    patches : iterable of PatchLike
        Read once, in order, at most 256 held at a time.
    trunk : TrunkLike
    out : one array (N, C_i, roi_size, roi_size) float16 a scale, optional
        Filled in place (memory-mapped arrays keep memory flat); shapes from `map_shapes`.
    roi_size : int
    pool : str
        A name of `pooling.POOLS`.
    progress : callable, optional
        Called with (patches done, patches in all or 0).

    Returns
    -------
    list of arrays (N, C_i, roi_size, roi_size) float16, four of the VGG trunks
        `out` where given.

    Raises
    ------
    ValueError
        If `out` has not one row for each patch.
    """
    total = len(patches) if isinstance(patches, Sized) else 0
    collected: list[list[NDArray[np.float16]]] = [[] for _ in trunk.variant.scales]
    done = 0
    chosen_pool = choose_pool(pool)
    for ahead in _in_groups(patches, PATCHES_AHEAD):
        arrays = _pool_group(ahead, trunk, roi_size, chosen_pool)
        for scale, array in enumerate(arrays):
            if out is None:
                collected[scale].append(array)
            else:
                _store(out[scale], done, array)
        done += len(ahead)
        if progress is not None:
            progress(done, total)
    if out is not None:
        if any(len(array) != done for array in out):
            raise ValueError(f"expected out arrays of {done} rows, got {[len(a) for a in out]}")
        return list(out)
    shapes = map_shapes(trunk, 0, roi_size)
    return [
        np.concatenate(parts) if parts else np.zeros(shape, dtype=np.float16)
        for parts, shape in zip(collected, shapes, strict=True)
    ]


def initial_from_maps(maps: Sequence[NDArray[Any]], rows_at_once: int = 1024) -> NDArray[np.float32]:
    """Make the initial feature from pooled maps: the maximum of each channel, L2 per scale, L2 over all.

    The maximum over a 5×5 grid of maxima is the 1×1 pooling of the paper, so one pass of the trunk
    serves both. Why L2 per scale: docs/adr/0005-initial-feature.md.

    Parameters
    ----------
    maps : arrays (N, C_i, s, s), one a scale
    rows_at_once : int
        Lesions held in memory at a time.

    Returns
    -------
    (N, ΣC_i) float32 unit vectors (1408-D for VGG-16)

    Source: Sec. 4.3 ("1 × 1 × num_channel … 1408D feature vector").
    """
    count = len(maps[0])
    features = np.empty((count, sum(array.shape[1] for array in maps)), dtype=np.float32)
    for start in range(0, count, rows_at_once):
        rows = slice(start, min(start + rows_at_once, count))
        scales = [torch.from_numpy(np.array(array[rows])).float().amax((2, 3)) for array in maps]
        joined = torch.cat([functional.normalize(scale, dim=1) for scale in scales], dim=1)
        features[rows] = functional.normalize(joined, dim=1).numpy()
    return features


def initial_features(
    patches: Iterable[PatchLike], trunk: TrunkLike, *, progress: FeatureProgress | None = None
) -> NDArray[np.float32]:
    """Return the initial feature (N, ΣC_i) of every patch: `pooled_maps` at 1×1, then normalised."""
    return initial_from_maps(pooled_maps(patches, trunk, roi_size=1, progress=progress))


def _pool_group(
    patches: Sequence[PatchLike], trunk: TrunkLike, roi_size: int, pool: Pool
) -> list[NDArray[np.float16]]:
    arrays = [np.empty(shape, dtype=np.float16) for shape in map_shapes(trunk, len(patches), roi_size)]
    extents = np.array([patch.hu.shape[1:] for patch in patches], dtype=np.int64)
    with torch.inference_mode():
        for positions in plan_batches(extents, batch_pixels(trunk.device)):
            batch = stack_patches([patches[i] for i in positions], trunk.device)
            for array, pooled in zip(arrays, pool_batch(trunk, batch, roi_size, pool), strict=True):
                array[positions] = pooled.clamp(-FLOAT16_MAX, FLOAT16_MAX).half().cpu().numpy()
    return arrays


def _store(out: NDArray[Any], start: int, array: NDArray[np.float16]) -> None:
    if out.shape[1:] != array.shape[1:] or start + len(array) > len(out):
        raise ValueError(
            f"out array {out.shape} has no room for rows {start}–{start + len(array)} of {array.shape}"
        )
    out[start : start + len(array)] = array


def _in_groups(patches: Iterable[PatchLike], size: int) -> Iterator[list[PatchLike]]:
    stream = iter(patches)
    while group := list(islice(stream, size)):
        yield group
