"""Algorithm 1: the same lesion found again in the studies of one patient (Sec. 5.1).

`match_lesions` runs the steps of `algorithm1` on one patient, `match_patients` on many. Decisions where the
paper is silent: docs/adr/0002-exclusion-ties.md and 0003-merged-mean.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lesiongraph.graph.algorithm1 import (
    Floats,
    Ints,
    Ties,
    complete_graph,
    exclude,
    extract,
    merge,
    pairs_to_merge,
    renumber,
    threshold,
)


@dataclass(frozen=True)
class MatchResult:
    """Matched lesion groups and the graph they come from.

    A *node* is one lesion, or several of one study that Merge made one. Nodes are numbered 0 … M − 1.

    Attributes
    ----------
    groups : (N,) int array
        Group of each lesion, 0, 1, … in the order of first appearance. A lesion matched to none is a group
        of its own.
    nodes : (N,) int array
        Node of each lesion, in the order of first appearance.
    node_edges : (E, 2) int array
        Edges left after Exclusion, as pairs of nodes, first < second, ascending.
    distances : (E,) float array
        Their Euclidean distances.
    merge_edges : (P, 2) int array
        Pairs of lesions (not nodes) of one study that were closer than T_1, ascending.
    merge_distances : (P,) float array
    thresholded, excluded : int
        Edges between nodes that Threshold and Exclusion removed.
    """

    groups: Ints
    nodes: Ints
    node_edges: Ints
    distances: Floats
    merge_edges: Ints
    merge_distances: Floats
    thresholded: int
    excluded: int

    @property
    def merged(self) -> list[tuple[int, ...]]:
        """Sets of two or more lesions of one study that Merge made one."""
        members = self.members
        return [lesions for lesions in members if len(lesions) > 1]

    @property
    def members(self) -> list[tuple[int, ...]]:
        """Lesions of each node, ascending."""
        order = np.argsort(self.nodes, kind="stable")
        ends = np.cumsum(np.bincount(self.nodes))
        return [tuple(int(i) for i in part) for part in np.split(order, ends)[:-1]]

    @property
    def edges(self) -> list[tuple[int, int, float]]:
        """Edges left after Exclusion as (lesion, lesion, distance), the first lesion for a merged node."""
        first = [lesions[0] for lesions in self.members]
        return [
            (first[a], first[b], float(distance))
            for (a, b), distance in zip(self.node_edges, self.distances, strict=True)
        ]

    @property
    def nearest(self) -> Floats:
        """Length of the shortest edge, to another study or merged, at each lesion; NaN for a lesion alone."""
        of_node = np.full(int(self.nodes.max(initial=-1)) + 1, np.inf)
        for column in (0, 1):
            np.minimum.at(of_node, self.node_edges[:, column], self.distances)
        best: Floats = of_node[self.nodes]
        for column in (0, 1):
            np.minimum.at(best, self.merge_edges[:, column], self.merge_distances)
        best[np.isinf(best)] = np.nan
        return best


@dataclass(frozen=True)
class Edges:
    """Pairs of nodes or lesions and what lies between them."""

    ends: Ints  # (E, 2)
    lengths: Floats  # (E,)

    @staticmethod
    def none() -> Edges:
        """No edge."""
        return Edges(np.empty((0, 2), dtype=np.int64), np.empty(0))

    @staticmethod
    def together(parts: Sequence[Edges]) -> Edges:
        """All edges of one or more parts."""
        return Edges(
            np.concatenate([part.ends for part in parts]), np.concatenate([part.lengths for part in parts])
        )

    def ascending(self) -> Edges:
        """First end below second, in ascending order."""
        ends = np.sort(self.ends, axis=1)
        order = np.lexsort((ends[:, 1], ends[:, 0]))
        return Edges(ends[order], self.lengths[order])


def match_lesions(
    embeddings: ArrayLike,
    studies: ArrayLike,
    t1: float,
    t2: float,
    *,
    ties: Ties = "lowest",
    renormalise: bool = False,
    same_study_edges: bool = False,
) -> MatchResult:
    """Group the lesions of ONE patient by Algorithm 1.

    Parameters
    ----------
    embeddings : (N, D) array
        Unit vectors, or any vectors compared by Euclidean distance.
    studies : (N,) array
        Study of each lesion: numbers, dates or UIDs; only equality counts.
    t1 : float
        Intra-study threshold: lesions of one study closer than this are merged.
    t2 : float
        Inter-study threshold: edges longer than this are removed.
    ties : {"lowest", "printed"}
        Two edges of one lesion into one study with the same distance: keep one of them ("lowest", ADR 2),
        or remove both as the paper prints it.
    renormalise : bool
        Scale a merged mean to unit length (ADR 3); as printed it is only averaged.
    same_study_edges : bool
        Whether two lesions of one study that were not merged can be connected (ADR 2).

    Returns
    -------
    MatchResult
        The same partition whatever the order of the lesions.

    Raises
    ------
    ValueError
        If a shape does not fit, a value is not finite or the thresholds are not 0 <= t1 <= t2.

    Source
    ------
    Sec. 5.1, Algorithm 1.
    """
    vectors, study_codes = _check(embeddings, studies, t1, t2, ties)
    # Sorted by study and value first: sums and ties then do not depend on the caller's order.
    canonical = np.lexsort((*vectors.T[::-1], study_codes))
    vectors, study_codes = vectors[canonical], study_codes[canonical]
    close_pairs, close_distances = pairs_to_merge(vectors, study_codes, t1)
    nodes, node_vectors, node_studies = merge(vectors, study_codes, t1, renormalise=renormalise)
    edges, distances = complete_graph(node_vectors, node_studies, same_study_edges)
    complete = len(edges)
    edges, distances = threshold(edges, distances, t2)
    close = len(edges)
    edges, distances = exclude(edges, distances, node_studies, ties=ties)
    groups = extract(edges, len(node_vectors))[nodes]
    back = np.argsort(canonical)
    merged = Edges(canonical[close_pairs], close_distances)
    kept = Edges(edges, distances)
    return in_input_order(groups[back], nodes[back], kept, merged, (complete - close, close - len(edges)))


def match_patients(
    embeddings: ArrayLike,
    patients: ArrayLike,
    studies: ArrayLike,
    t1: float,
    t2: float,
    *,
    ties: Ties = "lowest",
    renormalise: bool = False,
    same_study_edges: bool = False,
) -> MatchResult:
    """Run `match_lesions` on each patient and return one result over all rows.

    Parameters
    ----------
    embeddings : (N, D) array
    patients, studies : (N,) arrays
    t1, t2, ties, renormalise, same_study_edges
        As for `match_lesions`.

    Returns
    -------
    MatchResult
        Groups and nodes are unique over all patients; no group or edge spans two patients.
    """
    vectors = np.asarray(embeddings, dtype=np.float64)
    owners, study_array = np.asarray(patients), np.asarray(studies)
    if not len(owners) == len(study_array) == len(vectors):
        raise ValueError(
            f"expected equal lengths, got {len(vectors)} embeddings, {len(owners)} patients, "
            f"{len(study_array)} studies"
        )
    groups, nodes = np.zeros(len(vectors), dtype=np.int64), np.zeros(len(vectors), dtype=np.int64)
    kept, merged, removed = [Edges.none()], [Edges.none()], np.zeros(2, dtype=np.int64)
    next_group = next_node = 0
    for rows in rows_by_value(owners):
        part = match_lesions(
            vectors[rows], study_array[rows], t1, t2,
            ties=ties, renormalise=renormalise, same_study_edges=same_study_edges,
        )  # fmt: skip
        groups[rows], nodes[rows] = part.groups + next_group, part.nodes + next_node
        kept.append(Edges(part.node_edges + next_node, part.distances))
        merged.append(Edges(rows[part.merge_edges], part.merge_distances))
        removed += (part.thresholded, part.excluded)
        next_group, next_node = int(groups[rows].max()) + 1, int(nodes[rows].max()) + 1
    all_kept, all_merged = Edges.together(kept), Edges.together(merged)
    return in_input_order(groups, nodes, all_kept, all_merged, (int(removed[0]), int(removed[1])))


def rows_by_value(values: ArrayLike) -> list[Ints]:
    """Return the rows of each distinct value, each ascending, values in sorted order."""
    codes = np.unique(np.asarray(values), return_inverse=True)[1]
    if not len(codes):
        return []
    return np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])


def in_input_order(
    groups: Ints, nodes: Ints, kept: Edges, merged: Edges, removed: tuple[int, int]
) -> MatchResult:
    """Renumber groups and nodes by first appearance, and the edges with them."""
    new_nodes = renumber(nodes)
    translation = np.zeros(int(nodes.max(initial=-1)) + 1, dtype=np.int64)
    translation[nodes] = new_nodes
    kept = Edges(translation[kept.ends], kept.lengths).ascending()
    merged = merged.ascending()
    return MatchResult(
        renumber(groups), new_nodes, kept.ends, kept.lengths, merged.ends, merged.lengths, *removed
    )


def _check(embeddings: ArrayLike, studies: ArrayLike, t1: float, t2: float, ties: str) -> tuple[Floats, Ints]:
    vectors = np.asarray(embeddings, dtype=np.float64)
    names = np.asarray(studies)
    if vectors.ndim != 2 or names.shape != (len(vectors),):
        raise ValueError(
            f"expected embeddings (N, D) and studies (N,), got {vectors.shape} and {names.shape}"
        )
    if not np.isfinite(vectors).all():
        raise ValueError("embeddings: expected finite values")
    if not 0 <= t1 <= t2:
        raise ValueError(f"expected 0 <= t1 <= t2, got t1={t1}, t2={t2}")
    if ties not in ("lowest", "printed"):
        raise ValueError(f"ties: expected 'lowest' or 'printed', got {ties!r}")
    codes = np.unique(names, return_inverse=True)[1].astype(np.int64)
    return vectors, codes
