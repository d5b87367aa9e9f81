"""Leave a lesion without a type rather than give it one that is likely wrong (ADR 8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from lesiongraph.cues.labels import PseudoLabels, TypeLabeller, read_features, read_seeds
from lesiongraph.cues.noise import coverage_curve
from lesiongraph.errors import NotEnoughDataError

FOLDS = 5


class AbstainingLabeller:
    """Wraps a labeller: its confidence becomes a probability, and below a threshold it gives no type.

    The seeds are labelled by cross-validation in which no patient is on both sides. Those labels and
    whether they are right give (1) the probability of being right as a logistic function of the confidence
    and (2) the lowest threshold above which the share that is right is at least `wanted_precision`, less one
    standard error (Wilson): two labels out of two are no proof. A type with seeds in one patient only cannot
    be right there; it counts as wrong, as it would elsewhere.

    Parameters
    ----------
    make : function returning a TypeLabeller
        A fresh, unfitted labeller.
    wanted_precision : float
        Share of the labels given that should be right.

    Attributes
    ----------
    threshold : float
        On the probability.
    seed_precision, seed_coverage : float
        What the threshold reached on the seeds: an expectation for lesions like them, not a promise.
    silent_types : tuple of str
        Types with seeds that the pool's labels lack after abstention; set by `predict`.

    Source
    ------
    Ours; the logistic function is Platt's (1999), fitted to being right instead of to one class; the lower
    bound is Wilson's (1927).
    """

    def __init__(self, make: Callable[[], TypeLabeller], wanted_precision: float) -> None:
        if not 0 < wanted_precision <= 1:
            raise ValueError(f"wanted_precision: expected above 0 and at most 1, got {wanted_precision}")
        self._make, self.wanted_precision = make, wanted_precision
        self._labeller: TypeLabeller | None = None
        self.threshold = self.seed_precision = self.seed_coverage = float("nan")
        self.silent_types: tuple[str, ...] = ()

    def fit(self, features: ArrayLike, types: ArrayLike, *, patients: ArrayLike) -> Self:
        """Fit the labeller, its calibration and the threshold on seed lesions; return self.

        Parameters
        ----------
        features : (N, D) array
        types : (N,) array of str
        patients : (N,) array

        Raises
        ------
        ValueError
            If the shapes do not fit together.
        NotEnoughDataError
            If there are too few patients or types, or no threshold reaches the wanted precision.
        """
        matrix, labels = read_seeds(features, types)
        left_out = label_left_out(self._make, matrix, labels, patients)
        self._calibration = _calibrate(left_out.confidence, left_out.types == labels)
        self._choose_threshold(labels, PseudoLabels(left_out.types, self._probability(left_out.confidence)))
        self._seed_types = sorted(set(labels.tolist()))
        self._labeller = self._make().fit(matrix, labels)
        return self

    def predict_all(self, features: ArrayLike) -> PseudoLabels:
        """Label every lesion, with the probability that the label is right; none is left without."""
        if self._labeller is None:
            raise RuntimeError("AbstainingLabeller: call fit before predict")
        labels = self._labeller.predict(features)
        return PseudoLabels(labels.types, self._probability(labels.confidence))

    def predict(self, features: ArrayLike) -> PseudoLabels:
        """Label the lesions whose probability of being right reaches the threshold.

        Parameters
        ----------
        features : (N, D) array
        """
        labels = self.predict_all(features).abstaining_below(self.threshold)
        given = set(labels.types.tolist())
        self.silent_types = tuple(name for name in self._seed_types if name not in given)
        return labels

    def _probability(self, confidence: NDArray[np.float64]) -> NDArray[np.float64]:
        slope, offset = self._calibration
        probability: NDArray[np.float64] = 1 / (1 + np.exp(-(slope * confidence + offset)))
        return probability

    def _choose_threshold(self, truth: NDArray[np.str_], labels: PseudoLabels) -> None:
        curve = coverage_curve(truth, labels)
        safe = _lower_bound(curve.precision, np.rint(curve.coverage * len(truth)))
        enough = np.flatnonzero(safe >= self.wanted_precision)
        if not len(enough):
            raise NotEnoughDataError(
                "Abstention", f"a threshold above which {self.wanted_precision:.0%} of the labels are right",
                f"at most {safe.max():.0%}, less one standard error",
                "Want a lower precision, or give more seeds.",
            )  # fmt: skip
        chosen = enough[-1]
        self.threshold = float(curve.thresholds[chosen])
        self.seed_precision = float(curve.precision[chosen])
        self.seed_coverage = float(curve.coverage[chosen])


def label_left_out(
    make: Callable[[], TypeLabeller], features: ArrayLike, types: ArrayLike, patients: ArrayLike
) -> PseudoLabels:
    """Label each seed by a labeller that never saw its patient.

    Parameters
    ----------
    make : function returning a TypeLabeller
    features : (N, D) array
    types : (N,) array of str
    patients : (N,) array

    Raises
    ------
    NotEnoughDataError
        If there are fewer than two patients, or one fold's seeds are all of one type.
    """
    matrix, labels = read_features(features), np.asarray(types).astype(np.str_)
    groups = np.asarray(patients)
    count = len(np.unique(groups))
    if groups.shape != labels.shape:
        raise ValueError(f"patients: expected shape {labels.shape}, got {groups.shape}")
    if count < 2:
        raise NotEnoughDataError(
            "Cross-validation of the pseudo-labels", "seeds of two patients", count, "Add seeds."
        )
    given, confidence = np.empty(len(labels), dtype=object), np.empty(len(labels))
    for known, held in GroupKFold(min(FOLDS, count)).split(matrix, groups=groups):
        found = make().fit(matrix[known], labels[known]).predict(matrix[held])
        given[held], confidence[held] = found.types, found.confidence
    return PseudoLabels(given.astype(np.str_), confidence)


def _lower_bound(shares: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Wilson's interval of a share, its lower end, one standard error wide."""
    middle = shares + 1 / (2 * counts)
    width = np.sqrt(shares * (1 - shares) / counts + 1 / (4 * counts**2))
    bound: NDArray[np.float64] = (middle - width) / (1 + 1 / counts)
    return bound


def _calibrate(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and offset of the logistic function from confidence to the probability of being right."""
    if right.all() or not right.any():
        # Nothing to tell apart: a steep step in the middle would be invented. Rule of succession instead.
        share = (right.sum() + 1) / (len(right) + 2)
        return 0.0, float(np.log(share / (1 - share)))
    model = LogisticRegression(C=100.0).fit(confidence[:, None], right)
    # A confidence that misleads on the seeds is no reason to trust the least sure labels most.
    slope = max(0.0, float(model.coef_[0, 0]))
    if slope > 0:
        return slope, float(model.intercept_[0])
    return 0.0, float(np.log(right.mean() / (1 - right.mean())))
