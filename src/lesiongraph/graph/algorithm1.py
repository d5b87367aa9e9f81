"""The steps of Algorithm 1, one function each, on arrays (Sec. 5.1).

Edges are pairs of nodes (E, 2), first < second, beside their distances (E,).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import pdist

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Ties = Literal["lowest", "printed"]


def complete_graph(vectors: Floats, studies: Ints, same_study_edges: bool) -> tuple[Ints, Floats]:
    """Step 1: the intra-patient lesion graph."""
    edges, distances = all_pairs(vectors)
    if not same_study_edges:
        between = studies[edges[:, 0]] != studies[edges[:, 1]]
        edges, distances = edges[between], distances[between]
    return edges, distances


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
    nodes = extract(pairs_to_merge(vectors, studies, t1)[0], len(vectors))
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
    return renumber(connected_components(matrix, directed=False)[1])


def all_pairs(vectors: Floats) -> tuple[Ints, Floats]:
    """All pairs first < second with their distances."""
    pairs = np.stack(np.triu_indices(len(vectors), k=1), axis=1).astype(np.int64)
    return pairs, pdist(vectors) if len(vectors) > 1 else np.empty(0)


def pairs_to_merge(vectors: Floats, studies: Ints, t1: float) -> tuple[Ints, Floats]:
    """Pairs of one study that are closer than `t1`, with their distances."""
    pairs, distances = all_pairs(vectors)
    close = (studies[pairs[:, 0]] == studies[pairs[:, 1]]) & (distances < t1)
    return pairs[close], distances[close]


def renumber(labels: NDArray[np.integer]) -> Ints:
    """Labels as 0, 1, … in the order of first appearance."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]
