"""What every matcher keeps to, and the cost it works on."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesiongraph.errors import NotEnoughDataError
from lesiongraph.graph import (
    CostWeights,
    ExclusiveLinkage,
    LesionCues,
    MutualNearest,
    OptimalAssignment,
    match_by_cost,
    match_patients,
    pair_costs,
)

MATCHERS = [
    MutualNearest(),
    MutualNearest(consecutive=True),
    OptimalAssignment(),
    OptimalAssignment(consecutive=False),
    ExclusiveLinkage(),
]
UNIT = CostWeights(appearance_sd=1.0)


@st.composite
def archives(draw):
    n = draw(st.integers(0, 14))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    locations = rng.random((n, 3)) * 0.2
    locations[rng.random((n, 3)) < 0.1] = np.nan
    cues = LesionCues(rng.normal(size=(n, 2)), locations, rng.random(n) * 0.02, rng.random((n, 2)) + 0.5)
    return cues, rng.integers(0, 2, n), rng.integers(0, 3, n), draw(st.sampled_from([0.0, 1.0, 2.0]))


def partition(labels) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)}


@pytest.mark.parametrize("matcher", MATCHERS, ids=str)
@settings(max_examples=40, deadline=None)
@given(archives(), st.randoms(use_true_random=False))
def test_does_not_depend_on_the_order_of_lesions(matcher, data, random) -> None:
    cues, patients, studies, merge_limit = data
    order = list(range(len(cues)))
    random.shuffle(order)
    order = np.array(order, dtype=np.int64)
    plain = match_by_cost(cues, patients, studies, matcher, 9.0, merge_limit=merge_limit)
    shuffled = match_by_cost(
        cues.take(order), patients[order], studies[order], matcher, 9.0, merge_limit=merge_limit
    )
    back = {frozenset(int(order[i]) for i in group) for group in partition(shuffled.groups)}
    assert partition(plain.groups) == back
    assert np.sort(plain.distances) == pytest.approx(np.sort(shuffled.distances))


@pytest.mark.parametrize("matcher", MATCHERS, ids=str)
@settings(max_examples=40, deadline=None)
@given(archives())
def test_no_node_has_two_edges_into_one_study(matcher, data) -> None:
    cues, patients, studies, merge_limit = data
    result = match_by_cost(cues, patients, studies, matcher, 9.0, merge_limit=merge_limit)
    study_of, patient_of = ({int(k): int(v) for k, v in zip(result.nodes, values, strict=True)}
                            for values in (studies, patients))  # fmt: skip
    seats = [seat for a, b in result.node_edges for seat in ((a, study_of[b]), (b, study_of[a]))]
    assert len(seats) == len(set(seats))
    assert all(study_of[a] != study_of[b] and patient_of[a] == patient_of[b] for a, b in result.node_edges)
    assert (result.distances <= 9.0).all()


@settings(max_examples=60, deadline=None)
@given(archives())
def test_a_linked_group_never_holds_two_nodes_of_one_study(data) -> None:
    cues, patients, studies, merge_limit = data
    result = match_by_cost(cues, patients, studies, ExclusiveLinkage(), 9.0, merge_limit=merge_limit)
    for group in np.unique(result.groups):
        nodes, rows = np.unique(result.nodes[result.groups == group], return_index=True)
        inside = studies[result.groups == group][rows]
        assert len(set(inside)) == len(nodes)


@settings(max_examples=60, deadline=None)
@given(archives(), st.sampled_from([1.0, 3.0, 6.0]))
def test_linkage_at_a_limit_is_the_unlimited_one_without_dearer_edges(data, limit) -> None:
    cues, patients, studies, _ = data
    full = match_by_cost(cues, patients, studies, ExclusiveLinkage(), np.inf)
    part = match_by_cost(cues, patients, studies, ExclusiveLinkage(), limit)
    assert part.node_edges.tolist() == full.node_edges[full.distances <= limit].tolist()


def test_the_group_of_a_third_study_is_what_linkage_mends() -> None:
    """A and B of one study are both near C, which is nearest to A; D of a third study lies by C and B."""
    locations = np.array([[0.0, 0, 0], [0.05, 0, 0], [0.015, 0, 0], [0.034, 0, 0]])
    cues, patients, studies = LesionCues(locations=locations), [1] * 4, [1, 1, 2, 3]
    mutual = match_by_cost(cues, patients, studies, MutualNearest(), 9.0)
    linked = match_by_cost(cues, patients, studies, ExclusiveLinkage(), 9.0)
    assert partition(mutual.groups) == {frozenset({0, 1, 2, 3})}
    assert partition(linked.groups) == {frozenset({0, 2}), frozenset({1, 3})}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_assignment_has_the_least_total_of_all_assignments(seed) -> None:
    rng = np.random.default_rng(seed)
    n, limit = int(rng.integers(1, 5)), 1.2
    block = rng.random((n, n)) * 2
    costs = np.block([[np.zeros((n, n)), block], [block.T, np.zeros((n, n))]])
    edges = OptimalAssignment().match(costs, np.repeat([0, 1], n), limit)
    total = sum(block[i, j - n] for i, j in edges) + limit * (n - len(edges))
    best = min(
        sum(min(block[i, j], limit) for i, j in enumerate(columns)) for columns in permutations(range(n))
    )
    assert total == pytest.approx(best)


def test_mutual_nearest_on_distances_is_algorithm_1() -> None:
    rng = np.random.default_rng(0)
    vectors, patients, studies = rng.normal(size=(80, 3)), rng.integers(0, 6, 80), rng.integers(0, 4, 80)
    wanted = match_patients(vectors, patients, studies, 0.4, 1.2)
    found = match_by_cost(
        LesionCues(vectors), patients, studies, MutualNearest(), 1.2, merge_limit=0.4, weights=UNIT
    )
    assert found.groups.tolist() == wanted.groups.tolist()
    assert found.distances == pytest.approx(wanted.distances)
    assert (found.thresholded, found.excluded) == (wanted.thresholded, wanted.excluded)


@pytest.mark.parametrize("matcher", MATCHERS, ids=str)
def test_no_lesion_one_lesion_and_one_study(matcher) -> None:
    for count in (0, 1, 3):
        locations = np.random.default_rng(0).random((count, 3))
        result = match_by_cost(LesionCues(locations=locations), ["p"] * count, ["s"] * count, matcher, 99.0)
        assert result.groups.tolist() == list(range(count))
        assert result.node_edges.shape == (0, 2)


def test_cost_of_one_pair_by_hand() -> None:
    cues = LesionCues(
        [[0.0, 0], [0.03, 0.04]], [[0.5, 0.5, 0.5], [0.56, 0.5, 0.53]], [0.006, 0.008], [[10, 10], [20, 10]]
    )
    weights = CostWeights(appearance=2, size=3, appearance_sd=0.1, x_sd=0.03, size_sd=np.log(2))
    first, second = np.array([0]), np.array([1])
    # appearance 2 · 0.5²; location 2² + 0 + (0.03 / 0.01)²; size 3 · mean(1, 0)
    assert pair_costs(cues, weights, first, second) ** 2 == pytest.approx(0.5 + 13 + 1.5)


def test_a_larger_error_of_z_makes_the_same_difference_cheaper_and_none_takes_the_default() -> None:
    locations = [[0.5, 0.5, 0.50], [0.5, 0.5, 0.53]]
    rows = np.array([0]), np.array([1])
    weights = CostWeights(z_sd=0.01)
    costs = [
        float(pair_costs(LesionCues(locations=locations, z_sd=sd), weights, *rows)[0])
        for sd in ([0.03, 0.03], [0.01, 0.01], [np.nan, 0.01], None)
    ]
    assert costs[0] < costs[1] < costs[2] == costs[3] == pytest.approx(3)


def test_an_unknown_coordinate_counts_what_one_lesion_shows_by_itself() -> None:
    rows = np.array([0]), np.array([1])
    unknown = LesionCues(locations=[[0.5, 0.5, np.nan], [0.5, 0.5, 0.1]])
    assert pair_costs(unknown, CostWeights(), *rows)[0] == pytest.approx(1)


def test_spreads_are_measured_on_true_pairs() -> None:
    rng = np.random.default_rng(0)
    first = rng.random((4000, 3))
    second = first + rng.normal(0, [0.03, 0.05, 0.01], (4000, 3))
    cues = LesionCues(locations=np.concatenate([first, second]))
    pairs = np.column_stack([np.arange(4000), np.arange(4000, 8000)])
    found = CostWeights.measured_on(cues, pairs)
    assert (found.x_sd, found.y_sd, found.z_sd) == pytest.approx((0.03, 0.05, 0.01), rel=0.06)
    assert found.size_sd == CostWeights().size_sd
    with pytest.raises(NotEnoughDataError, match="found 0"):
        CostWeights.measured_on(cues, np.empty((0, 2)))
    with pytest.raises(NotEnoughDataError, match=r"x_sd.*found 1 that do not"):
        CostWeights.measured_on(cues, np.array([[0, 0]]))
    nowhere = LesionCues(locations=np.full((2, 3), np.nan), sizes_mm=[[10, 5], [20, 10]])
    assert CostWeights.measured_on(nowhere, np.array([[0, 1]])).x_sd == CostWeights().x_sd


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LesionCues(), "give embeddings"),
        (lambda: LesionCues(locations=np.zeros((2, 2))), r"\(2, 3\), got \(2, 2\)"),
        (lambda: LesionCues(np.zeros((2, 4)), np.zeros((3, 3))), r"\(2, 3\), got \(3, 3\)"),
        (lambda: LesionCues([[np.inf]]), "finite"),
        (lambda: LesionCues(sizes_mm=[[0.0, 1.0]]), "above 0"),
        (lambda: LesionCues([[0.0]], z_sd=[0.1]), "without locations"),
        (lambda: CostWeights(x_sd=0), "x_sd"),
        (lambda: match_by_cost(LesionCues([[0.0]]), [1], [1, 2], MutualNearest(), 1.0), "equal lengths"),
        (lambda: match_by_cost(LesionCues([[0.0]]), [1], [1], MutualNearest(), 1.0, merge_limit=2), "2 and"),
    ],
)  # fmt: skip
def test_wrong_use(make, message) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_stated_error_of_z_counts_in_units_that_true_pairs_show() -> None:
    cues = LesionCues(
        locations=[[0.5, 0.5, 0.50], [0.51, 0.51, 0.51], [0.5, 0.5, 0.7], [0.52, 0.52, 0.74]],
        z_sd=[0.03, 0.04, 0.06, 0.08],
    )
    weights = CostWeights.measured_on(cues, np.array([[0, 1], [2, 3]]))
    assert weights.z_errors == pytest.approx(np.sqrt((0.2**2 + 0.4**2) / 2))
    both = pair_costs(cues, weights, np.array([2]), np.array([3]))[0] ** 2
    x, y = 0.02 / weights.x_sd, 0.02 / weights.y_sd
    assert both == pytest.approx(x**2 + y**2 + (0.04 / (weights.z_errors * 0.1)) ** 2)
