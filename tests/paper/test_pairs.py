"""Sec. 6.3, Fig. 8: precision and recall in pairs of lesions, against a loop over all pairs."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesiongraph.evaluation import area_under_curve, pair_counts, precision_recall_curve
from lesiongraph.graph import match_patients

LABELS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=25)


@given(LABELS)
def test_counts_equal_a_loop_over_all_pairs(labels) -> None:
    instances, groups = zip(*labels, strict=True)
    tp = fp = fn = 0
    for i, j in itertools.combinations(range(len(labels)), 2):
        same_instance, same_group = instances[i] == instances[j], groups[i] == groups[j]
        tp += same_instance and same_group
        fp += same_group and not same_instance
        fn += same_instance and not same_group
    counts = pair_counts(instances, groups)
    assert (counts.true_positives, counts.false_positives, counts.false_negatives) == (tp, fp, fn)
    assert counts.precision == (tp / (tp + fp) if tp + fp else None)
    assert counts.recall == (tp / (tp + fn) if tp + fn else None)


def test_countable_case() -> None:
    """Four lesions of one instance split 3 + 1, the one put with a stranger."""
    counts = pair_counts([1, 1, 1, 1, 2], [7, 7, 7, 8, 8])
    assert (counts.precision, counts.recall, counts.f1) == (3 / 4, 3 / 6, 6 / 10)


def archive(seed: int, *, grid: bool = False) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    instances = np.repeat(np.arange(12), 4)
    centres = rng.normal(size=(12, 4))
    embeddings = centres[instances] + 0.3 * rng.normal(size=(48, 4))
    if grid:
        embeddings = embeddings.round()
    studies = np.tile([0, 0, 1, 2], 12)
    return embeddings, instances // 4, studies, instances


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
def test_curve_equals_algorithm_1_run_at_each_threshold(seed, grid, same_study_edges) -> None:
    embeddings, patients, studies, instances = archive(seed, grid=grid)
    values = np.array([0.4, 0.5, 1.0, 1.5, 3.0])
    curve = precision_recall_curve(
        embeddings, patients, studies, instances, t1=0.4, t2=values, same_study_edges=same_study_edges
    )
    for t2, precision, recall in zip(values, curve.precision, curve.recall, strict=True):
        groups = match_patients(
            embeddings, patients, studies, 0.4, t2, same_study_edges=same_study_edges
        ).groups
        counts = pair_counts(instances, groups)
        wanted = np.nan if counts.precision is None else counts.precision
        assert precision == pytest.approx(wanted, nan_ok=True)
        assert recall == counts.recall


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_recall_never_falls_and_the_default_thresholds_miss_no_step(seed) -> None:
    embeddings, patients, studies, instances = archive(seed)
    curve = precision_recall_curve(embeddings, patients, studies, instances)
    assert (np.diff(curve.recall) >= 0).all()
    dense = precision_recall_curve(embeddings, patients, studies, instances, t2=np.linspace(0.1, 6, 60))
    points = set(zip(curve.precision, curve.recall, strict=True))
    assert {p for p in zip(dense.precision, dense.recall, strict=True) if p[0] == p[0]} <= points
    best, at = curve.best_f1
    groups = match_patients(embeddings, patients, studies, 0.1, at).groups
    assert best == pytest.approx(pair_counts(instances, groups).f1)


def test_separable_lesions_have_area_1() -> None:
    instances = np.repeat(np.arange(6), 3)
    embeddings = np.eye(6)[instances]
    curve = precision_recall_curve(embeddings, instances // 2, np.tile([0, 1, 2], 6), instances)
    assert curve.area == pytest.approx(1)
    assert curve.best_f1[0] == 1


def test_area_by_hand() -> None:
    # Level to the first point, then two trapezoids; nothing beyond recall 0.8.
    area = area_under_curve([np.nan, 1.0, 0.5, 0.25], [0.0, 0.2, 0.6, 0.8])
    assert area == pytest.approx(0.2 * 1 + 0.4 * 0.75 + 0.2 * 0.375)
    assert area_under_curve([np.nan], [0.0]) == 0


def test_threshold_below_t1_is_refused() -> None:
    with pytest.raises(ValueError, match="t1"):
        precision_recall_curve(*archive(0), t1=0.4, t2=[0.3])
