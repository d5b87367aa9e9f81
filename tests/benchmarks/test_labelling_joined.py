"""How `benchmarks/pseudo_labels.py` puts appearance, location and size side by side."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "benchmarks")]

from labelling.joined import join_features  # noqa: E402
from lesiongraph.errors import NotEnoughDataError  # noqa: E402


def test_each_block_has_its_weight_as_spread_over_the_seeds() -> None:
    rng = np.random.default_rng(0)
    wide, narrow = rng.normal(5, 1e-3, (50, 40)), rng.normal(-2, 30, (50, 2))
    seeds = np.arange(20)
    joined = join_features([wide, narrow], seeds, [1, 0.3])
    assert joined.shape == (50, 42)
    assert joined[seeds].mean(axis=0) == pytest.approx(np.zeros(42), abs=1e-12)
    for block, weight in ((joined[:, :40], 1), (joined[:, 40:], 0.3)):
        assert (block[seeds] ** 2).sum(axis=1).mean() == pytest.approx(weight**2)


def test_the_pool_does_not_move_the_seeds() -> None:
    rng = np.random.default_rng(1)
    block = rng.normal(size=(10, 3))
    before = join_features([block], np.arange(5))
    block[7] = 1000
    assert np.array_equal(join_features([block], np.arange(5))[:5], before[:5])


def test_dimensions_of_a_block_keep_their_proportions() -> None:
    block = np.array([[0.0, 0], [2, 0], [0, 1], [2, 1]])
    joined = join_features([block], np.arange(4))
    assert np.ptp(joined[:, 0]) == pytest.approx(2 * np.ptp(joined[:, 1]))


def test_a_block_that_tells_nothing_becomes_zero() -> None:
    assert not join_features([np.full((4, 2), 7.0)], np.arange(3)).any()


def test_what_does_not_fit_together() -> None:
    with pytest.raises(ValueError, match="1 weights"):
        join_features([np.ones((2, 1)), np.ones((2, 1))], [0], [1])
    with pytest.raises(ValueError, match=r"lengths \[2, 3\]"):
        join_features([np.ones((2, 1)), np.ones((3, 1))], [0])
    with pytest.raises(NotEnoughDataError, match="1 of 2 rows"):
        join_features([[[0.0], [np.nan]]], [0])
