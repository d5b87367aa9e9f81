"""Exact nearest lesions by blocked matrix products, numpy only (Sec. 6.2).

On two cores a matrix product over a batch is faster than a flat library index (benchmarks/search.py).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lesiongraph.index.protocol import Allowed

_BLOCK_ELEMENTS = 4_000_000  # of the (block, N) distance matrix: 16 MB of float32
# A float32 product of D terms is off by far less than this share of |q||x|, for any D up to some thousands.
_ROUNDING = 1e-5


class ExactIndex:
    """All vectors in memory as float32; every search looks at all of them.

    The product in float32 only chooses candidates, with a margin for its rounding; their distances are
    then computed again from the differences in float64. So equal vectors are at distance 0, equal
    distances are equal, and ties go to the lower row whatever the batch.

    Parameters
    ----------
    vectors : (N, D) array
        Unit or not.

    Raises
    ------
    ValueError
        If the array is not (N, D) or holds a value that is not finite.
    """

    def __init__(self, vectors: ArrayLike) -> None:
        self._vectors = _matrix(vectors, "vectors")
        self._squares = np.einsum("nd,nd->n", self._vectors, self._vectors)

    def __len__(self) -> int:
        return len(self._vectors)

    @property
    def width(self) -> int:
        """Number of dimensions of a vector."""
        return int(self._vectors.shape[1])

    def search(
        self,
        queries: ArrayLike,
        k: int,
        *,
        allowed: Allowed | None = None,
        exclude: ArrayLike | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the `k` nearest allowed rows of each query.

        Parameters
        ----------
        queries : (Q, D) array, or (D,) for one
        k : int
        allowed : (N,) or (Q, N) bool array, or function, optional
            See `Allowed`.
        exclude : (Q,) int array, optional
            One row a query that is never returned (the query itself); −1 for none.

        Returns
        -------
        distances : (Q, k) float64 array
            Euclidean, ascending; +inf where fewer than k rows are allowed.
        rows : (Q, k) int64 array
            −1 where fewer than k rows are allowed; equal distances by ascending row.

        Raises
        ------
        ValueError
            If k < 1 or a shape does not fit.
        """
        batch = _matrix(np.atleast_2d(np.asarray(queries)), "queries")
        if batch.shape[1] != self.width:
            raise ValueError(f"queries: expected width {self.width}, got {batch.shape[1]}")
        if k < 1:
            raise ValueError(f"k: expected at least 1, got {k}")
        excluded = None if exclude is None else np.atleast_1d(np.asarray(exclude, dtype=np.int64))
        if excluded is not None and excluded.shape != (len(batch),):
            raise ValueError(f"exclude: expected shape ({len(batch)},), got {excluded.shape}")
        distances = np.full((len(batch), k), np.inf)
        rows = np.full((len(batch), k), -1, dtype=np.int64)
        step = max(1, _BLOCK_ELEMENTS // max(1, len(self)))
        for start in range(0, len(batch), step):
            block = np.arange(start, min(start + step, len(batch)))
            approximate, margins = self._approximate(batch[block])
            if allowed is not None:
                approximate[~self._mask(allowed, block, len(batch))] = np.inf
            if excluded is not None:
                own = excluded[block]
                approximate[np.flatnonzero(own >= 0), own[own >= 0]] = np.inf
            for i, row in enumerate(block):
                self._rank(batch[row], approximate[i], margins[i], distances[row], rows[row])
        return distances, rows

    def _approximate(self, queries: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Squared distances in float32, and by how much each query's may be wrong."""
        squares = np.einsum("qd,qd->q", queries, queries)
        approximate = queries @ self._vectors.T
        approximate *= -2
        approximate += self._squares
        largest = self._squares.max(initial=0)
        return approximate, _ROUNDING * (squares + largest)

    def _mask(self, allowed: Allowed, block: NDArray[np.int64], queries: int) -> NDArray[np.bool_]:
        if callable(allowed):
            mask = np.asarray(allowed(block), dtype=bool)
            expected: set[tuple[int, ...]] = {(len(block), len(self))}
        else:
            mask = np.asarray(allowed, dtype=bool)
            expected = {(len(self),), (queries, len(self))}
            if mask.shape == (queries, len(self)):
                return mask[block]
        if mask.shape not in expected:
            raise ValueError(f"allowed: expected shape {' or '.join(map(str, expected))}, got {mask.shape}")
        return np.broadcast_to(mask, (len(block), len(self)))

    def _rank(
        self,
        query: NDArray[np.float32],
        approximate: NDArray[np.float32],
        margin: np.float32,
        distances: NDArray[np.float64],
        rows: NDArray[np.int64],
    ) -> None:
        """Fill one query's `distances` and `rows` in place."""
        k = len(distances)
        if k < len(approximate):
            # The k-th smallest plus the rounding of both sides bounds every true member of the top k.
            bound = np.partition(approximate, k - 1)[k - 1] + 2 * margin
            candidates = np.flatnonzero((approximate <= bound) & np.isfinite(approximate))
        else:
            candidates = np.flatnonzero(np.isfinite(approximate))
        differences = self._vectors[candidates].astype(np.float64) - query
        exact = np.sqrt(np.einsum("nd,nd->n", differences, differences))
        order = np.argsort(exact, kind="stable")[:k]
        distances[: len(order)] = exact[order]
        rows[: len(order)] = candidates[order]


def other_patients(patients: ArrayLike, query_patients: ArrayLike | None = None) -> Allowed:
    """Return the filter that allows only lesions of other patients than the query's.

    Parameters
    ----------
    patients : (N,) array
        Patient of each row of the index.
    query_patients : (Q,) array, optional
        Patient of each query; by default the rows of the index are the queries.
    """
    gallery = np.asarray(patients)
    asking = gallery if query_patients is None else np.asarray(query_patients)
    # Compared as integers: comparing text once a block would cost more than the search.
    codes = np.unique(np.concatenate([gallery.astype(str), asking.astype(str)]), return_inverse=True)[1]
    gallery_codes, query_codes = codes[: len(gallery)], codes[len(gallery) :]
    return lambda block: query_codes[block][:, None] != gallery_codes[None, :]


def _matrix(values: ArrayLike, name: str) -> NDArray[np.float32]:
    array = np.ascontiguousarray(values, dtype=np.float32)
    if array.ndim != 2:
        raise ValueError(f"{name}: expected an array of shape (N, D), got {array.shape}")
    if not np.isfinite(array).all():
        bad = int((~np.isfinite(array).all(axis=1)).sum())
        raise ValueError(f"{name}: expected finite values, got {bad} of {len(array)} rows without")
    return array
