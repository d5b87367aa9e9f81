"""One row of Table 1: six figures for one feature (Sec. 6.2)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lesiongraph.cues import location_vectors, size_vectors
from lesiongraph.errors import NotEnoughDataError
from lesiongraph.evaluation.classification import classify
from lesiongraph.evaluation.clustering import cluster_scores, normalised_mutual_information, purity
from lesiongraph.evaluation.retrieval import RetrievalErrors, retrieval_errors, retrieve


@dataclass(frozen=True)
class Table1Row:
    """The six figures in percent, None where one cannot be computed (null in JSON).

    Attributes
    ----------
    type_are, location_are, size_are : float or None
        Average retrieval errors; lower is better.
    purity, nmi : float or None
        K-means clusters against types.
    accuracy : float or None
        Softmax classifier trained on the seeds.
    n : int
        Lesions scored, each a query.
    k : int
        Lesions retrieved for each.
    """

    type_are: float | None
    location_are: float | None
    size_are: float | None
    purity: float | None
    nmi: float | None
    accuracy: float | None
    n: int
    k: int

    def to_dict(self) -> dict[str, float | int | None]:
        """Return the row as JSON wants it, keys in the order of Table 1."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class ScoredLesions:
    """What one feature gave for each lesion scored: a row of Table 1 and its intervals are made of it.

    Attributes
    ----------
    types : (N,) array of str
    errors : RetrievalErrors
        Of each lesion as a query.
    clusters : (N,) int array or None
    predicted : (N,) array of str or None
        By the softmax classifier; empty for a lesion that is not to be classified (it is a seed).
    k : int
    """

    types: NDArray[np.str_]
    errors: RetrievalErrors
    clusters: NDArray[np.int64] | None
    predicted: NDArray[np.str_] | None
    k: int

    def row(self) -> Table1Row:
        """Return the six figures of all lesions."""
        return Table1Row(**{name: self.figure(name) for name in TABLE1_FIGURES}, n=len(self.types), k=self.k)

    def figure(self, name: str, rows: NDArray[np.int64] | None = None) -> float | None:
        """Return one figure in percent over some lesions, which may repeat (a resample).

        Parameters
        ----------
        name : str
            One of `TABLE1_FIGURES`.
        rows : (M,) int array, optional
            All lesions if not given.
        """
        chosen = np.arange(len(self.types)) if rows is None else rows
        value = _COUNTED[name](self, chosen)
        return None if value is None else 100 * value

    @cached_property
    def _type_codes(self) -> NDArray[np.int64]:
        return np.unique(self.types, return_inverse=True)[1]

    def _purity(self, rows: NDArray[np.int64]) -> float | None:
        return None if self.clusters is None else purity(self._type_codes[rows], self.clusters[rows])

    def _nmi(self, rows: NDArray[np.int64]) -> float | None:
        if self.clusters is None:
            return None
        return normalised_mutual_information(self._type_codes[rows], self.clusters[rows])

    @cached_property
    def _right(self) -> NDArray[np.float64] | None:
        """1 where the classifier was right, 0 where wrong, NaN where it was not asked."""
        if self.predicted is None:
            return None
        return np.where(self.predicted == "", np.nan, (self.predicted == self.types).astype(np.float64))


_COUNTED: dict[str, Callable[[ScoredLesions, NDArray[np.int64]], float | None]] = {
    "type_are": lambda scored, rows: _mean(scored.errors.type, rows),
    "location_are": lambda scored, rows: _mean(scored.errors.location, rows),
    "size_are": lambda scored, rows: _mean(scored.errors.size, rows),
    "purity": ScoredLesions._purity,
    "nmi": ScoredLesions._nmi,
    "accuracy": lambda scored, rows: _mean(scored._right, rows),
}
TABLE1_FIGURES = tuple(_COUNTED)  # in the order of the table


def score_features(
    features: ArrayLike,
    types: ArrayLike,
    locations: ArrayLike | None,
    sizes: ArrayLike | None,
    patients: ArrayLike | None,
    *,
    k: int = 5,
    other_patients: bool = False,
    seed_features: ArrayLike | None = None,
    seed_types: ArrayLike | None = None,
    rng_seed: int = 0,
    clusters: int = 8,
    kmeans_starts: int = 10,
) -> ScoredLesions:
    """Score one feature on the lesions given, as Table 1 does.

    Every lesion is a query; the gallery is the other lesions given.

    Parameters
    ----------
    features : (N, D) array
    types : (N,) array of str
        True types, none empty.
    locations : (N, 3) array or None
        Each dimension is divided here by its maximum over the rows given.
    sizes : (N, 2) array or None
        Long and short diameter in mm; divided likewise.
    patients : (N,) array or None
        Needed for `other_patients` only.
    k : int
    other_patients : bool
        Retrieve from other patients only; by default same-patient hits count, as in the paper.
    seed_features, seed_types : (M, D) and (M,) arrays, optional
        What the softmax classifier learns from; without them accuracy is None.
    rng_seed : int
        For K-means.
    clusters, kmeans_starts : int

    Raises
    ------
    ValueError
        If lengths differ, or `other_patients` without `patients`.
    NotEnoughDataError
        If there is no row, or a type, location or size is missing in one: leave such rows out, or give
        None for the whole attribute.

    Source
    ------
    Table 1, Eq. 4.
    """
    matrix = np.asarray(features)
    labels = np.asarray(types).astype(str)
    _check(matrix, labels, patients, other_patients)
    errors = score_retrieval(
        matrix, labels, locations, sizes, k=k, patients=patients if other_patients else None
    )
    scores = cluster_scores(matrix, labels, clusters=clusters, starts=kmeans_starts, rng_seed=rng_seed)
    classified = None
    if seed_features is not None and seed_types is not None:
        classified = classify(seed_features, seed_types, matrix, labels)
    return ScoredLesions(
        labels,
        errors,
        None if scores is None else scores.clusters,
        None if classified is None else classified.predicted,
        k,
    )


def score_retrieval(
    features: ArrayLike,
    types: ArrayLike,
    locations: ArrayLike | None,
    sizes: ArrayLike | None,
    *,
    k: int = 5,
    patients: ArrayLike | None = None,
) -> RetrievalErrors:
    """Return the retrieval errors alone; with `patients`, hits of the query's own patient do not count.

    Parameters as for `score_features`.
    """
    return retrieval_errors(
        retrieve(features, k, patients),
        types,
        None if locations is None else location_vectors(locations),
        None if sizes is None else size_vectors(sizes),
    )


def _mean(values: NDArray[np.float64] | None, rows: NDArray[np.int64]) -> float | None:
    """Mean over the lesions that have a value: a query that retrieved nothing has none."""
    if values is None:
        return None
    chosen = values[rows]
    known = chosen[np.isfinite(chosen)]
    return float(known.mean()) if len(known) else None


def evaluate_features(
    features: ArrayLike,
    types: ArrayLike,
    locations: ArrayLike | None,
    sizes: ArrayLike | None,
    patients: ArrayLike | None,
    **options: Any,
) -> Table1Row:
    """Return the six figures of one feature: the row of `score_features`, which has the same parameters."""
    return score_features(features, types, locations, sizes, patients, **options).row()


def _check(
    matrix: NDArray[np.generic],
    labels: NDArray[np.str_],
    patients: ArrayLike | None,
    other_patients: bool,
) -> None:
    if matrix.ndim != 2 or labels.shape != (len(matrix),):
        raise ValueError(f"expected features (N, D) and types (N,), got {matrix.shape} and {labels.shape}")
    if not len(matrix):
        raise NotEnoughDataError(
            "Evaluation", "at least one typed lesion", 0, "Choose another split or subset."
        )
    untyped = int((labels == "").sum())
    if untyped:
        raise NotEnoughDataError(
            "Evaluation", "a type for every lesion scored", f"{untyped} of {len(labels)} without one",
            "Score typed lesions only.",
        )  # fmt: skip
    if other_patients and patients is None:
        raise ValueError("other_patients: expected the patient of each row, got none")
