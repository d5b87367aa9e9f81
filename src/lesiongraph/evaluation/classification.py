"""An 8-way softmax classifier on the seeds, applied to the test lesions (Table 1, Fig. 7)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lesiongraph.lesion import LESION_TYPES


@dataclass(frozen=True)
class ClassificationResult:
    """Predicted types, the share that is right, and whether the optimiser converged."""

    predicted: NDArray[np.str_]
    accuracy: float
    converged: bool


def classify(
    seed_features: ArrayLike, seed_types: ArrayLike, features: ArrayLike, types: ArrayLike
) -> ClassificationResult | None:
    """Fit a softmax classifier on the seeds and apply it; None where it cannot be computed.

    Multinomial logistic regression (L2 penalty, C = 1) on features standardised over the seeds. It cannot
    be computed without rows on either side, or with fewer than two types among the seeds.

    Parameters
    ----------
    seed_features : (M, D) array
    seed_types : (M,) array of str
    features : (N, D) array
    types : (N,) array of str

    Source
    ------
    Table 1: "a 8-way softmax classifier on the seed labeled samples"; penalty and scaling are ours.
    """
    known = np.asarray(seed_types).astype(str)
    truth = np.asarray(types).astype(str)
    if not len(truth) or len(set(known.tolist())) < 2:
        return None
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=1000))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(np.asarray(seed_features, dtype=np.float64), known)
    for warning in caught:
        if not issubclass(warning.category, ConvergenceWarning):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    predicted = np.asarray(model.predict(np.asarray(features, dtype=np.float64))).astype(np.str_)
    converged = not any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
    return ClassificationResult(predicted, float((predicted == truth).mean()), converged)


def classification_accuracy(
    seed_features: ArrayLike, seed_types: ArrayLike, features: ArrayLike, types: ArrayLike
) -> float | None:
    """Return only the accuracy of `classify`, as a fraction."""
    result = classify(seed_features, seed_types, features, types)
    return None if result is None else result.accuracy


def confusion_matrix(
    types: ArrayLike, predicted: ArrayLike, labels: Sequence[str] = LESION_TYPES
) -> NDArray[np.int64]:
    """Return how many lesions of each type (row) were given each type (column).

    Parameters
    ----------
    types, predicted : (N,) arrays of str
    labels : sequence of str
        Order of rows and columns.

    Raises
    ------
    ValueError
        If a type is not among the labels: it must not vanish from the counts.

    Source
    ------
    Fig. 7.
    """
    truth, guess = np.asarray(types).astype(str).tolist(), np.asarray(predicted).astype(str).tolist()
    strange = sorted({*truth, *guess} - set(labels))
    if strange or len(truth) != len(guess):
        raise ValueError(
            f"expected {len(truth)} predictions out of {', '.join(labels)}; "
            f"got {len(guess)}, unknown types {strange}"
        )
    place = {label: i for i, label in enumerate(labels)}
    table = np.zeros((len(labels), len(labels)), dtype=np.int64)
    for true, given in zip(truth, guess, strict=True):
        table[place[true], place[given]] += 1
    return table
