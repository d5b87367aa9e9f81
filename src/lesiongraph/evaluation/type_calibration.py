"""A classifier's scores → probabilities that keep their word: temperature, Platt or isotonic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

Floats = NDArray[np.float64]
CalibrationMethod = Literal["temperature", "platt", "isotonic"]
_LOG_TEMPERATURES = (-5.0, 7.0)


@dataclass(frozen=True)
class TypeCalibration:
    """Scores (N, T) → probabilities (N, T).

    Attributes
    ----------
    method : {"temperature", "platt", "isotonic"}
    temperature : float
        The scores are divided by it before the softmax; above 1 the classifier was too sure of itself.
    curves : tuple of T (K, 2) arrays
        Platt and isotonic: score and probability of each type against the others, joined by straight
        lines, level beyond both ends. Rows are then scaled to sum to 1.
    """

    method: CalibrationMethod
    temperature: float = 1.0
    curves: tuple[Floats, ...] = ()

    def probabilities(self, scores: ArrayLike) -> Floats:
        """Return the probability (N, T) of each type."""
        values = np.asarray(scores, dtype=np.float64)
        if self.method == "temperature":
            return np.asarray(softmax(values / self.temperature, axis=1))
        each = np.column_stack([np.interp(values[:, t], *curve.T) for t, curve in enumerate(self.curves)])
        sums = each.sum(axis=1, keepdims=True)
        # A lesion that looks like none of the types is as much one as another.
        return np.where(sums > 0, each / np.where(sums > 0, sums, 1), 1 / each.shape[1])


UNCALIBRATED = TypeCalibration("temperature")


def fit_type_calibration(
    scores: ArrayLike, types: ArrayLike, known_types: ArrayLike, *, method: CalibrationMethod = "temperature"
) -> TypeCalibration:
    """Fit on scores of lesions that the classifier did not learn from.

    Parameters
    ----------
    scores : (M, T) array
    types : (M,) array of str
        True types, all among the known ones.
    known_types : (T,) array of str
        Type of each column.
    method : {"temperature", "platt", "isotonic"}
        Temperature keeps the order of the types, and with it the accuracy; the others need not.

    Raises
    ------
    ValueError
        If shapes differ, a type is unknown or the method is.

    Source
    ------
    Guo et al. 2017 (temperature); Platt 1999; Zadrozny and Elkan 2002 (isotonic, one against the others).
    """
    values, columns = np.asarray(scores, dtype=np.float64), np.asarray(known_types).astype(str)
    truth = np.asarray(types).astype(str)
    if values.shape != (len(truth), len(columns)) or not set(truth.tolist()) <= set(columns.tolist()):
        raise ValueError(
            f"expected scores (M, T), M types and T known ones, got {values.shape}, {len(truth)} of "
            f"{sorted(set(truth.tolist()))} and {columns.tolist()}"
        )
    own = truth[:, None] == columns
    if method == "temperature":
        return TypeCalibration(method, temperature=_temperature(values, own))
    if method not in ("platt", "isotonic"):
        raise ValueError(f"method: expected 'temperature', 'platt' or 'isotonic', got {method!r}")
    curve = _platt if method == "platt" else _isotonic
    return TypeCalibration(method, curves=tuple(curve(values[:, t], own[:, t]) for t in range(len(columns))))


def _temperature(scores: Floats, own: NDArray[np.bool_]) -> float:
    """Return the temperature of least mean negative log-likelihood."""

    def loss(log_temperature: float) -> float:
        return -float(log_softmax(scores / np.exp(log_temperature), axis=1)[own].mean())

    return float(np.exp(minimize_scalar(loss, bounds=_LOG_TEMPERATURES, method="bounded").x))


def _isotonic(scores: Floats, own: NDArray[np.bool_]) -> Floats:
    fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(scores, own.astype(float))
    return np.column_stack([fitted.X_thresholds_, fitted.y_thresholds_]).astype(np.float64)


def _platt(scores: Floats, own: NDArray[np.bool_]) -> Floats:
    """Return a logistic curve of the score, drawn at many points so that both methods are read alike."""
    if own.all() or not own.any():
        return np.array([[0.0, float(own.all())]])
    fitted = LogisticRegression(C=1e6).fit(scores[:, None], own)
    points = np.linspace(scores.min() - 3 * np.ptp(scores), scores.max() + 3 * np.ptp(scores), 2001)
    return np.column_stack([points, fitted.predict_proba(points[:, None])[:, 1]])
