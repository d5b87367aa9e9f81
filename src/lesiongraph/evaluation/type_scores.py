"""Probabilities of types + true types → balanced accuracy, mean average precision, AUC, calibration error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from lesiongraph.graph import expected_calibration_error

Floats = NDArray[np.float64]
Score = Callable[[NDArray[np.bool_], Floats], float]


@dataclass(frozen=True)
class TypeScores:
    """Scores of a classifier of types, as fractions; None where one cannot be computed.

    Attributes
    ----------
    accuracy : float
        Share of lesions whose likeliest type is theirs.
    balanced_accuracy : float
        Mean over the types that occur of the share of their lesions given that type.
    mean_average_precision : float or None
        Mean over types of the average precision of "this type or another", lesions ranked by the
        probability of the type. Every type counts alike; one without lesions, or that all lesions are of,
        does not.
    auc : float or None
        Mean over types of the area under the ROC curve of "this type or another".
    ece : float
        Expected calibration error of the likeliest type's probability, ten equally wide bins.
    """

    accuracy: float
    balanced_accuracy: float
    mean_average_precision: float | None
    auc: float | None
    ece: float


def type_scores(probabilities: ArrayLike, known_types: Sequence[str], types: ArrayLike) -> TypeScores:
    """Score the probabilities of types.

    Parameters
    ----------
    probabilities : (N, T) array
        Rows sum to 1.
    known_types : sequence of T str
        Type of each column. A lesion of a type that is not among them counts as wrong, and its type's
        average precision and AUC are those of a constant score.
    types : (N,) array of str
        True types.

    Raises
    ------
    ValueError
        If shapes differ, there is no row, or a row is not a distribution.
    """
    stated, truth = np.asarray(probabilities, dtype=np.float64), np.asarray(types).astype(str)
    columns = np.asarray(known_types).astype(str)
    _check(stated, columns, truth)
    predicted = columns[stated.argmax(axis=1)]
    right = predicted == truth
    return TypeScores(
        accuracy=float(right.mean()),
        balanced_accuracy=float(np.mean([right[truth == kind].mean() for kind in np.unique(truth)])),
        mean_average_precision=_mean_over_types(average_precision_score, stated, columns, truth),
        auc=_mean_over_types(roc_auc_score, stated, columns, truth),
        ece=expected_calibration_error(stated.max(axis=1), right),
    )


def _mean_over_types(
    score: Score, stated: Floats, columns: NDArray[np.str_], truth: NDArray[np.str_]
) -> float | None:
    values = []
    for kind in np.unique(truth):
        own = truth == kind
        if own.all():
            continue
        column = np.flatnonzero(columns == kind)
        scores = stated[:, column[0]] if len(column) else np.zeros(len(truth))
        values.append(float(score(own, scores)))
    return float(np.mean(values)) if values else None


def _check(stated: Floats, columns: NDArray[np.str_], truth: NDArray[np.str_]) -> None:
    if not len(truth) or stated.shape != (len(truth), len(columns)):
        raise ValueError(
            f"expected probabilities (N, T) of N > 0 types and T columns, got {stated.shape}, "
            f"{len(truth)} and {len(columns)}"
        )
    if not (stated >= 0).all() or not np.allclose(stated.sum(axis=1), 1, atol=1e-6):
        raise ValueError("probabilities: expected rows of numbers not below 0 that sum to 1")
