import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesiongraph.evaluation import ranking_scores, type_scores

KINDS = ("bone", "liver", "lung", "pelvis")


def slow_average_precision(scores, own) -> float:
    """Over the distinct scores, highest first: gain in recall times precision."""
    total, last_recall = 0.0, 0.0
    for level in sorted(set(scores), reverse=True):
        taken = [o for s, o in zip(scores, own, strict=True) if s >= level]
        recall = sum(taken) / sum(own)
        total += (recall - last_recall) * sum(taken) / len(taken)
        last_recall = recall
    return total


def slow_auc(scores, own) -> float:
    wins = [
        (a > b) + (a == b) / 2
        for a, x in zip(scores, own, strict=True)
        for b, y in zip(scores, own, strict=True)
        if x and not y
    ]
    return sum(wins) / len(wins)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_type_scores_against_slow_loops(seed) -> None:
    rng = np.random.default_rng(seed)
    stated = rng.integers(1, 6, (25, 3)).astype(float)
    stated /= stated.sum(axis=1, keepdims=True)
    truth = rng.choice(KINDS, 25)  # pelvis has no column
    truth[:2] = "bone", "pelvis"
    found = type_scores(stated, KINDS[:3], truth)
    predicted = [KINDS[max(range(3), key=lambda t, row=row: (row[t], -t))] for row in stated]
    present = sorted(set(truth))
    assert found.accuracy == np.mean([a == b for a, b in zip(predicted, truth, strict=True)])
    recalls = [np.mean([p == k for p, t in zip(predicted, truth, strict=True) if t == k]) for k in present]
    assert found.balanced_accuracy == pytest.approx(np.mean(recalls))
    columns = {k: stated[:, KINDS.index(k)] if k != "pelvis" else np.zeros(25) for k in present}
    own = {k: (truth == k).tolist() for k in present}
    assert found.mean_average_precision == pytest.approx(
        np.mean([slow_average_precision(columns[k].tolist(), own[k]) for k in present])
    )
    assert found.auc == pytest.approx(np.mean([slow_auc(columns[k].tolist(), own[k]) for k in present]))


def test_a_perfect_classifier_and_one_type() -> None:
    perfect = type_scores(np.eye(3), KINDS[:3], KINDS[:3])
    assert (perfect.accuracy, perfect.balanced_accuracy, perfect.mean_average_precision) == (1, 1, 1)
    assert (perfect.auc, perfect.ece) == (1, 0)
    alone = type_scores([[1.0, 0.0]], KINDS[:2], ["bone"])
    assert (alone.mean_average_precision, alone.auc) == (None, None)
    with pytest.raises(ValueError, match="sum to 1"):
        type_scores([[1.0, 1.0]], KINDS[:2], ["bone"])
    with pytest.raises(ValueError, match="N > 0"):
        type_scores(np.empty((0, 2)), KINDS[:2], [])


def slow_ranking(features, types, patients, query) -> tuple[float, float, int]:
    """The definition, read aloud."""
    gallery = [
        (sum((a - b) ** 2 for a, b in zip(features[query], features[j], strict=True)), j)
        for j in range(len(types))
        if j != query and (patients is None or patients[j] != patients[query])
    ]
    hits = [types[j] == types[query] for _, j in sorted(gallery)]
    relevant = sum(hits)
    if not relevant:
        return np.nan, np.nan, 0
    precisions = [sum(hits[: i + 1]) / (i + 1) if hit else 0.0 for i, hit in enumerate(hits)]
    return sum(precisions) / relevant, sum(precisions[:relevant]) / relevant, relevant


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_ranking_against_a_slow_loop(seed, by_patient) -> None:
    rng = np.random.default_rng(seed)
    features, types = rng.integers(0, 4, (18, 2)).astype(float), rng.choice(KINDS, 18)
    patients = rng.integers(0, 4, 18) if by_patient else None
    found = ranking_scores(features, types, patients)
    slow = [slow_ranking(features.tolist(), types, patients, i) for i in range(18)]
    np.testing.assert_allclose(found.average_precision, [s[0] for s in slow])
    np.testing.assert_allclose(found.at_r, [s[1] for s in slow])
    assert found.relevant.tolist() == [s[2] for s in slow]


def test_blocks_are_one_ranking_and_the_bounds_hold() -> None:
    rng = np.random.default_rng(0)
    types = rng.choice(KINDS, 700)  # more than one block
    apart = np.array([KINDS.index(t) for t in types])[:, None] * 100 + rng.random((700, 2))
    perfect = ranking_scores(apart, types)
    assert (perfect.mean, perfect.mean_at_r) == (1, 1)
    noise = ranking_scores(rng.normal(size=(700, 8)), types)
    assert noise.mean_at_r < noise.mean < 0.4
    assert ranking_scores([[0.0], [1.0]], ["bone", "lung"]).mean is None
    with pytest.raises(ValueError, match="expected features"):
        ranking_scores(apart, types[:3])
