"""Matching by cost: any `Matcher` on one patient or many, after Algorithm 1's Merge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lesiongraph.graph.algorithm1 import extract
from lesiongraph.graph.cost import CostWeights, Floats, Ints, LesionCues, pair_costs
from lesiongraph.graph.matcher import Matcher
from lesiongraph.graph.matching import Edges, MatchResult, in_input_order, rows_by_value


def match_by_cost(
    cues: LesionCues,
    patients: ArrayLike,
    studies: ArrayLike,
    matcher: Matcher,
    limit: float,
    *,
    merge_limit: float = 0.0,
    weights: CostWeights | None = None,
) -> MatchResult:
    """Group the lesions of each patient by the cost of calling two the same.

    Parameters
    ----------
    cues : LesionCues
        Of N lesions.
    patients : (N,) array
    studies : (N,) array
        Study of each lesion, sorting in the order of time within a patient: dates, or date and UID.
    matcher : Matcher
    limit : float
        No edge costs more; see `choose_limit`.
    merge_limit : float
        Marks of one study that cost less are one node (Algorithm 1, Merge); its cues are their means.
    weights : CostWeights, optional

    Returns
    -------
    MatchResult
        `distances` are costs. The same partition whatever the order of the lesions.

    Raises
    ------
    ValueError
        If lengths differ or the limits are not 0 <= merge_limit <= limit.

    Source
    ------
    Ours (ADR 7); Merge and Extraction are those of Sec. 5.1, Algorithm 1.
    """
    owners, names = np.asarray(patients), np.asarray(studies)
    if not len(owners) == len(names) == len(cues):
        raise ValueError(
            f"expected equal lengths, got {len(cues)} cues, {len(owners)} patients, {len(names)} studies"
        )
    if not 0 <= merge_limit <= limit:
        raise ValueError(f"expected 0 <= merge_limit <= limit, got {merge_limit} and {limit}")
    weights = weights or CostWeights()
    nodes = np.zeros(len(cues), dtype=np.int64)
    kept, merged, removed = [Edges.none()], [Edges.none()], np.zeros(2, dtype=np.int64)
    next_node = 0
    columns = cues.columns()
    for rows in rows_by_value(owners):
        codes = np.unique(names[rows], return_inverse=True)[1].astype(np.int64)
        # Sorted by study and value first: sums and ties then do not depend on the caller's order.
        order = np.lexsort((*columns[rows].T[::-1], codes))
        rows, codes = rows[order], codes[order]
        found = _match_patient(cues.take(rows), codes, matcher, (merge_limit, limit), weights)
        nodes[rows] = found.nodes + next_node
        kept.append(Edges(found.edges.ends + next_node, found.edges.lengths))
        merged.append(Edges(rows[found.merged.ends], found.merged.lengths))
        removed += found.removed
        next_node += int(found.nodes.max()) + 1
    edges = Edges.together(kept)
    groups = extract(edges.ends, next_node)[nodes]
    return in_input_order(groups, nodes, edges, Edges.together(merged), (int(removed[0]), int(removed[1])))


@dataclass(frozen=True)
class _Found:
    nodes: Ints  # (N,)
    edges: Edges  # of nodes
    merged: Edges  # of lesions
    removed: tuple[int, int]  # dearer than the limit, and left by the matcher


def _match_patient(
    cues: LesionCues, studies: Ints, matcher: Matcher, limits: tuple[float, float], weights: CostWeights
) -> _Found:
    """Match the lesions of one patient, who has at least one."""
    merge_limit, limit = limits
    costs = cost_matrix(cues, weights)
    merged, nodes = _merge(costs, studies, merge_limit)
    if len(merged.ends):
        heads = np.unique(nodes, return_index=True)[1]
        studies, costs = studies[heads], cost_matrix(_means(cues, nodes), weights)
    ends = matcher.match(costs, studies, limit)
    first, second = np.triu_indices(len(costs), k=1)
    between = costs[first, second][studies[first] != studies[second]]
    close = int((between <= limit).sum())
    edges = Edges(ends, costs[ends[:, 0], ends[:, 1]])
    return _Found(nodes, edges, merged, (len(between) - close, close - len(ends)))


def _merge(costs: Floats, studies: Ints, merge_limit: float) -> tuple[Edges, Ints]:
    """Return the pairs of one study that cost less than the limit, and the node of each lesion."""
    first, second = np.triu_indices(len(costs), k=1)
    one = (studies[first] == studies[second]) & (costs[first, second] < merge_limit)
    ends = np.column_stack([first[one], second[one]]).astype(np.int64)
    nodes = extract(ends, len(costs)) if len(ends) else np.arange(len(costs))
    return Edges(ends, costs[first[one], second[one]]), nodes


def cost_matrix(cues: LesionCues, weights: CostWeights) -> Floats:
    """Return the costs (N, N) of all pairs of lesions."""
    rows = np.arange(len(cues))
    return pair_costs(cues, weights, rows[:, None], rows[None, :])


def _means(cues: LesionCues, nodes: Ints) -> LesionCues:
    """Cues of each node: plain means of its lesions', unknown values left out."""
    members = [np.flatnonzero(nodes == node) for node in range(int(nodes.max()) + 1)]

    def mean(values: Floats | None) -> Floats | None:
        if values is None:
            return None
        known = np.isfinite(values)
        sums = np.stack([np.where(known, values, 0.0)[m].sum(axis=0) for m in members])
        counts = np.stack([known[m].sum(axis=0) for m in members])
        return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)

    return LesionCues(mean(cues.embeddings), mean(cues.locations), mean(cues.z_sd), mean(cues.sizes_mm))
