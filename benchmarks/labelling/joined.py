"""One feature from several blocks — appearance, location, size — each with its say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lesiongraph.errors import NotEnoughDataError


def join_features(
    blocks: Sequence[ArrayLike], seeds: ArrayLike, weights: Sequence[float] | None = None
) -> NDArray[np.float64]:
    """Put blocks side by side, each scaled to the same spread over the seeds, then by its weight.

    A block is one quantity: its dimensions are not scaled against each other. After scaling, the mean
    squared distance of the seeds to their mean is `weight`² in each block, so a block of 1408 dimensions
    and one of three count alike in a Euclidean distance.

    Parameters
    ----------
    blocks : sequence of (N, D_i) arrays
    seeds : (n,) int array
        Rows that set mean and scale: those of the seeds, so that the pool does not move them.
    weights : sequence of float, optional
        One a block; 1 by default.

    Returns
    -------
    (N, ΣD_i) float64 array

    Raises
    ------
    ValueError
        If the numbers of rows or of weights differ.
    NotEnoughDataError
        If a value is not finite.
    """
    matrices = [_read(block) for block in blocks]
    given = [1.0] * len(matrices) if weights is None else list(weights)
    if len(given) != len(matrices) or len({len(matrix) for matrix in matrices}) != 1:
        raise ValueError(
            f"expected blocks of one length and a weight each, got lengths "
            f"{[len(matrix) for matrix in matrices]} and {len(given)} weights"
        )
    rows = np.asarray(seeds)
    return np.hstack([w * _scaled(matrix, rows) for matrix, w in zip(matrices, given, strict=True)])


def _scaled(matrix: NDArray[np.float64], seeds: NDArray[np.int64]) -> NDArray[np.float64]:
    centred = matrix - matrix[seeds].mean(axis=0)
    spread = np.sqrt((centred[seeds] ** 2).sum(axis=1).mean())
    # A block that is the same for all seeds tells nothing and has no scale.
    scaled: NDArray[np.float64] = centred / spread if spread > 0 else np.zeros_like(centred)
    return scaled


def _read(block: ArrayLike) -> NDArray[np.float64]:
    matrix = np.asarray(block, dtype=np.float64)
    bad = int((~np.isfinite(matrix).all(axis=1)).sum())
    if bad:
        raise NotEnoughDataError(
            "Joined features", "finite values", f"{bad} of {len(matrix)} rows without", "Leave them out."
        )
    return matrix
