"""How well whole rankings put lesions of the query's kind first: average precision of retrieval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_BLOCK = 512  # queries ranked at a time: memory is _BLOCK × N


@dataclass(frozen=True)
class RankingScores:
    """Scores of each query, as fractions; NaN for a query whose kind is nowhere in its gallery.

    With R lesions of the query's kind in its gallery, and p(i) the share of them among the first i:

    Attributes
    ----------
    average_precision : (N,) array
        Sum of p(i) over the ranks i that hold one of them, over R. Its mean is the retrieval mAP.
    at_r : (N,) array
        The same sum over the first R ranks only, over R. Its mean is mAP@R.
    relevant : (N,) int array
        R.

    Source
    ------
    Manning, Raghavan and Schütze 2008, Sec. 8.4; Musgrave, Belongie and Lim 2020 (mAP@R).
    """

    average_precision: Floats
    at_r: Floats
    relevant: Ints

    @property
    def mean(self) -> float | None:
        """Retrieval mAP over the queries that have it."""
        return _mean_of_known(self.average_precision)

    @property
    def mean_at_r(self) -> float | None:
        """mAP@R over the queries that have it."""
        return _mean_of_known(self.at_r)


def ranking_scores(features: ArrayLike, types: ArrayLike, patients: ArrayLike | None = None) -> RankingScores:
    """Rank all lesions by distance to each, and score how early those of its type come.

    Parameters
    ----------
    features : (N, D) array
        Every row is a query; the gallery is the other rows. Ties go to the lower row.
    types : (N,) array
    patients : (N,) array, optional
        Where given, lesions of the query's own patient are not in its gallery.

    Raises
    ------
    ValueError
        If lengths differ or a feature is not finite.
    """
    matrix = np.asarray(features, dtype=np.float64)
    kinds = np.unique(np.asarray(types), return_inverse=True)[1]
    owners = np.arange(len(matrix))
    if patients is not None:
        owners = np.unique(np.asarray(patients), return_inverse=True)[1]
    if matrix.ndim != 2 or not len(matrix) == len(kinds) == len(owners):
        raise ValueError(
            f"expected features (N, D), N types and N patients, got {matrix.shape}, {len(kinds)} and "
            f"{len(owners)}"
        )
    if not np.isfinite(matrix).all():
        raise ValueError("features: expected finite values")
    parts = [
        _of_block(matrix, kinds, owners, np.arange(start, min(start + _BLOCK, len(matrix))))
        for start in range(0, len(matrix), _BLOCK)
    ]
    whole, at_r, relevant = (np.concatenate(column) for column in zip(*parts, strict=True))
    return RankingScores(whole, at_r, relevant)


def _of_block(matrix: Floats, kinds: Ints, owners: Ints, queries: Ints) -> tuple[Floats, Floats, Ints]:
    lengths = np.einsum("nd,nd->n", matrix, matrix)
    apart = lengths[queries, None] - 2 * matrix[queries] @ matrix.T + lengths  # squared distances
    out = owners[queries, None] == owners  # the query itself, or its patient
    apart[out] = np.inf
    order = np.argsort(apart, axis=1, kind="stable")
    same = (kinds[queries, None] == kinds) & ~out
    hit = np.take_along_axis(same, order, axis=1)
    relevant = hit.sum(axis=1)
    ranks = np.arange(1, len(matrix) + 1)
    precision = np.where(hit, np.cumsum(hit, axis=1) / ranks, 0.0)
    within_r = ranks <= relevant[:, None]
    with np.errstate(invalid="ignore"):
        whole = precision.sum(axis=1) / relevant
        at_r = np.where(within_r, precision, 0.0).sum(axis=1) / relevant
    return whole, at_r, relevant.astype(np.int64)


def _mean_of_known(values: Floats) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None
