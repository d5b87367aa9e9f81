"""Algorithm 1 (Sec. 5.1), vectorised against a loop written from the printed lines."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesiongraph.graph import CostWeights, LesionCues, MutualNearest, match_by_cost, match_lesions
from lesiongraph.graph.algorithm1 import complete_graph, exclude, merge, threshold


def components(n: int, edges) -> list[frozenset[int]]:
    groups = {i: {i} for i in range(n)}
    for i, j in edges:
        union = groups[i] | groups[j]
        for member in union:
            groups[member] = union
    return list({frozenset(group) for group in groups.values()})


def printed_algorithm(embeddings, studies, t1, t2, *, same_study_edges) -> set[frozenset[int]]:
    """Algorithm 1 line by line; a tie under Exclusion removes both edges, as printed."""
    n = len(embeddings)
    # 2: Merge nodes i and j if s_i = s_j and d_ij < T1.
    close = [
        (i, j)
        for i in range(n)
        for j in range(n)
        if i != j and studies[i] == studies[j] and math.dist(embeddings[i], embeddings[j]) < t1
    ]
    nodes = sorted(components(n, close), key=min)
    means = [[sum(column) / len(node) for column in zip(*(embeddings[i] for i in node), strict=True)]
             for node in nodes]  # fmt: skip
    s = [studies[min(node)] for node in nodes]
    # 1: the graph; 3: Threshold removes edges with d_ij > T2.
    d, edges = {}, set()
    for i in range(len(nodes)):
        for j in range(len(nodes)):
            if i != j and (same_study_edges or s[i] != s[j]):
                d[i, j] = math.dist(means[i], means[j])
                if not d[i, j] > t2:
                    edges.add((i, j))
    # 4: Exclusion. An undirected edge is both (i, j) and (j, i).
    excluded = {
        (i, j)
        for (i, j) in edges
        for (i2, k) in edges
        if i2 == i and k != j and s[j] == s[k] and d[i, j] >= d[i, k]
    }
    excluded |= {(j, i) for (i, j) in excluded}
    # 5: Extraction.
    found = components(len(nodes), edges - excluded)
    return {frozenset(i for node in group for i in nodes[node]) for group in found}


def partition(labels) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)}


@st.composite
def patients(draw, *, ties: bool):
    n = draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    # Integers halve, double and average exactly in pairs: distances tie exactly.
    embeddings = rng.integers(0, 5, (n, 2)).astype(float) if ties else rng.normal(size=(n, 3))
    studies = rng.integers(0, draw(st.integers(1, 4)), n)
    t1 = draw(st.sampled_from([0.0, 0.5, 1.0]))
    return embeddings, studies, t1, t1 + draw(st.sampled_from([0.25, 1.0, 2.0, 4.0]))


@settings(max_examples=200, deadline=None)
@given(patients(ties=False), st.booleans())
def test_equals_the_printed_algorithm(data, same_study_edges) -> None:
    embeddings, studies, t1, t2 = data
    wanted = printed_algorithm(embeddings.tolist(), studies, t1, t2, same_study_edges=same_study_edges)
    result = match_lesions(embeddings, studies, t1, t2, same_study_edges=same_study_edges)
    assert partition(result.groups) == wanted


@settings(max_examples=200, deadline=None)
@given(patients(ties=True), st.booleans())
def test_ties_as_printed_remove_both_edges(data, same_study_edges) -> None:
    embeddings, studies, t1, t2 = data
    wanted = printed_algorithm(embeddings.tolist(), studies, t1, t2, same_study_edges=same_study_edges)
    result = match_lesions(embeddings, studies, t1, t2, ties="printed", same_study_edges=same_study_edges)
    assert partition(result.groups) == wanted


def test_a_tie_keeps_one_edge_by_default() -> None:
    """One lesion exactly between two of the next study (ADR 2)."""
    embeddings, studies = [[0.0], [-1.0], [1.0]], [1, 2, 2]
    assert match_lesions(embeddings, studies, 0.1, 2.0, ties="printed").edges == []
    assert match_lesions(embeddings, studies, 0.1, 2.0).edges == [(0, 1, 1.0)]


@settings(max_examples=200, deadline=None)
@given(st.booleans().flatmap(lambda ties: patients(ties=ties)), st.randoms(use_true_random=False))
def test_does_not_depend_on_the_order_of_lesions(data, random) -> None:
    embeddings, studies, t1, t2 = data
    # Two identical lesions of one study cannot be told apart; with T1 > 0 they are merged anyway.
    t1 = max(t1, 0.01)
    order = list(range(len(embeddings)))
    random.shuffle(order)
    plain = match_lesions(embeddings, studies, t1, t2)
    shuffled = match_lesions(embeddings[order], studies[order], t1, t2)
    assert partition(plain.groups) == {frozenset(order[i] for i in g) for g in partition(shuffled.groups)}
    assert sorted(plain.distances) == sorted(shuffled.distances)


@settings(max_examples=200, deadline=None)
@given(st.booleans().flatmap(lambda ties: patients(ties=ties)), st.sampled_from(["lowest", "printed"]))
def test_after_exclusion_no_lesion_keeps_two_edges_into_one_study(data, ties) -> None:
    embeddings, studies, t1, t2 = data
    result = match_lesions(embeddings, studies, t1, t2, ties=ties)
    study_of_node = {int(node): int(study) for node, study in zip(result.nodes, studies, strict=True)}
    seats = [seat for a, b in result.node_edges for seat in ((a, study_of_node[b]), (b, study_of_node[a]))]
    assert len(seats) == len(set(seats))
    assert all(study_of_node[a] != study_of_node[b] for a, b in result.node_edges)


@settings(max_examples=100, deadline=None)
@given(st.booleans().flatmap(lambda ties: patients(ties=ties)), st.sampled_from(["lowest", "printed"]))
def test_threshold_and_exclusion_commute(data, ties) -> None:
    """What `precision_recall_curve` rests on."""
    embeddings, studies, t1, t2 = data
    _, vectors, node_studies = merge(embeddings, studies, t1)
    graph = complete_graph(vectors, node_studies, same_study_edges=True)
    before = exclude(*threshold(*graph, t2), node_studies, ties=ties)
    after = threshold(*exclude(*graph, node_studies, ties=ties), t2)
    assert before[0].tolist() == after[0].tolist()


def test_one_patient_by_hand() -> None:
    """Two lesions followed over three studies; one study has two series of the first lesion."""
    embeddings = [[0.0, 0.0], [0.06, 0.0], [1.0, 0.0], [0.2, 0.0], [1.1, 0.0], [0.25, 0.0], [3.0, 0.0]]
    studies = ["2020", "2020", "2020", "2021", "2021", "2022", "2022"]
    result = match_lesions(embeddings, studies, 0.1, 0.3)
    assert result.groups.tolist() == [0, 0, 1, 0, 1, 0, 2]
    assert result.merged == [(0, 1)]
    assert [(i, j) for i, j, _ in result.edges] == [(0, 3), (0, 5), (2, 4), (3, 5)]
    assert [d for *_, d in result.edges] == pytest.approx([0.17, 0.22, 0.1, 0.05])
    assert result.nearest == pytest.approx([0.06, 0.06, 0.1, 0.05, 0.1, 0.05, np.nan], nan_ok=True)
    assert result.thresholded + result.excluded + len(result.edges) == 12  # pairs of nodes across studies


def test_merge_is_strict_and_threshold_is_not() -> None:
    assert match_lesions([[0.0], [0.5]], [1, 1], 0.5, 1.0).merged == []
    assert match_lesions([[0.0], [0.5]], [1, 2], 0.1, 0.5).groups.tolist() == [0, 0]


def test_merge_carries_on_through_a_chain() -> None:
    result = match_lesions([[0.0], [0.08], [0.16]], [1, 1, 1], 0.1, 0.2)
    assert result.merged == [(0, 1, 2)]


def test_merged_mean_is_plain_unless_renormalised() -> None:
    """ADR 3."""
    embeddings = np.array([[1.0, 0.0], [np.cos(0.09), np.sin(0.09)]])
    studies = np.zeros(2, dtype=np.int64)
    plain = merge(embeddings, studies, 0.1)[1]
    assert np.linalg.norm(plain) == pytest.approx(np.cos(0.045))
    assert np.linalg.norm(merge(embeddings, studies, 0.1, renormalise=True)[1]) == pytest.approx(1)
    far = np.array([[3.0, 4.0]])
    assert merge(far, studies[:1], 0.1, renormalise=True)[1].tolist() == far.tolist()


def test_two_lesions_of_one_study_are_never_joined_by_an_edge() -> None:
    """ADR 2: unmerged lesions of one study are different instances; as printed they may be joined."""
    embeddings, studies = [[0.0], [0.15]], [1, 1]
    assert match_lesions(embeddings, studies, 0.1, 0.3).groups.tolist() == [0, 1]
    assert match_lesions(embeddings, studies, 0.1, 0.3, same_study_edges=True).groups.tolist() == [0, 0]


@settings(max_examples=100, deadline=None)
@given(patients(ties=False))
def test_mutual_nearest_by_distance_is_lines_3_and_4(data) -> None:
    """ADR 7: on the embedding's distance alone the first of the other matchers is Algorithm 1."""
    embeddings, studies, t1, t2 = data
    wanted = printed_algorithm(embeddings.tolist(), studies, t1, t2, same_study_edges=False)
    weights = CostWeights(appearance_sd=1.0)
    found = match_by_cost(
        LesionCues(embeddings), [0] * len(studies), studies, MutualNearest(), t2, merge_limit=t1,
        weights=weights,
    )  # fmt: skip
    assert partition(found.groups) == wanted
