"""Any matcher + validation patients whose truth is known → its limits, and what they reach there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter

from lesiongraph.errors import NotEnoughDataError
from lesiongraph.evaluation.pairs import pair_counts_by_patient
from lesiongraph.graph import CostCalibration, MatchResult, extract, fit_calibration

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Run = Callable[[float, float], MatchResult]  # (intra-study limit, inter-study limit) → groups
_MOST_STEPS = 400
LIMIT_RATIO = float(np.exp(0.125))  # of two neighbouring limits that are tried
_LIMITS_TRIED = 41  # from the longest edge down to a 150th of it
_SPREAD = 2.0  # standard deviation, in such steps, over which the F1 of neighbours counts
_PULL = 0.01  # F1 that a limit e times the usual one must win


@dataclass(frozen=True)
class LimitCurve:
    """Pairs counted at each inter-study limit, patient by patient.

    Attributes
    ----------
    limits : (L,) array
        Ascending.
    counts : (P, L, 3) int array
        True positives, false positives, false negatives; patients in sorted order.
    """

    limits: Floats
    counts: Ints

    def f1(self, patients: ArrayLike | None = None) -> Floats:
        """Return the pair F1 (L,) over some rows of patients, or all; 0 where there is no pair."""
        rows = slice(None) if patients is None else np.asarray(patients)
        right, wrong, missed = np.moveaxis(self.counts[rows].sum(axis=0), -1, 0)
        scores: Floats = 2 * right / np.maximum(2 * right + wrong + missed, 1)
        return scores

    def precision_recall(self, patients: ArrayLike | None = None) -> tuple[Floats, Floats]:
        """Return precision and recall (L,); NaN where no pair was put together, or none belongs so."""
        rows = slice(None) if patients is None else np.asarray(patients)
        right, wrong, missed = np.moveaxis(self.counts[rows].sum(axis=0).astype(np.float64), -1, 0)
        with np.errstate(invalid="ignore"):
            return right / (right + wrong), right / (right + missed)


def limit_curve(
    run: Run,
    patients: ArrayLike,
    instances: ArrayLike,
    merge_limit: float,
    *,
    limits: ArrayLike | None = None,
    nested: bool = True,
) -> LimitCurve:
    """Vary the inter-study limit and count pairs.

    Parameters
    ----------
    run : callable
        Groups the N lesions at an intra-study and an inter-study limit.
    patients, instances : (N,) arrays
        Instances are unique over all patients.
    merge_limit : float
    limits : (L,) array, optional
        By default `merge_limit` and every length of an edge, thinned to 400 steps.
    nested : bool
        The groups at a limit are those without a limit less the longer edges, so that one run serves all.
        True of Algorithm 1, mutual nearest and exclusive linkage; an assignment is run at each limit.
    """
    owners, truth = np.asarray(patients), np.asarray(instances)
    full = run(merge_limit, np.inf)
    values = _steps(full, merge_limit) if limits is None else np.unique(np.asarray(limits, np.float64))
    values = values[values >= merge_limit]
    counts = []
    for limit in values:
        groups = _shorter(full, float(limit)) if nested else run(merge_limit, float(limit)).groups
        counts.append(pair_counts_by_patient(owners, truth, groups))
    return LimitCurve(values, np.stack(counts, axis=1))


@dataclass(frozen=True)
class ChosenLimits:
    """Limits of best pair F1 on the patients they were chosen on, and what an edge's length means.

    Attributes
    ----------
    merge_limit, limit : float
        Intra-study and inter-study.
    precision, recall, f1 : float
        Of pairs, there.
    true_pairs : int
        Pairs of marks of one lesion among these patients.
    calibration : CostCalibration or None
        Probability that an edge between studies joins one lesion; None where all edges are true, or none.
    edges, true_edges : int
        What the calibration was fitted on.
    """

    merge_limit: float
    limit: float
    precision: float
    recall: float
    f1: float
    true_pairs: int
    calibration: CostCalibration | None
    edges: int
    true_edges: int


def choose_limits(
    run: Run,
    patients: ArrayLike,
    instances: ArrayLike,
    merge_limits: Sequence[float],
    *,
    usual: tuple[float, float],
    nested: bool = True,
) -> ChosenLimits:
    """Choose, among VALIDATION patients, the limits around which the pair F1 is best.

    A few patients allow many limits without an error. One at the edge of those is a matter of luck, and
    other patients lie beyond it: so the F1 at a pair of limits is averaged with that of its neighbours, and
    what the patients leave open is settled by the limits that serve where nobody knows the truth.

    Parameters
    ----------
    run, patients, instances, nested
        As for `limit_curve`.
    merge_limits : sequence of float
        Intra-study limits to try, above 0, ascending in steps of `LIMIT_RATIO`; or one.
    usual : (float, float)
        The intra-study and inter-study limit that would serve without a truth.

    Raises
    ------
    NotEnoughDataError
        If no lesion has two marks.
    ValueError
        If a limit is not above 0.

    Source
    ------
    Ours (ADR 11): the paper states T_1 and varies T_2.
    """
    owners, truth = np.asarray(patients), np.asarray(instances)
    if min(*merge_limits, *usual) <= 0:
        raise ValueError(f"expected limits above 0, got {merge_limits} and {usual}")
    longest = float(run(merge_limits[0], np.inf).distances.max(initial=usual[1]))
    limits = longest * LIMIT_RATIO ** np.arange(1.0 - _LIMITS_TRIED, 1.0)
    counts = np.stack(
        [_counts_at(run, owners, truth, merge_limit, limits, nested=nested) for merge_limit in merge_limits]
    )  # (T, L, 3)
    right, wrong, missed = np.moveaxis(counts, -1, 0)
    pairs = int(right[0, 0] + missed[0, 0])
    if not pairs:
        raise NotEnoughDataError(
            "Choosing a limit", "a lesion with two marks among the validation patients", 0,
            "Is this the truth of this hospital? Give more patients.",
        )  # fmt: skip
    scores = 2 * right / (2 * right + wrong + missed)
    from_usual = np.add.outer(np.log(np.divide(merge_limits, usual[0])) ** 2, np.log(limits / usual[1]) ** 2)
    merit = gaussian_filter(scores, _SPREAD, mode="nearest") - _PULL * from_usual
    row, column = (int(at) for at in np.unravel_index(int(merit.argmax()), merit.shape))
    merge_limit, limit = float(merge_limits[row]), max(float(limits[column]), float(merge_limits[row]))
    true, false, _ = (int(n) for n in counts[row, column])
    precision = true / (true + false) if true + false else float("nan")
    lengths, same = labelled_edges(run(merge_limit, np.inf), truth)
    mixed = same.any() and not same.all()
    return ChosenLimits(
        merge_limit, limit, precision, true / pairs, float(scores[row, column]), pairs,
        fit_calibration(lengths, same) if mixed else None, len(same), int(same.sum()),
    )  # fmt: skip


def _counts_at(
    run: Run, owners: NDArray[Any], truth: NDArray[Any], merge_limit: float, limits: Floats, *, nested: bool
) -> Ints:
    """Count pairs (L, 3) of all patients; a limit below the merge limit counts as that."""
    raised = np.maximum(limits, merge_limit)
    curve = limit_curve(run, owners, truth, merge_limit, limits=raised, nested=nested)
    at_each: Ints = curve.counts.sum(axis=0)[np.searchsorted(curve.limits, raised)]
    return at_each


def labelled_edges(result: MatchResult, instances: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the length of each edge between studies, and whether it joins one lesion.

    Parameters
    ----------
    result : MatchResult
    instances : (N,) array
        A node of several marks counts as the lesion of its first.
    """
    truth = np.asarray(instances)
    first = np.array([members[0] for members in result.members], dtype=np.int64)
    ends = first[result.node_edges]
    return result.distances, truth[ends[:, 0]] == truth[ends[:, 1]]


def _shorter(full: MatchResult, limit: float) -> Ints:
    nodes = int(full.nodes.max(initial=-1)) + 1
    groups: Ints = extract(full.node_edges[full.distances <= limit], nodes)[full.nodes]
    return groups


def _steps(full: MatchResult, merge_limit: float) -> Floats:
    lengths = np.unique(full.distances[full.distances > merge_limit])
    if len(lengths) > _MOST_STEPS:
        lengths = lengths[np.unique(np.linspace(0, len(lengths) - 1, _MOST_STEPS).round().astype(int))]
    return np.concatenate([[merge_limit], lengths])
