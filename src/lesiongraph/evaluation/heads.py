"""Classifiers of types on the seeds' features, with calibrated probabilities: softmax, linear or RBF SVM."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from lesiongraph.errors import NotEnoughDataError
from lesiongraph.evaluation.type_calibration import (
    UNCALIBRATED,
    CalibrationMethod,
    TypeCalibration,
    fit_type_calibration,
)
from lesiongraph.graph import patient_folds

Floats = NDArray[np.float64]
HeadName = Literal["softmax", "linear-svm", "rbf-svm"]
_KERNELS = {"linear-svm": "linear", "rbf-svm": "rbf"}
_NEVER = -1e3  # the score of a type that no lesion of the other folds has


@dataclass(frozen=True)
class TypeHead:
    """A fitted classifier of types.

    Attributes
    ----------
    types : (T,) array of str
        Those of the seeds, sorted.
    model : sklearn Pipeline
        Softmax standardises first.
    calibration : TypeCalibration
    converged : bool
    """

    types: NDArray[np.str_]
    model: Pipeline
    calibration: TypeCalibration
    converged: bool

    def probabilities(self, features: ArrayLike) -> Floats:
        """Return the probability (N, T) of each type for features (N, D)."""
        scores = _scores(self.model, np.asarray(features, dtype=np.float64))
        return self.calibration.probabilities(scores)


def fit_head(
    seed_features: ArrayLike,
    seed_types: ArrayLike,
    seed_patients: ArrayLike | None = None,
    *,
    head: HeadName = "softmax",
    method: CalibrationMethod | None = None,
    folds: int = 5,
    rng: np.random.Generator | None = None,
) -> TypeHead:
    """Fit a classifier of types on the seeds, and calibrate it on seeds it did not learn from.

    The seeds are dealt into folds by patient; each fold is scored by a classifier of the others, and the
    calibration is fitted on these scores. The classifier returned has learned from all seeds. No lesion
    that is scored later takes part.

    Parameters
    ----------
    seed_features : (M, D) array
    seed_types : (M,) array of str
    seed_patients : (M,) array, optional
        Without it probabilities are the softmax of the scores as they are.
    head : {"softmax", "linear-svm", "rbf-svm"}
        Softmax as in `classify`; SVMs with C = 10 on features as they come, as in `cues.TypeClassifier`.
    method : {"temperature", "platt", "isotonic"}, optional
        By default temperature for softmax and Platt for SVMs: the latters' scores hold votes between pairs
        of types, which no one temperature makes probabilities.
    folds : int
        Fewer where there are fewer patients.
    rng : numpy.random.Generator, optional
        Deals patients to folds; by default from random seed 0.

    Raises
    ------
    NotEnoughDataError
        If the seeds have fewer than two types, or, with patients given, come from fewer than two, or no
        type has lesions of two patients.
    ValueError
        If lengths differ or a name is unknown.

    Source
    ------
    Softmax: Table 1. SVM: Sec. 4.3. Calibration: ours, see `fit_type_calibration`.
    """
    features, kinds = np.asarray(seed_features, dtype=np.float64), np.asarray(seed_types).astype(str)
    if features.ndim != 2 or len(features) != len(kinds):
        raise ValueError(f"expected features (M, D) and M types, got {features.shape} and {len(kinds)}")
    types = np.unique(kinds)
    if len(types) < 2:
        raise NotEnoughDataError("A classifier", "seeds of two types", len(types), "Give more seeds.")
    calibration = UNCALIBRATED
    if seed_patients is not None:
        scores = _held_out_scores(features, kinds, np.asarray(seed_patients), head, folds, rng)
        # A type that its fold's classifier never saw says nothing of how sure the classifier is.
        taught = scores[np.arange(len(kinds)), np.searchsorted(types, kinds)] > _NEVER
        if not taught.any():
            raise NotEnoughDataError(
                "Calibration", "a type with seeds of two patients", 0, "Give more seeds."
            )
        chosen = method or ("temperature" if head == "softmax" else "platt")
        calibration = fit_type_calibration(scores[taught], kinds[taught], types, method=chosen)
    model, converged = _fitted(features, kinds, head)
    return TypeHead(types, model, calibration, converged)


def _held_out_scores(
    features: Floats,
    kinds: NDArray[np.str_],
    patients: NDArray[np.generic],
    head: HeadName,
    folds: int,
    rng: np.random.Generator | None,
) -> Floats:
    """Return the scores (M, T) of each seed by a classifier that never saw its patient."""
    types = np.unique(kinds)
    scores = np.full((len(kinds), len(types)), _NEVER)
    most = min(folds, len(np.unique(patients)))
    for held_out in patient_folds(patients, most, rng or np.random.default_rng(0)):
        learned = np.unique(kinds[~held_out])
        if len(learned) < 2:
            continue
        model, _ = _fitted(features[~held_out], kinds[~held_out], head)
        columns = np.searchsorted(types, learned)
        scores[np.ix_(held_out, columns)] = _scores(model, features[held_out])
    return scores


def _fitted(features: Floats, kinds: NDArray[np.str_], head: HeadName) -> tuple[Pipeline, bool]:
    if head == "softmax":
        model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=1000))
    elif head in _KERNELS:
        model = make_pipeline(SVC(C=10.0, kernel=_KERNELS[head], decision_function_shape="ovr"))
    else:
        raise ValueError(f"head: expected 'softmax', 'linear-svm' or 'rbf-svm', got {head!r}")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(features, kinds)
    slow = [warning for warning in caught if issubclass(warning.category, ConvergenceWarning)]
    for warning in caught:
        if warning not in slow:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return model, not slow


def _scores(model: Pipeline, features: Floats) -> Floats:
    """Return the scores (N, T); of two types scikit-learn states the second's alone."""
    if not len(features):
        return np.empty((0, len(model.classes_)))
    found = np.asarray(model.decision_function(features), dtype=np.float64)
    return found if found.ndim == 2 else np.column_stack([-found / 2, found / 2])
