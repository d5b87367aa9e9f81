import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesiongraph.errors import NotEnoughDataError
from lesiongraph.evaluation import (
    choose_limits,
    labelled_edges,
    limit_curve,
    pair_counts,
    pair_counts_by_patient,
)
from lesiongraph.graph import (
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


@pytest.mark.parametrize("matcher", [MutualNearest(), ExclusiveLinkage(), OptimalAssignment()])
def test_the_limits_chosen_reach_the_best_f1_of_a_loop(matcher) -> None:
    patients, instances, run = by_cost(matcher, 2)
    nested = not isinstance(matcher, OptimalAssignment)
    chosen = choose_limits(run, patients, instances, (0.0, 0.5, 1.0), nested=nested)
    counts = pair_counts(instances, run(chosen.merge_limit, chosen.limit).groups)
    if nested:
        assert counts.f1 == pytest.approx(chosen.f1)
        assert (counts.precision, counts.recall) == (
            pytest.approx(chosen.precision),
            pytest.approx(chosen.recall),
        )
    tried = [
        pair_counts(instances, run(t1, float(t2)).groups).f1
        for t1 in (0.0, 0.5, 1.0)
        for t2 in np.unique(run(t1, np.inf).distances)
        if t2 >= t1
    ]
    assert chosen.f1 == pytest.approx(max(tried))
    assert chosen.true_pairs == pair_counts(instances, np.arange(len(instances))).false_negatives


def test_edges_are_labelled_and_calibrated() -> None:
    patients, instances, run = by_cost(ExclusiveLinkage(), 3)
    chosen = choose_limits(run, patients, instances, (0.5,))
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
        choose_limits(run, patients, np.arange(len(patients)), (0.5,))
    apart = choose_limits(run, patients, patients, (0.5,))
    assert apart.calibration is None  # every edge joins one lesion
