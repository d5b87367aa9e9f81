"""Any matcher + patients whose truth is known → what each inter-study limit reaches (Fig. 8)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lesiongraph.evaluation.pairs import pair_counts_by_patient
from lesiongraph.graph import MatchResult, extract

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Run = Callable[[float, float], MatchResult]  # (intra-study limit, inter-study limit) → groups
_MOST_STEPS = 400


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
    full = run(merge_limit, np.inf) if nested or limits is None else None
    values = (
        _steps(full, merge_limit) if full and limits is None else np.unique(np.asarray(limits, np.float64))
    )
    values = values[values >= merge_limit]
    counts = []
    for limit in values:
        groups = _shorter(full, float(limit)) if full and nested else run(merge_limit, float(limit)).groups
        counts.append(pair_counts_by_patient(owners, truth, groups))
    return LimitCurve(values, np.stack(counts, axis=1))


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
