"""The labellers compared: the paper's, and rivals behind the same protocol."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import KNeighborsClassifier
from sklearn.semi_supervised import LabelPropagation, LabelSpreading

from lesiongraph.cues import PseudoLabels, TypeClassifier, TypeLabeller

NEIGHBOURS = 10


class Neighbours:
    """Vote of the ten nearest seeds, weighted by 1 / distance; the winner's share is the confidence."""

    def fit(self, features: ArrayLike, types: ArrayLike) -> Self:
        """Learn from seeds (N, D); see `TypeLabeller`."""
        known = np.asarray(types)
        self._model = KNeighborsClassifier(min(NEIGHBOURS, len(known)), weights="distance")
        self._model.fit(np.asarray(features), known)
        return self

    def predict(self, features: ArrayLike) -> PseudoLabels:
        """Label the pool (M, D); see `TypeLabeller`."""
        return _labels(*self.shares(features))

    def shares(self, features: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Return the types, sorted, and each one's share of the vote, (N, types)."""
        return self._model.classes_, self._model.predict_proba(np.asarray(features))


class Agreement:
    """The paper's SVM; its confidence is the vote of the ten nearest seeds for the type that it gives."""

    def fit(self, features: ArrayLike, types: ArrayLike) -> Self:
        """Learn from seeds (N, D); see `TypeLabeller`."""
        self._machine = TypeClassifier().fit(features, types)
        self._neighbours = Neighbours().fit(features, types)
        return self

    def predict(self, features: ArrayLike) -> PseudoLabels:
        """Label the pool (M, D); see `TypeLabeller`."""
        labels = self._machine.predict(features)
        names, shares = self._neighbours.shares(features)
        vote = shares[np.arange(len(shares)), np.searchsorted(names, labels.types)]
        # without a vote the SVM's own confidence still orders the lesions
        return PseudoLabels(labels.types, (vote + 1e-3 * labels.confidence) / (1 + 1e-3))


class Prototypes:
    """The nearest mean of a type's seeds; softmax of −d² over half the mean squared distance to it."""

    def fit(self, features: ArrayLike, types: ArrayLike) -> Self:
        """Learn from seeds (N, D); see `TypeLabeller`."""
        matrix, known = np.asarray(features, dtype=float), np.asarray(types)
        self._names = np.unique(known)
        self._means = np.stack([matrix[known == name].mean(axis=0) for name in self._names])
        return self

    def predict(self, features: ArrayLike) -> PseudoLabels:
        """Label the pool (M, D); see `TypeLabeller`."""
        matrix = np.asarray(features, dtype=float)
        squared = ((matrix[:, None] - self._means[None]) ** 2).sum(axis=2)
        nearest = squared.min(axis=1, keepdims=True)
        shares = np.exp(-(squared - nearest) / (nearest.mean() / 2))
        return _labels(self._names, shares / shares.sum(axis=1, keepdims=True))


class Propagation:
    """scikit-learn's label propagation or spreading over a graph of the ten nearest, seeds and pool together.

    A lesion that no seed reaches gets the commonest type of the seeds, with confidence 0.
    """

    def __init__(self, make: Callable[[], LabelPropagation | LabelSpreading]) -> None:
        self._make = make

    def fit(self, features: ArrayLike, types: ArrayLike) -> Self:
        """Learn from seeds (N, D); see `TypeLabeller`."""
        self._matrix = np.asarray(features, dtype=float)
        self._names, self._codes = np.unique(np.asarray(types), return_inverse=True)
        return self

    def predict(self, features: ArrayLike) -> PseudoLabels:
        """Label the pool (M, D); see `TypeLabeller`."""
        pool = np.asarray(features, dtype=float)
        model = self._make()
        with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
            # 1,000 steps change no label any more; a component without a seed is dealt with below
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.simplefilter("ignore", RuntimeWarning)
            model.fit(np.vstack([self._matrix, pool]), np.concatenate([self._codes, np.full(len(pool), -1)]))
        shares = np.nan_to_num(model.label_distributions_[len(self._matrix) :])
        unreached = shares.sum(axis=1) <= 0
        labels = _labels(self._names, shares)
        commonest = self._names[np.bincount(self._codes).argmax()]
        return PseudoLabels(np.where(unreached, commonest, labels.types).astype(np.str_), labels.confidence)


def _labels(names: np.ndarray, shares: np.ndarray) -> PseudoLabels:
    return PseudoLabels(np.asarray(names)[shares.argmax(axis=1)].astype(np.str_), shares.max(axis=1))


METHODS: dict[str, Callable[[], TypeLabeller]] = {
    "RBF-SVM (paper, default)": TypeClassifier,
    "RBF-SVM, types balanced": lambda: TypeClassifier(balanced=True),
    "RBF-SVM, sure where neighbours agree": Agreement,
    "label propagation": lambda: Propagation(
        lambda: LabelPropagation(kernel="knn", n_neighbors=NEIGHBOURS, max_iter=1000)
    ),
    "label spreading": lambda: Propagation(
        lambda: LabelSpreading(kernel="knn", n_neighbors=NEIGHBOURS, alpha=0.5, max_iter=1000)
    ),
    "10 nearest seeds": Neighbours,
    "prototypes": Prototypes,
}
