"""One row of Table 1: six figures for one feature (Sec. 6.2)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lesiongraph.cues import location_vectors, size_vectors
from lesiongraph.errors import NotEnoughDataError
from lesiongraph.evaluation.classification import classification_accuracy
from lesiongraph.evaluation.clustering import cluster_scores
from lesiongraph.evaluation.retrieval import retrieval_errors, retrieve


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


def evaluate_features(
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
) -> Table1Row:
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
    hits = retrieve(matrix, k, patients if other_patients else None)
    errors = retrieval_errors(
        hits,
        labels,
        None if locations is None else location_vectors(locations),
        None if sizes is None else size_vectors(sizes),
    )
    scores = cluster_scores(matrix, labels, clusters=clusters, starts=kmeans_starts, rng_seed=rng_seed)
    accuracy = None
    if seed_features is not None and seed_types is not None:
        accuracy = classification_accuracy(seed_features, seed_types, matrix, labels)
    return Table1Row(
        type_are=_percent_of_queries(errors.type),
        location_are=_percent_of_queries(errors.location),
        size_are=_percent_of_queries(errors.size),
        purity=None if scores is None else 100 * scores.purity,
        nmi=None if scores is None else 100 * scores.nmi,
        accuracy=None if accuracy is None else 100 * accuracy,
        n=len(matrix),
        k=k,
    )


def _percent_of_queries(errors: NDArray[np.float64] | None) -> float | None:
    """Mean over the queries that retrieved anything, in percent."""
    if errors is None or not np.isfinite(errors).any():
        return None
    return float(100 * np.nanmean(errors))


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
