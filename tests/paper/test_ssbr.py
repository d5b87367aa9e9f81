"""Eq. 2 and the sampling of Sec. 4.1, against loops written from the formula."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lesiongraph.bodypart import hardness_weights, physical_loss, sample_indices, ssbr_loss


def smooth_l1(x: float) -> float:
    """g in Eq. 2 (Girshick, Fast R-CNN)."""
    return 0.5 * x * x if abs(x) < 1 else abs(x) - 0.5


def slow_loss(rows: list[list[float]]) -> tuple[float, float]:
    orders, distances = [], []
    for s in rows:
        m = len(s)
        delta = [s[i + 1] - s[i] for i in range(m - 1)]
        orders.append(sum(-math.log(1 / (1 + math.exp(-delta[i]))) for i in range(m - 1)))
        distances.append(sum(smooth_l1(delta[i + 1] - delta[i]) for i in range(m - 2)))
    return sum(orders) / len(rows), sum(distances) / len(rows)


@given(st.lists(st.lists(st.floats(-6, 6, width=32), min_size=8, max_size=8), min_size=1, max_size=4))
@settings(max_examples=50, deadline=None)
def test_eq_2_equals_the_slow_loop(rows):
    order, distance = ssbr_loss(torch.tensor(rows, dtype=torch.float64))
    slow_order, slow_distance = slow_loss(rows)
    assert float(order) == pytest.approx(slow_order, rel=1e-9, abs=1e-12)
    assert float(distance) == pytest.approx(slow_distance, rel=1e-9, abs=1e-12)


def test_eq_2_on_numbers_worked_by_hand():
    # scores 0, 1, 4: delta 1, 3; one second difference of 2, g(2) = 3/2
    order, distance = ssbr_loss(torch.tensor([[0.0, 1.0, 4.0]]))
    assert float(distance) == pytest.approx(1.5)
    assert float(order) == pytest.approx(math.log1p(math.exp(-1)) + math.log1p(math.exp(-3)))


def test_equal_steps_cost_no_distance_and_the_wrong_order_costs_more():
    rising = torch.arange(8.0)[None]
    order_up, distance_up = ssbr_loss(rising)
    order_down, distance_down = ssbr_loss(rising.flip(1))
    assert float(distance_up) == float(distance_down) == 0
    assert float(order_down) > float(order_up)


def test_two_slices_have_no_second_difference():
    with pytest.raises(ValueError, match="m >= 3"):
        ssbr_loss(torch.zeros(4, 2))


def test_the_physical_loss_equals_a_loop_over_pairs():
    rng = np.random.default_rng(0)
    scores, step_mm = rng.normal(size=(3, 5)), np.array([5.0, np.nan, 40.0])
    pairs = [
        smooth_l1(scores[row, j] - scores[row, i] - (j - i) * step_mm[row] / 100)
        for row in (0, 2)
        for i in range(5)
        for j in range(i + 1, 5)
    ]
    fast = physical_loss(torch.tensor(scores), torch.tensor(step_mm))
    assert float(fast) == pytest.approx(np.mean(pairs))
    assert float(physical_loss(torch.tensor(scores), torch.full((3,), float("nan")))) == 0


@given(st.integers(8, 400), st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_samples_are_equidistant_and_inside_the_volume(n, seed):
    indices, k = sample_indices(n, 8, np.random.default_rng(seed))
    assert 1 <= k <= n // 8
    assert indices[0] >= 0
    assert indices[-1] <= n - 1
    assert np.diff(indices).tolist() == [k] * 7


def test_every_interval_occurs_and_both_ends_more_often_than_a_uniform_start():
    rng = np.random.default_rng(1)
    drawn = [sample_indices(80, 8, rng) for _ in range(4000)]
    counts = np.bincount([k for _, k in drawn], minlength=11)[1:]
    assert len(counts) == 10
    assert counts.min() > 0.7 * 400
    first = np.mean([indices[0] == 0 for indices, _ in drawn])
    last = np.mean([indices[-1] == 79 for indices, _ in drawn])
    uniform = np.mean([1 / (80 - 7 * k) for k in range(1, 11)])
    assert first > 1.5 * uniform
    assert last > 1.5 * uniform


def test_the_second_training_draws_the_hardest_volume_four_times_as_often():
    weights = hardness_weights(np.array([0.99, 0.5, 0.745]))
    assert weights.sum() == pytest.approx(1)
    assert weights[1] / weights[0] == pytest.approx(4)
    assert weights[2] / weights[0] == pytest.approx(2.5)
    assert hardness_weights(np.array([0.9, 0.9])).tolist() == [0.5, 0.5]
