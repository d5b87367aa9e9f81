"""Precision and recall of matched lesion groups, counted in pairs (Sec. 6.3, Fig. 8)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lesiongraph.graph import extract, match_patients

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PairCounts:
    """Pairs of lesions, judged by whether they share a group.

    Attributes
    ----------
    true_positives : int
        Same instance, same group.
    false_positives : int
        Different instances, same group.
    false_negatives : int
        Same instance, different groups.
    """

    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def precision(self) -> float | None:
        """Share of the pairs put together that belong together; None where none were put together."""
        return _share(self.true_positives, self.false_positives)

    @property
    def recall(self) -> float | None:
        """Share of the pairs that belong together that were put together; None where there are none."""
        return _share(self.true_positives, self.false_negatives)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None where there is no pair at all."""
        return _share(2 * self.true_positives, self.false_positives + self.false_negatives)


@dataclass(frozen=True)
class PrecisionRecallCurve:
    """Precision and recall at each inter-study threshold.

    Attributes
    ----------
    t2 : (P,) float array
        Ascending.
    precision : (P,) float array
        NaN where no pair was put together.
    recall : (P,) float array
        Never falls as T_2 grows.
    """

    t2: Floats
    precision: Floats
    recall: Floats

    @property
    def area(self) -> float:
        """Area under the curve, see `area_under_curve`."""
        return area_under_curve(self.precision, self.recall)

    @property
    def best_f1(self) -> tuple[float, float]:
        """Largest F1 and the T_2 that reaches it."""
        sums = self.precision + self.recall
        with np.errstate(invalid="ignore", divide="ignore"):
            scores = np.nan_to_num(2 * self.precision * self.recall / sums)
        best = int(scores.argmax())
        return float(scores[best]), float(self.t2[best])


def pair_counts(instances: ArrayLike, groups: ArrayLike) -> PairCounts:
    """Count the pairs of lesions of a predicted grouping against the true one.

    Parameters
    ----------
    instances : (N,) array
        True lesion instance of each lesion, unique over all patients.
    groups : (N,) array
        Group each lesion was put into, unique over all patients.

    Raises
    ------
    ValueError
        If the lengths differ.

    Source
    ------
    Sec. 6.3 with Manning, Raghavan and Schütze 2008, Sec. 16.3.
    """
    of_instance, of_group = (
        np.unique(np.asarray(labels), return_inverse=True)[1].astype(np.int64)
        for labels in (instances, groups)
    )
    if of_instance.shape != of_group.shape:
        raise ValueError(f"expected equal lengths, got {len(of_instance)} and {len(of_group)}")
    # Only cells that occur: the full table of an archive would be instances × groups.
    cells = of_instance * (of_group.max(initial=0) + 1) + of_group
    together, same_instance, same_group = (_pairs(labels) for labels in (cells, of_instance, of_group))
    return PairCounts(together, same_group - together, same_instance - together)


def pair_counts_by_patient(patients: ArrayLike, instances: ArrayLike, groups: ArrayLike) -> NDArray[np.int64]:
    """Count each patient's pairs, (P, 3): true positives, false positives, false negatives.

    Parameters
    ----------
    patients, instances, groups : (N,) arrays
        No instance and no group spans two patients. Rows of the result are patients in sorted order.

    Raises
    ------
    ValueError
        If the lengths differ.

    Source
    ------
    As `pair_counts`, all patients at once: what a bootstrap by patient adds up.
    """
    owner, instance, group = (
        np.unique(np.asarray(values), return_inverse=True)[1].astype(np.int64)
        for values in (patients, instances, groups)
    )
    if not owner.shape == instance.shape == group.shape:
        raise ValueError(f"expected equal lengths, got {len(owner)}, {len(instance)} and {len(group)}")

    def pairs(labels: NDArray[np.int64]) -> NDArray[np.int64]:
        _, first, sizes = np.unique(labels, return_index=True, return_counts=True)
        together = np.bincount(owner[first], sizes * (sizes - 1) // 2, minlength=owner.max(initial=-1) + 1)
        return together.astype(np.int64)

    right, same, joined = pairs(instance * (group.max(initial=0) + 1) + group), pairs(instance), pairs(group)
    return np.column_stack([right, joined - right, same - right])


def precision_recall_curve(
    embeddings: ArrayLike,
    patients: ArrayLike,
    studies: ArrayLike,
    instances: ArrayLike,
    *,
    t1: float = 0.1,
    t2: ArrayLike | None = None,
    same_study_edges: bool = False,
) -> PrecisionRecallCurve:
    """Vary T_2 and score the groups of Algorithm 1 at each value.

    Exclusion compares only an edge with shorter ones, so an edge it keeps at one T_2 it keeps at every T_2
    the edge reaches: Threshold after Exclusion gives the same groups as before it, and Algorithm 1 is run
    once, not once a threshold (tests/paper/test_pairs.py holds this against the plain way).

    Parameters
    ----------
    embeddings : (N, D) array
    patients, studies, instances : (N,) arrays
        Instances are unique over all patients.
    t1 : float
        Sec. 6.1: 0.1.
    t2 : (P,) array, optional
        Thresholds; by default `t1` and every distance at which the groups change, so that no step of the
        curve is missed.
    same_study_edges : bool
        As for `graph.match_lesions`.

    Raises
    ------
    ValueError
        If a threshold is below `t1`.

    Source
    ------
    Sec. 6.1 ("we vary the inter-study threshold"), Fig. 8.
    """
    full = match_patients(embeddings, patients, studies, t1, np.inf, same_study_edges=same_study_edges)
    steps = np.unique(full.distances[full.distances >= t1])
    values = np.concatenate([[t1], steps[steps > t1]]) if t2 is None else np.unique(np.asarray(t2, float))
    if len(values) and values[0] < t1:
        raise ValueError(f"t2: expected values of at least t1 = {t1}, got {values[0]}")
    nodes = int(full.nodes.max(initial=-1)) + 1
    counts = [
        pair_counts(instances, extract(full.node_edges[full.distances <= value], nodes)[full.nodes])
        for value in values
    ]
    return PrecisionRecallCurve(
        values,
        np.array([np.nan if c.precision is None else c.precision for c in counts]),
        np.array([np.nan if c.recall is None else c.recall for c in counts]),
    )


def area_under_curve(precision: ArrayLike, recall: ArrayLike) -> float:
    """Return the area under a precision–recall curve by the trapezoid rule.

    End points: from recall 0 to the first point the curve is level at that point's precision; it ends at
    the largest recall reached, and nothing is added beyond it. A method that never puts all true pairs
    together therefore cannot have area 1. Points without precision or recall (NaN) are left out; with no
    point left the area is 0.

    Parameters
    ----------
    precision, recall : (P,) arrays
        Recall ascending.

    Source
    ------
    Fig. 8; the end points are ours, the paper states none.
    """
    p, r = np.asarray(precision, dtype=np.float64), np.asarray(recall, dtype=np.float64)
    defined = np.isfinite(p) & np.isfinite(r)
    p, r = p[defined], r[defined]
    if not len(p):
        return 0.0
    p, r = np.concatenate([p[:1], p]), np.concatenate([[0.0], r])
    return float((np.diff(r) * (p[1:] + p[:-1]) / 2).sum())


def _pairs(labels: NDArray[np.int64]) -> int:
    """Number of pairs with equal labels."""
    counts = np.unique(labels, return_counts=True)[1]
    return int((counts * (counts - 1) // 2).sum())


def _share(part: int, rest: int) -> float | None:
    return part / (part + rest) if part + rest else None
