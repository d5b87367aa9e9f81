"""A person's must-links and cannot-links, in every matcher."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesiongraph.graph import (
    CostWeights,
    ExclusiveLinkage,
    LesionCues,
    Links,
    MutualNearest,
    OptimalAssignment,
    extract,
    match_by_cost,
    match_patients,
)

MATCHERS = {
    "mutual-nearest": MutualNearest(),
    "optimal": OptimalAssignment(),
    "exclusive": ExclusiveLinkage(),
}
EUCLIDEAN = CostWeights(location=0.0, size=0.0, appearance_sd=1.0)
every_matcher = pytest.mark.parametrize("matcher", MATCHERS.values(), ids=MATCHERS)


def pairs(*given: tuple[int, int]) -> np.ndarray:
    return np.array(given, dtype=np.int64).reshape(-1, 2)


def match(matcher, points, studies, links=None, *, limit=1.0, merge_limit=0.0, patients=None):
    cues = LesionCues(np.asarray(points, float).reshape(len(points), -1))
    owners = np.zeros(len(points), int) if patients is None else patients
    return match_by_cost(
        cues, owners, np.asarray(studies), matcher, limit,
        merge_limit=merge_limit, weights=EUCLIDEAN, links=links,
    )  # fmt: skip


def parts(result) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(result.groups == g).tolist()) for g in np.unique(result.groups)}


@every_matcher
def test_a_confirmed_match_displaces_a_nearer_one(matcher):
    points, studies = [0.0, 5.0, 0.1, 9.0], [0, 0, 1, 1]
    assert parts(match(matcher, points, studies)) == {frozenset({0, 2}), frozenset({1}), frozenset({3})}
    result = match(matcher, points, studies, Links(must=pairs((0, 3))))
    assert parts(result) == {frozenset({0, 3}), frozenset({1}), frozenset({2})}
    assert result.distances.tolist() == [9.0]  # what was measured, though a person says they are one


@every_matcher
def test_a_broken_match_stays_broken_through_a_third_study(matcher):
    points, studies = [0.0, 0.2, 0.1], [0, 1, 2]
    assert len(parts(match(matcher, points, studies))) == 1
    result = match(matcher, points, studies, Links(cannot=pairs((0, 2))))
    assert result.groups[0] != result.groups[2]
    assert len(parts(result)) == 2  # the one between stays with one of them


@every_matcher
def test_a_match_over_a_study_between_is_kept(matcher):
    result = match(matcher, [0.0, 7.0, 9.0], [0, 1, 2], Links(must=pairs((0, 2))))
    assert parts(result) == {frozenset({0, 2}), frozenset({1})}


@every_matcher
def test_links_hold_transitively(matcher):
    # 0 = 1 and 1 = 2 make 0 = 2; 2 ≠ 3 then parts 3 from 0, which lies at the same place
    points, studies = [0.0, 50.0, 90.0, 0.0], [0, 1, 2, 3]
    result = match(matcher, points, studies, Links(pairs((0, 1), (1, 2)), pairs((2, 3))))
    assert parts(result) == {frozenset({0, 1, 2}), frozenset({3})}


@every_matcher
def test_marks_of_one_study_are_merged_and_kept_apart_by_hand(matcher):
    points, studies = [0.0, 0.05, 0.1, 8.0], [0, 0, 0, 0]
    merged = match(matcher, points, studies, merge_limit=0.06)
    assert parts(merged) == {frozenset({0, 1, 2}), frozenset({3})}
    result = match(matcher, points, studies, Links(pairs((0, 3)), pairs((0, 2))), merge_limit=0.06)
    assert result.groups[0] == result.groups[3] != result.groups[2]
    assert result.nodes[0] == result.nodes[3]


@every_matcher
def test_two_marks_matched_apart_into_one_study_are_not_merged_by_their_likeness(matcher):
    points, studies = [0.0, 0.01, 5.0, 9.0], [0, 0, 1, 1]
    result = match(matcher, points, studies, Links(must=pairs((0, 2), (1, 3))), merge_limit=0.5)
    assert parts(result) == {frozenset({0, 2}), frozenset({1, 3})}


def test_links_that_contradict_each_other():
    with pytest.raises(ValueError, match="cannot be one lesion"):
        Links(pairs((0, 1), (1, 2)), pairs((0, 2)))


def test_a_must_link_over_two_patients():
    with pytest.raises(ValueError, match="two patients"):
        match(MutualNearest(), [0.0, 0.0], [0, 1], Links(must=pairs((0, 1))), patients=[0, 1])


@st.composite
def cases(draw):
    count = draw(st.integers(2, 9))
    studies = draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    points = draw(st.lists(st.integers(0, 12), min_size=count, max_size=count))
    pair = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(lambda p: p[0] != p[1])
    must, cannot = draw(st.lists(pair, max_size=3)), draw(st.lists(pair, max_size=3))
    return studies, [p / 10 for p in points], pairs(*must), pairs(*cannot)


@settings(max_examples=150, deadline=None)
@given(case=cases(), name=st.sampled_from(sorted(MATCHERS)))
def test_whatever_the_links_they_hold(case, name):
    studies, points, must, cannot = case
    try:
        links = Links(must, cannot)
    except ValueError:
        return
    result = match(MATCHERS[name], points, studies, links, limit=0.4, merge_limit=0.1)
    assert all(result.groups[a] == result.groups[b] for a, b in must)
    assert all(result.groups[a] != result.groups[b] for a, b in cannot)
    edges = [*result.edges, *((*e, 0.0) for e in result.merge_edges.tolist())]
    joined = Links(pairs(*((a, b) for a, b, _ in edges)))
    rebuilt = extract(joined.must, len(points))
    assert parts(result) == {frozenset(np.flatnonzero(rebuilt == g).tolist()) for g in np.unique(rebuilt)}


@settings(max_examples=60, deadline=None)
@given(case=cases(), name=st.sampled_from(sorted(MATCHERS)))
def test_a_patient_without_links_is_matched_as_before(case, name):
    studies, points, _, _ = case
    owners = [0] * len(points) + [1, 1]
    both, times = [*points, 0.0, 3.0], [*studies, 0, 1]
    links = Links(must=pairs((len(points), len(points) + 1)))
    plain = match(MATCHERS[name], both, times, limit=0.4, merge_limit=0.1, patients=owners)
    bound = match(MATCHERS[name], both, times, links, limit=0.4, merge_limit=0.1, patients=owners)
    n = len(points)
    assert bound.groups[:n].tolist() == plain.groups[:n].tolist()
    assert bound.groups[n] == bound.groups[n + 1]


def test_algorithm_1_as_matching_by_cost_is_algorithm_1():
    rng = np.random.default_rng(3)
    for _ in range(30):
        count = int(rng.integers(2, 14))
        vectors, studies = rng.normal(size=(count, 4)) / 4, rng.integers(0, 4, count)
        patients = rng.integers(0, 2, count)
        one = match_patients(vectors, patients, studies, 0.3, 0.6)
        other = match_by_cost(
            LesionCues(vectors), patients, studies, MutualNearest(), 0.6, merge_limit=0.3, weights=EUCLIDEAN
        )
        assert one.groups.tolist() == other.groups.tolist()
        assert one.node_edges.tolist() == other.node_edges.tolist()
