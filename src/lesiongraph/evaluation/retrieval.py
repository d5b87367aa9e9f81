"""Average retrieval error in type, location and size (Sec. 6.2, Eq. 4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lesiongraph.index import ExactIndex, other_patients

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class RetrievalErrors:
    """Errors of each query as fractions (not percent); NaN for a query that retrieved nothing.

    Attributes
    ----------
    type, location, size : (N,) float arrays, or None where that attribute was not given
    retrieved : (N,) int array
        How many lesions each query retrieved: k, or fewer where the gallery allowed fewer.
    """

    type: Floats | None
    location: Floats | None
    size: Floats | None
    retrieved: Ints


def retrieve(features: ArrayLike, k: int, patients: ArrayLike | None = None) -> Ints:
    """Return the top `k` of every row among all other rows.

    Parameters
    ----------
    features : (N, D) array
        Every row is a query; the gallery is the same rows without the query.
    k : int
    patients : (N,) array, optional
        Where given, lesions of the query's own patient are not retrieved.

    Returns
    -------
    (N, k) int array
        Nearest first, ties by lower row, −1 where fewer are left.
    """
    index = ExactIndex(features)
    allowed = None if patients is None else other_patients(patients)
    return index.search(features, k, allowed=allowed, exclude=np.arange(len(index)))[1]


def type_retrieval_error(hits: ArrayLike, types: ArrayLike) -> Floats:
    """Return 1 − precision of each query.

    Parameters
    ----------
    hits : (N, k) int array
        From `retrieve`.
    types : (N,) array

    Returns
    -------
    (N,) float array

    Source
    ------
    Sec. 6.2: "the ARE of lesion type is simply 1 − precision".
    """
    rows, labels = np.asarray(hits), np.asarray(types)
    return _mean_over_hits((labels[rows] != labels[:, None]).astype(np.float64), rows)


def average_retrieval_error(hits: ArrayLike, vectors: ArrayLike) -> Floats:
    """Return the mean Euclidean distance of each query's attribute to those retrieved.

    Parameters
    ----------
    hits : (N, k) int array
        From `retrieve`.
    vectors : (N, D) array
        Location or size vectors, each dimension with maximum 1.

    Returns
    -------
    (N,) float array

    Source
    ------
    Eq. 4.
    """
    rows, attributes = np.asarray(hits), np.asarray(vectors, dtype=np.float64)
    apart = np.linalg.norm(attributes[rows] - attributes[:, None, :], axis=2)
    return _mean_over_hits(apart, rows)


def retrieval_errors(
    hits: ArrayLike,
    types: ArrayLike | None = None,
    locations: ArrayLike | None = None,
    sizes: ArrayLike | None = None,
) -> RetrievalErrors:
    """Return the three errors of every query.

    Parameters
    ----------
    hits : (N, k) int array
    types : (N,) array, optional
    locations : (N, 3) array, optional
        From `cues.location_vectors`.
    sizes : (N, 2) array, optional
        From `cues.size_vectors`.
    """
    return RetrievalErrors(
        type=None if types is None else type_retrieval_error(hits, types),
        location=None if locations is None else average_retrieval_error(hits, locations),
        size=None if sizes is None else average_retrieval_error(hits, sizes),
        retrieved=(np.asarray(hits) >= 0).sum(axis=1).astype(np.int64),
    )


def _mean_over_hits(values: Floats, hits: NDArray[np.integer]) -> Floats:
    found = hits >= 0
    counts = found.sum(axis=1)
    sums = np.where(found, values, 0.0).sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
