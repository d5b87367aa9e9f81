"""Lesion types spread from seeds to unlabelled lesions by an RBF-kernel SVM (Sec. 4.1, 4.3)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.svm import SVC

from lesiongraph.cues.labels import PseudoLabels, read_features, read_seeds
from lesiongraph.errors import NotEnoughDataError

SEARCHED_PENALTIES = (1.0, 10.0, 100.0)
SEARCH_FOLDS = 3


class TypeClassifier:
    """RBF-kernel SVM on features as they come: unit vectors, each scale of the trunk already normalised.

    Standardising each dimension over a few dozen seeds blows up the quiet ones; on a phantom hospital with
    51 seeds it labelled 148 of 149 lesions "lung". `gamma` is 1 / (D × variance). The paper states neither
    C nor gamma; C = 10 is ours, and `fit(..., patients=...)` chooses C among 1, 10, 100 by cross-validation
    in which no patient is on both sides.

    The confidence is the softmax of the one-versus-rest decision values at the predicted type: 1 / classes
    to 1. It orders lesions by certainty; it is no probability (`AbstainingLabeller` makes it one).

    Parameters
    ----------
    penalty : float
        C.
    balanced : bool
        Ours, off by default. Each seed weighs in inverse proportion to how common its type is, so that rare
        types are found more often, at the cost of more wrong labels overall (docs/pseudo-labels.md).

    Source
    ------
    Sec. 4.3: "8-class RBF-kernel support vector machine (SVM) classifier".
    """

    def __init__(self, penalty: float = 10.0, *, balanced: bool = False) -> None:
        self.penalty, self.balanced = penalty, balanced
        self._model: SVC | None = None

    def fit(
        self, features: ArrayLike, types: ArrayLike, *, patients: ArrayLike | None = None
    ) -> TypeClassifier:
        """Fit on seed lesions and return self.

        Parameters
        ----------
        features : (N, D) array
        types : (N,) array of str
        patients : (N,) array, optional
            Where given, C is chosen by cross-validation by patient (see class).

        Raises
        ------
        ValueError
            If the shapes do not fit together.
        NotEnoughDataError
            If fewer than two types occur among the seeds, or (with `patients`) fewer patients than folds.
        """
        matrix, labels = read_seeds(features, types)
        if patients is not None:
            self.penalty = _choose_penalty(matrix, labels, np.asarray(patients), self.balanced)
        self._model = _machine(self.penalty, self.balanced).fit(matrix, labels)
        return self

    @property
    def types(self) -> tuple[str, ...]:
        """Types known to the classifier, sorted."""
        return tuple(str(name) for name in self._fitted().classes_)

    def predict(self, features: ArrayLike) -> PseudoLabels:
        """Return the pseudo-label of each lesion with its confidence.

        Parameters
        ----------
        features : (N, D) array
        """
        model = self._fitted()
        matrix = read_features(features)
        if not len(matrix):
            return PseudoLabels(np.empty(0, dtype=np.str_), np.empty(0))
        decisions = np.asarray(model.decision_function(matrix), dtype=np.float64)
        if decisions.ndim == 1:  # two classes: scikit-learn returns one signed distance
            decisions = np.stack([-decisions / 2, decisions / 2], axis=1)
        shares = np.exp(decisions - decisions.max(axis=1, keepdims=True))
        confidence = shares.max(axis=1) / shares.sum(axis=1)
        return PseudoLabels(np.asarray(model.classes_)[decisions.argmax(axis=1)].astype(np.str_), confidence)

    def _fitted(self) -> SVC:
        if self._model is None:
            raise RuntimeError("TypeClassifier: call fit before predict")
        return self._model


def _machine(penalty: float, balanced: bool) -> SVC:
    # break_ties makes the predicted class the one of the largest decision value, as `predict` here reads it.
    return SVC(
        kernel="rbf", C=penalty, gamma="scale", class_weight="balanced" if balanced else None,
        decision_function_shape="ovr", break_ties=True,
    )  # fmt: skip


def _choose_penalty(
    matrix: NDArray[np.float64], labels: NDArray[np.str_], patients: NDArray[np.generic], balanced: bool
) -> float:
    count = len(np.unique(patients))
    if count < SEARCH_FOLDS:
        raise NotEnoughDataError(
            "Cross-validation of the type classifier", f"{SEARCH_FOLDS} patients", count,
            "Give more seeds, or call fit without patients.",
        )  # fmt: skip
    search = GridSearchCV(
        _machine(1.0, balanced), {"C": list(SEARCHED_PENALTIES)}, cv=GroupKFold(SEARCH_FOLDS),
        scoring="balanced_accuracy" if balanced else "accuracy",
    )  # fmt: skip
    search.fit(matrix, labels, groups=patients)
    return float(search.best_params_["C"])
