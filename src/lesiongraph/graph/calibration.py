"""What a cost means: a limit chosen on validation pairs, and the probability that a match is right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lesiongraph.errors import NotEnoughDataError

Floats = NDArray[np.float64]
Method = Literal["isotonic", "platt"]


@dataclass(frozen=True)
class ChosenLimit:
    """A limit and what it reaches on the pairs it was chosen on."""

    limit: float
    precision: float
    recall: float
    f1: float


def choose_limit(
    costs: ArrayLike, same: ArrayLike, *, wanted_precision: float | None = None, missed: int = 0
) -> ChosenLimit:
    """Choose the limit of best F1, or of most recall at a wanted precision.

    Parameters
    ----------
    costs : (P,) array
        Of the pairs of VALIDATION patients: all candidates, or those that a matcher kept without a limit.
    same : (P,) bool array
        Whether the two are one lesion.
    wanted_precision : float, optional
    missed : int
        True pairs that are not among `costs`; they count against recall.

    Returns
    -------
    ChosenLimit
        Halfway between the dearest pair taken and the cheapest left, so that it depends on neither alone.

    Raises
    ------
    NotEnoughDataError
        If no pair is true, or no limit reaches the wanted precision.
    """
    lengths, truth = _check(costs, same)
    if not truth.any():
        raise NotEnoughDataError("Choosing a limit", "a true pair", 0, "Give validation patients with some.")
    order = np.argsort(lengths, kind="stable")
    lengths, truth = lengths[order], truth[order]
    right = np.cumsum(truth)
    taken = np.arange(1, len(truth) + 1)
    precision, recall = right / taken, right / (right[-1] + missed)
    f1 = 2 * right / (taken + right[-1] + missed)
    # Pairs of equal cost are taken together or not at all.
    possible = np.append(np.diff(lengths) > 0, True)
    if wanted_precision is not None:
        possible &= precision >= wanted_precision
        if not possible.any():
            best = f"{precision.max():.3f} at best"
            raise NotEnoughDataError(
                "Choosing a limit", f"precision {wanted_precision}", best, "Ask for less, or give more pairs."
            )
    merit = np.where(possible, f1 if wanted_precision is None else recall, -1.0)
    best_row = int(merit.argmax())
    limit = lengths[best_row : best_row + 2].mean()
    return ChosenLimit(float(limit), float(precision[best_row]), float(recall[best_row]), float(f1[best_row]))


@dataclass(frozen=True)
class CostCalibration:
    """Probability that a pair of a given cost is one lesion; it never rises with the cost.

    Attributes
    ----------
    method : {"isotonic", "platt"}
    costs, probabilities : (K,) arrays
        Isotonic: points joined by straight lines, level beyond both ends; never nearer to 0 or 1 than the
        number of pairs they were fitted on can show.
    slope, intercept : float
        Platt: the logit of the probability, slope · cost + intercept.
    """

    method: Method
    costs: Floats
    probabilities: Floats
    slope: float = 0.0
    intercept: float = 0.0

    def probability(self, costs: ArrayLike) -> Floats:
        """Return the probability (…) of pairs of these costs."""
        lengths = np.asarray(costs, dtype=np.float64)
        if self.method == "isotonic":
            return np.interp(lengths, self.costs, self.probabilities)
        found: Floats = 1 / (1 + np.exp(-np.clip(self.slope * lengths + self.intercept, -500, 500)))
        return found


def fit_calibration(costs: ArrayLike, same: ArrayLike, *, method: Method = "isotonic") -> CostCalibration:
    """Fit the probability of a match on the pairs of validation patients.

    Parameters
    ----------
    costs : (P,) array
    same : (P,) bool array
    method : {"isotonic", "platt"}

    Raises
    ------
    NotEnoughDataError
        If all pairs are true or none is.
    ValueError
        If a higher cost makes a match likelier: the cost is then not one.

    Source
    ------
    Isotonic: Zadrozny and Elkan 2002. Platt 1999. As scikit-learn has them.
    """
    # scikit-learn takes a second to import, and matching itself does not need it
    from sklearn.isotonic import IsotonicRegression
    from sklearn.linear_model import LogisticRegression

    lengths, truth = _check(costs, same)
    if truth.all() or not truth.any():
        raise NotEnoughDataError(
            "Calibration", "true and false pairs", "one kind only", "Give pairs of more patients."
        )
    nothing = np.empty(0)
    if method == "platt":
        fitted = LogisticRegression(C=1e6).fit(lengths[:, None], truth)
        slope, intercept = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
        if slope > 0:
            raise ValueError(f"calibration: expected matches to be cheaper, got a slope of {slope:+.3g}")
        return CostCalibration(method, nothing, nothing, slope, intercept)
    if method != "isotonic":
        raise ValueError(f"method: expected 'isotonic' or 'platt', got {method!r}")
    # Rule of succession: so many pairs cannot show a probability nearer to 0 or 1 than this.
    least = 1 / (len(truth) + 2)
    steps = IsotonicRegression(increasing=False, y_min=least, y_max=1 - least)
    steps.fit(lengths, truth.astype(np.float64))
    points = np.clip(np.minimum.accumulate(steps.y_thresholds_), least, 1 - least).astype(np.float64)
    return CostCalibration(method, steps.X_thresholds_.astype(np.float64), points)


def cross_fitted_probabilities(
    costs: ArrayLike,
    same: ArrayLike,
    patients: ArrayLike,
    *,
    rng: np.random.Generator,
    folds: int = 5,
    method: Method = "isotonic",
) -> Floats:
    """Return each pair's probability (P,) from a calibration that never saw its patient.

    Parameters
    ----------
    costs, same, patients : (P,) arrays
    rng : numpy.random.Generator
        Deals patients to folds.
    folds : int
    method : {"isotonic", "platt"}

    Raises
    ------
    NotEnoughDataError
        If there are fewer patients than folds.
    """
    lengths, truth = _check(costs, same)
    probabilities = np.empty(len(lengths))
    for held_out in patient_folds(patients, folds, rng):
        fitted = fit_calibration(lengths[~held_out], truth[~held_out], method=method)
        probabilities[held_out] = fitted.probability(lengths[held_out])
    return probabilities


def patient_folds(patients: ArrayLike, folds: int, rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    """Return `folds` masks (P,) that part the rows by patient."""
    codes = np.unique(np.asarray(patients), return_inverse=True)[1]
    count = int(codes.max(initial=-1)) + 1
    if not 2 <= folds <= count:
        raise NotEnoughDataError("Cross-fitting", f"{folds} patients", count, "Use fewer folds, at least 2.")
    of_patient = rng.permutation(count) % folds
    return [of_patient[codes] == fold for fold in range(folds)]


def brier_score(probabilities: ArrayLike, same: ArrayLike) -> float:
    """Return the mean squared difference of probability and truth (Brier 1950)."""
    stated, truth = _check(probabilities, same)
    return float(np.mean((stated - truth) ** 2))


def expected_calibration_error(probabilities: ArrayLike, same: ArrayLike, *, bins: int = 10) -> float:
    """Return the mean gap of stated and observed frequency over equally wide bins (Naeini et al. 2015)."""
    stated, truth = _check(probabilities, same)
    of_bin = np.minimum((stated * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(of_bin, stated - truth, minlength=bins)
    return float(np.abs(gaps).sum() / len(stated))


def _check(values: ArrayLike, same: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    numbers, truth = np.asarray(values, dtype=np.float64), np.asarray(same, dtype=bool)
    if numbers.ndim != 1 or numbers.shape != truth.shape or not len(numbers):
        raise ValueError(
            f"expected as many values as truths, at least one, got {numbers.shape} and {truth.shape}"
        )
    if not np.isfinite(numbers).all():
        raise ValueError("expected finite values")
    return numbers, truth
