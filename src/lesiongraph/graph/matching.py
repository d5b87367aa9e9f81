"""Algorithm 1: the same lesion found again in the studies of one patient (Sec. 5.1).

Four steps, one function each: `merge`, `threshold`, `exclude`, `extract`. `match_lesions` runs them on one
patient, `match_patients` on many. Decisions where the paper is silent: docs/adr/0002 and 0003.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import pdist

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Ties = Literal["lowest", "printed"]


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
class _Edges:
    ends: Ints  # (E, 2)
    lengths: Floats  # (E,)

    @staticmethod
    def none() -> _Edges:
        return _Edges(np.empty((0, 2), dtype=np.int64), np.empty(0))

    def and_more(self, ends: Ints, lengths: Floats) -> _Edges:
        return _Edges(np.concatenate([self.ends, ends]), np.concatenate([self.lengths, lengths]))

    def ascending(self) -> _Edges:
        ends = np.sort(self.ends, axis=1)
        order = np.lexsort((ends[:, 1], ends[:, 0]))
        return _Edges(ends[order], self.lengths[order])


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
    close_pairs, close_distances = _pairs_to_merge(vectors, study_codes, t1)
    nodes, node_vectors, node_studies = merge(vectors, study_codes, t1, renormalise=renormalise)
    edges, distances = _complete_graph(node_vectors, node_studies, same_study_edges)
    complete = len(edges)
    edges, distances = threshold(edges, distances, t2)
    close = len(edges)
    edges, distances = exclude(edges, distances, node_studies, ties=ties)
    groups = extract(edges, len(node_vectors))[nodes]
    back = np.argsort(canonical)
    merged = _Edges(canonical[close_pairs], close_distances)
    kept = _Edges(edges, distances)
    return _in_input_order(groups[back], nodes[back], kept, merged, (complete - close, close - len(edges)))


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
    kept, merged, removed = _Edges.none(), _Edges.none(), np.zeros(2, dtype=np.int64)
    next_group = next_node = 0
    for rows in rows_by_value(owners):
        part = match_lesions(
            vectors[rows], study_array[rows], t1, t2,
            ties=ties, renormalise=renormalise, same_study_edges=same_study_edges,
        )  # fmt: skip
        groups[rows], nodes[rows] = part.groups + next_group, part.nodes + next_node
        kept = kept.and_more(part.node_edges + next_node, part.distances)
        merged = merged.and_more(rows[part.merge_edges], part.merge_distances)
        removed += (part.thresholded, part.excluded)
        next_group, next_node = int(groups[rows].max()) + 1, int(nodes[rows].max()) + 1
    return _in_input_order(groups, nodes, kept, merged, (int(removed[0]), int(removed[1])))


def rows_by_value(values: ArrayLike) -> list[Ints]:
    """Return the rows of each distinct value, each ascending, values in sorted order."""
    codes = np.unique(np.asarray(values), return_inverse=True)[1]
    if not len(codes):
        return []
    return np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])


def merge(
    vectors: Floats, studies: Ints, t1: float, *, renormalise: bool = False
) -> tuple[Ints, Floats, Ints]:
    """Step 2, Merge: make lesions of one study one node where their distance is below `t1`.

    "Merge i and j" is carried on: what is merged with j is merged with i too (connected components), so
    that the order in which pairs are looked at does not matter.

    Parameters
    ----------
    vectors : (N, D) array
    studies : (N,) int array
    t1 : float
    renormalise : bool

    Returns
    -------
    nodes : (N,) int array
        Node of each lesion, in the order of first appearance.
    node_vectors : (M, D) array
        Plain means of the merged lesions.
    node_studies : (M,) int array
    """
    nodes = extract(_pairs_to_merge(vectors, studies, t1)[0], len(vectors))
    count = int(nodes.max(initial=-1)) + 1
    sums = np.zeros((count, vectors.shape[1]))
    np.add.at(sums, nodes, vectors)
    sizes = np.bincount(nodes, minlength=count)
    means = sums / sizes[:, None]
    if renormalise:
        lengths = np.linalg.norm(means, axis=1, keepdims=True)
        means = np.where(
            (sizes[:, None] > 1) & (lengths > 0), means / np.where(lengths > 0, lengths, 1), means
        )
    node_studies = np.zeros(count, dtype=np.int64)
    node_studies[nodes] = studies
    return nodes, means, node_studies


def threshold(edges: Ints, distances: Floats, t2: float) -> tuple[Ints, Floats]:
    """Step 3, Threshold: remove edges longer than `t2`; one exactly as long stays.

    Parameters
    ----------
    edges : (E, 2) int array
    distances : (E,) array
    t2 : float
    """
    kept = distances <= t2
    return edges[kept], distances[kept]


def exclude(
    edges: Ints, distances: Floats, node_studies: Ints, *, ties: Ties = "lowest"
) -> tuple[Ints, Floats]:
    """Step 4, Exclusion: of a node's edges into one study keep only the shortest.

    An edge must be the shortest seen from both its ends. All edges are judged on the same graph: none is
    removed while others are still looked at.

    Parameters
    ----------
    edges : (E, 2) int array
        First < second.
    distances : (E,) array
    node_studies : (M,) int array
    ties : {"lowest", "printed"}
        See `match_lesions`.

    Returns
    -------
    edges, distances
        What is left, edges ascending. No node keeps two edges into one study.
    """
    # Each edge is seen twice: from `near`, as an edge into the study of `far`.
    near = np.concatenate([edges[:, 0], edges[:, 1]])
    far = np.concatenate([edges[:, 1], edges[:, 0]])
    number = np.tile(np.arange(len(edges)), 2)
    into = node_studies[far]
    # Total order of edges: distance, then first node, then second.
    order = np.lexsort((edges[number, 1], edges[number, 0], distances[number], into, near))
    same_seat = np.zeros(len(order), dtype=bool)  # same node and study as the one before
    same_seat[1:] = (near[order][1:] == near[order][:-1]) & (into[order][1:] == into[order][:-1])
    beaten = same_seat.copy()
    if ties == "printed":
        tied = same_seat[1:] & (distances[number[order][1:]] == distances[number[order][:-1]])
        beaten[:-1] |= tied  # d_ij >= d_ik holds both ways: the shortest goes too
    lost = np.zeros(len(edges), dtype=bool)
    lost[number[order][beaten]] = True
    kept, lengths = edges[~lost], distances[~lost]
    ascending = np.lexsort((kept[:, 1], kept[:, 0]))
    return kept[ascending], lengths[ascending]


def extract(edges: Ints, count: int) -> Ints:
    """Step 5, Extraction: number the connected components of `count` nodes by first appearance.

    Parameters
    ----------
    edges : (E, 2) int array
    count : int
    """
    if not count:
        return np.empty(0, dtype=np.int64)
    matrix = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    return _renumber(connected_components(matrix, directed=False)[1])


def _pairs(vectors: Floats) -> tuple[Ints, Floats]:
    """All pairs first < second with their distances."""
    pairs = np.stack(np.triu_indices(len(vectors), k=1), axis=1).astype(np.int64)
    return pairs, pdist(vectors) if len(vectors) > 1 else np.empty(0)


def _pairs_to_merge(vectors: Floats, studies: Ints, t1: float) -> tuple[Ints, Floats]:
    pairs, distances = _pairs(vectors)
    close = (studies[pairs[:, 0]] == studies[pairs[:, 1]]) & (distances < t1)
    return pairs[close], distances[close]


def _complete_graph(vectors: Floats, studies: Ints, same_study_edges: bool) -> tuple[Ints, Floats]:
    """Step 1: the intra-patient lesion graph."""
    edges, distances = _pairs(vectors)
    if not same_study_edges:
        between = studies[edges[:, 0]] != studies[edges[:, 1]]
        edges, distances = edges[between], distances[between]
    return edges, distances


def _renumber(labels: NDArray[np.integer]) -> Ints:
    """Labels as 0, 1, … in the order of first appearance."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def _in_input_order(
    groups: Ints, nodes: Ints, kept: _Edges, merged: _Edges, removed: tuple[int, int]
) -> MatchResult:
    """Renumber groups and nodes by first appearance, and the edges with them."""
    new_nodes = _renumber(nodes)
    translation = np.zeros(int(nodes.max(initial=-1)) + 1, dtype=np.int64)
    translation[nodes] = new_nodes
    kept = _Edges(translation[kept.ends], kept.lengths).ascending()
    merged = merged.ascending()
    return MatchResult(
        _renumber(groups), new_nodes, kept.ends, kept.lengths, merged.ends, merged.lengths, *removed
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
