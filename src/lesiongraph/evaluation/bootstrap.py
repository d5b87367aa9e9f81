"""Confidence intervals by resampling patients, since lesions of one patient are not independent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lesiongraph.errors import NotEnoughDataError


@dataclass(frozen=True)
class ConfidenceInterval:
    """An estimate on all rows and the percentile interval of its resamples."""

    estimate: float
    low: float
    high: float
    level: float
    repeats: int


def patient_bootstrap(
    statistic: Callable[[NDArray[np.int64]], float],
    patients: ArrayLike,
    *,
    rng: np.random.Generator,
    repeats: int = 1000,
    level: float = 0.95,
) -> ConfidenceInterval:
    """Return the percentile interval of `statistic` over resamples of whole patients.

    Parameters
    ----------
    statistic : function from (M,) int rows to float
        Rows repeat where a patient is drawn more than once. For an average retrieval error give the mean
        of the per-query errors: `lambda rows: errors.location[rows].mean()`; the gallery stays as it was.
    patients : (N,) array
    rng : numpy.random.Generator
    repeats : int
    level : float

    Raises
    ------
    NotEnoughDataError
        If there are fewer than two patients.
    ValueError
        If the level is not between 0 and 1 or repeats is below 1.

    Source
    ------
    Ours: the paper reports the spread over five training runs only (Table 1).
    """
    if not 0 < level < 1 or repeats < 1:
        raise ValueError(f"expected 0 < level < 1 and repeats >= 1, got {level} and {repeats}")
    drawn = patient_resamples(patients, rng=rng, repeats=repeats)
    estimate = float(statistic(np.arange(len(np.asarray(patients)))))
    return percentile_interval(estimate, np.array([statistic(rows) for rows in drawn]), level)


def patient_resamples(
    patients: ArrayLike, *, rng: np.random.Generator, repeats: int = 1000
) -> list[NDArray[np.int64]]:
    """Return the rows of each resample: as many patients as there are, drawn with replacement, whole.

    Several figures counted on the same resamples can be compared: the interval of their difference is that
    of the differences.

    Parameters
    ----------
    patients : (N,) array
    rng : numpy.random.Generator
    repeats : int

    Raises
    ------
    NotEnoughDataError
        If there are fewer than two patients.
    """
    codes = np.unique(np.asarray(patients), return_inverse=True)[1]
    count = int(codes.max(initial=-1)) + 1
    if count < 2:
        raise NotEnoughDataError(
            "Confidence interval", "two patients", count, "Give lesions of more patients."
        )
    rows_of = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    return [
        np.concatenate([rows_of[patient] for patient in rng.integers(count, size=count)])
        for _ in range(repeats)
    ]


def percentile_interval(
    estimate: float, values: NDArray[np.float64], level: float = 0.95
) -> ConfidenceInterval:
    """Return the interval that holds `level` of the resamples' values.

    Parameters
    ----------
    estimate : float
        On all rows.
    values : (repeats,) float array
    level : float
    """
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(values, [tail, 100 - tail])
    return ConfidenceInterval(estimate, float(low), float(high), level, len(values))
