"""Matching by cost: any `Matcher` on one patient or many, after Algorithm 1's Merge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lesiongraph.graph.algorithm1 import extract
from lesiongraph.graph.cost import CostWeights, Floats, Ints, LesionCues, pair_costs
from lesiongraph.graph.links import BoundNodes, Links
from lesiongraph.graph.matcher import Matcher, ascending
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
    links: Links | None = None,
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
        No edge costs more; see `evaluation.choose_limits`.
    merge_limit : float
        Marks of one study that cost less are one node (Algorithm 1, Merge); its cues are their means.
    weights : CostWeights, optional
    links : Links, optional
        What a person decided: it goes before cost, limits and matcher. A patient without links is matched
        as if there were none.

    Returns
    -------
    MatchResult
        `distances` are costs, those of a person's pairs too. The same partition whatever the order of the
        lesions.

    Raises
    ------
    ValueError
        If lengths differ, the limits are not 0 <= merge_limit <= limit, or a must-link joins two patients.

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
    links = links or Links()
    links.check_within(owners)
    nodes = np.zeros(len(cues), dtype=np.int64)
    kept, merged, removed = [Edges.none()], [Edges.none()], np.zeros(2, dtype=np.int64)
    next_node = 0
    columns = cues.columns()
    for rows in rows_by_value(owners):
        codes = np.unique(names[rows], return_inverse=True)[1].astype(np.int64)
        # Sorted by study and value first: sums and ties then do not depend on the caller's order.
        order = np.lexsort((*columns[rows].T[::-1], codes))
        rows, codes = rows[order], codes[order]
        lesions = _Lesions(cues.take(rows), codes, links.of(rows) if links else links)
        found = _match_patient(lesions, matcher, (merge_limit, limit), weights)
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


@dataclass(frozen=True)
class _Lesions:
    """Those of one patient, at least one."""

    cues: LesionCues
    studies: Ints
    links: Links

    def bound(self) -> BoundNodes | None:
        return BoundNodes.of(self.links, self.studies) if self.links else None


def _match_patient(
    lesions: _Lesions, matcher: Matcher, limits: tuple[float, float], weights: CostWeights
) -> _Found:
    merge_limit, limit = limits
    costs, studies, bound = cost_matrix(lesions.cues, weights), lesions.studies, lesions.bound()
    merged, nodes = _merge(costs, studies, merge_limit, bound)
    heads = np.unique(nodes, return_index=True)[1]
    if len(merged.ends):
        studies, costs = studies[heads], cost_matrix(_means(lesions.cues, nodes), weights)
    judged = costs
    if bound is None:
        ends = matcher.match(costs, studies, limit)
    else:
        bound = bound.take(heads)
        judged = bound.costs(costs)
        ends = bound.settle(matcher.match(judged, studies, limit), judged)
    first, second = np.triu_indices(len(costs), k=1)
    between = judged[first, second][studies[first] != studies[second]]
    close = int((between <= limit).sum())
    edges = Edges(ends, costs[ends[:, 0], ends[:, 1]])
    return _Found(nodes, edges, merged, (len(between) - close, close - len(ends)))


def _merge(costs: Floats, studies: Ints, merge_limit: float, bound: BoundNodes | None) -> tuple[Edges, Ints]:
    """Return the pairs of one study that cost less than the limit, and the node of each lesion."""
    first, second = np.triu_indices(len(costs), k=1)
    near = costs[first, second] < merge_limit
    if bound is not None:
        near |= bound.same[first, second]
    one = (studies[first] == studies[second]) & near
    ends = np.column_stack([first[one], second[one]]).astype(np.int64)
    if bound is not None:
        ends = ascending(bound.merge(ends, costs))
    nodes = extract(ends, len(costs)) if len(ends) else np.arange(len(costs))
    return Edges(ends, costs[ends[:, 0], ends[:, 1]]), nodes


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
