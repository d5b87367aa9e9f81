import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesiongraph.errors import NotEnoughDataError
from lesiongraph.evaluation import (
    LIMIT_RATIO,
    choose_limits,
    labelled_edges,
    limit_curve,
    pair_counts,
    pair_counts_by_patient,
)
from lesiongraph.graph import (
    CostWeights,
    ExclusiveLinkage,
    LesionCues,
    MutualNearest,
    OptimalAssignment,
    match_by_cost,
    match_patients,
)


def archive(seed: int, count: int = 40):
    """Patients with a few lesions each, marked again in later studies."""
    rng = np.random.default_rng(seed)
    patients = np.sort(rng.integers(0, 5, count))
    instances = patients * 10 + rng.integers(0, 3, count)
    studies = rng.integers(0, 3, count)
    places = rng.random((60, 3))[instances] + rng.normal(0, 0.05, (count, 3))
    return patients, studies, instances, np.clip(places, 0, 1)


def by_cost(matcher, seed: int):
    patients, studies, instances, places = archive(seed)
    cues = LesionCues(locations=places)
    return (
        patients,
        instances,
        lambda t1, t2: match_by_cost(cues, patients, studies, matcher, t2, merge_limit=t1),
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_counts_by_patient_add_up_to_a_loop_over_patients(seed) -> None:
    rng = np.random.default_rng(seed)
    patients, _, instances, _ = archive(seed)
    groups = patients * 10 + rng.integers(0, 3, len(patients))
    found = pair_counts_by_patient(patients, instances, groups)
    for row, patient in zip(found, np.unique(patients), strict=True):
        one = pair_counts(instances[patients == patient], groups[patients == patient])
        assert row.tolist() == [one.true_positives, one.false_positives, one.false_negatives]
    assert pair_counts_by_patient([], [], []).shape == (0, 3)


@pytest.mark.parametrize("matcher", [MutualNearest(), MutualNearest(consecutive=True), ExclusiveLinkage()])
def test_the_curve_is_the_matcher_run_at_each_limit(matcher) -> None:
    patients, instances, run = by_cost(matcher, 0)
    quick = limit_curve(run, patients, instances, 0.5)
    plain = limit_curve(run, patients, instances, 0.5, limits=quick.limits, nested=False)
    np.testing.assert_array_equal(quick.counts, plain.counts)


def test_algorithm_1_has_a_curve_too() -> None:
    patients, studies, instances, places = archive(1)

    def run(t1: float, t2: float):
        return match_patients(places, patients, studies, t1, t2)

    quick = limit_curve(run, patients, instances, 0.02)
    plain = limit_curve(run, patients, instances, 0.02, limits=quick.limits, nested=False)
    np.testing.assert_array_equal(quick.counts, plain.counts)
    precision, recall = quick.precision_recall()
    both = pair_counts(instances, run(0.02, float(quick.limits[5])).groups)
    assert (precision[5], recall[5]) == (both.precision, both.recall)


USUAL = (0.5, 2.0)
MERGE_LIMITS = tuple(0.2 * LIMIT_RATIO**step for step in range(12))


def smoothed(scores):
    """Average each score with its neighbours both ways, eight steps far; beyond the edge, the edge's."""
    steps = np.arange(-8, 9)
    weights = np.exp(-(steps**2) / 8) / np.exp(-(steps**2) / 8).sum()
    result = np.zeros_like(scores)
    rows, columns = scores.shape
    for row in range(rows):
        for column in range(columns):
            for down, first in zip(steps, weights, strict=True):
                for right, second in zip(steps, weights, strict=True):
                    near = scores[min(max(row + down, 0), rows - 1), min(max(column + right, 0), columns - 1)]
                    result[row, column] += first * second * near
    return result


@pytest.mark.parametrize("matcher", [MutualNearest(), ExclusiveLinkage(), OptimalAssignment()])
def test_the_limits_chosen_are_those_of_a_loop(matcher) -> None:
    patients, instances, run = by_cost(matcher, 2)
    nested = matcher != OptimalAssignment()
    chosen = choose_limits(run, patients, instances, MERGE_LIMITS, usual=USUAL, nested=nested)
    limits = [USUAL[1] / LIMIT_RATIO**32]
    longest = run(MERGE_LIMITS[0], np.inf).distances.max()
    while limits[-1] < max(longest, USUAL[1]) * LIMIT_RATIO**8:
        limits.append(limits[-1] * LIMIT_RATIO)
    scores, merits = (np.zeros((len(MERGE_LIMITS), len(limits))) for _ in range(2))
    for row, t1 in enumerate(MERGE_LIMITS):
        for column, t2 in enumerate(limits):
            scores[row, column] = pair_counts(instances, run(t1, max(t1, t2)).groups).f1
            merits[row, column] = -0.01 * (np.log(t1 / USUAL[0]) ** 2 + np.log(t2 / USUAL[1]) ** 2)
    merits += smoothed(scores)
    merits[np.array(limits) < np.array(MERGE_LIMITS)[:, None]] = -np.inf
    row, column = np.unravel_index(merits.argmax(), merits.shape)
    assert (chosen.merge_limit, chosen.limit) == pytest.approx((MERGE_LIMITS[row], limits[column]))
    counts = pair_counts(instances, run(chosen.merge_limit, chosen.limit).groups)
    assert (chosen.precision, chosen.recall, chosen.f1) == (
        pytest.approx(counts.precision),
        pytest.approx(counts.recall),
        pytest.approx(counts.f1),
    )
    assert chosen.true_pairs == pair_counts(instances, np.arange(len(instances))).false_negatives


def far_apart(*, in_one_study: float = 0.01, noise: float = 0.001):
    """Lesions 0.4 apart, marked twice in each of two studies: any limits between make no error."""
    patients = np.repeat(np.arange(6), 8)
    studies = np.tile(np.repeat([0, 1], 4), 6)
    lesions = np.tile([0, 0, 1, 1], 12)
    x = 0.1 + 0.4 * lesions + in_one_study * np.tile([0, 1], 24)
    places = np.column_stack([x, *np.full((2, 48), 0.5)])
    cues = LesionCues(locations=places + np.random.default_rng(0).normal(0, noise, places.shape))

    def run(t1: float, t2: float):
        return match_by_cost(cues, patients, studies, ExclusiveLinkage(), t2, merge_limit=t1)

    sd = CostWeights().x_sd
    return patients, patients * 10 + lesions, run, in_one_study / sd, 0.4 / sd


@pytest.mark.parametrize("usual", [(0.02, 0.03), (0.5, 2.0), (90.0, 90.0)])
def test_limits_keep_away_from_where_errors_begin(usual) -> None:
    patients, instances, run, true_cost, false_cost = far_apart()
    merge_limits = [0.02 * LIMIT_RATIO**step for step in range(60)]
    chosen = choose_limits(run, patients, instances, merge_limits, usual=usual)
    assert chosen.f1 == 1
    assert 1.2 * true_cost < chosen.merge_limit < false_cost / 1.2


def test_the_usual_limits_settle_what_the_patients_leave_open() -> None:
    """No edge here joins two lesions, so the longest edge says nothing of where a limit should lie."""
    patients, instances, run, true_cost, _ = far_apart()
    merge_limits = [2 * true_cost * LIMIT_RATIO**step for step in range(16)]
    usual = (merge_limits[9], merge_limits[12])
    chosen = choose_limits(run, patients, instances, merge_limits, usual=usual)
    assert (chosen.merge_limit, chosen.limit) == pytest.approx(usual, rel=0.15)


def test_one_long_edge_does_not_move_the_limits_away_from_the_usual_ones() -> None:
    patients, instances, run, true_cost, _ = far_apart(noise=0.0001)
    usual = (3 * true_cost, 6 * true_cost)
    merge_limits = [usual[0] * LIMIT_RATIO**step for step in range(-8, 8)]

    def with_an_outlier(t1: float, t2: float):
        found = run(t1, t2)
        if np.isfinite(t2):
            return found
        lengths = found.distances.copy()
        lengths[-1] = 1e4
        return dataclasses.replace(found, distances=lengths)

    chosen = choose_limits(with_an_outlier, patients, instances, merge_limits, usual=usual)
    assert (chosen.merge_limit, chosen.limit) == pytest.approx(usual, rel=0.15)


def test_lesions_without_any_edge_between_studies() -> None:
    """Every patient has one study: only marks within it can be told to be one lesion."""
    patients, instances, _, true_cost, _ = far_apart()
    once = np.tile(np.repeat([True, False], 4), 6)
    places = np.column_stack([0.01 * np.arange(once.sum()), *np.full((2, once.sum()), 0.5)])

    def run(t1: float, t2: float):
        studies = np.zeros(once.sum(), dtype=int)
        cues = LesionCues(locations=places)
        return match_by_cost(cues, patients[once], studies, ExclusiveLinkage(), t2, merge_limit=t1)

    merge_limits = [true_cost * LIMIT_RATIO**step for step in range(8)]
    usual = (merge_limits[2], merge_limits[6])
    chosen = choose_limits(run, patients[once], instances[once], merge_limits, usual=usual)
    assert chosen.edges == 0
    assert chosen.calibration is None
    assert chosen.limit == pytest.approx(usual[1])


@pytest.mark.parametrize(
    ("merge_limits", "usual", "said"),
    [
        ((0.0,), USUAL, "above 0"),
        ((float("nan"),), USUAL, "above 0"),
        ((), USUAL, "above 0"),
        ((0.5,), (0.5, 0.0), "above 0"),
        ((0.5, 1.0), USUAL, "steps of LIMIT_RATIO"),
        ((3.0,), USUAL, "at most the usual"),
    ],
)
def test_limits_that_cannot_be_tried_are_refused(merge_limits, usual, said) -> None:
    patients, instances, run = by_cost(ExclusiveLinkage(), 3)
    with pytest.raises(ValueError, match=said):
        choose_limits(run, patients, instances, merge_limits, usual=usual)


def test_edges_are_labelled_and_calibrated() -> None:
    patients, instances, run = by_cost(ExclusiveLinkage(), 3)
    chosen = choose_limits(run, patients, instances, (0.5,), usual=USUAL)
    result = run(0.5, np.inf)
    lengths, same = labelled_edges(result, instances)
    slow = [instances[i] == instances[j] for i, j, _ in result.edges]
    assert same.tolist() == slow
    assert (chosen.edges, chosen.true_edges) == (len(lengths), sum(slow))
    assert chosen.calibration is not None
    assert chosen.calibration.probability(0.0) > chosen.calibration.probability(lengths.max())


def test_without_a_true_pair_nothing_is_chosen() -> None:
    patients, _, run = by_cost(ExclusiveLinkage(), 4)
    with pytest.raises(NotEnoughDataError, match="two marks"):
        choose_limits(run, patients, np.arange(len(patients)), (0.5,), usual=USUAL)
    apart = choose_limits(run, patients, patients, (0.5,), usual=USUAL)
    assert apart.calibration is None  # every edge joins one lesion
