"""The figures of merit of `benchmarks/ssbr.py` on cases that can be counted by hand."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "benchmarks")]

from locating.measures import (  # noqa: E402
    best_thresholds,
    border_distance_mm,
    classify,
    correlation,
    landmark_spread,
    spearman_with_interval,
    three_classes,
)
from locating.views import VIEWS, cut_view  # noqa: E402


def test_spread_pools_the_deviations_of_all_landmarks() -> None:
    marked = {"a": {"carina": 0.4, "crest": 0.7}, "b": {"carina": 0.5, "crest": 0.7}, "c": {"hyoid": 0.3}}
    spread = landmark_spread(marked)
    assert spread.per_landmark["carina"] == pytest.approx((0.45, np.sqrt(0.005), 2))
    assert "hyoid" not in spread.per_landmark  # one patient has no spread
    assert spread.pooled == pytest.approx(np.sqrt(0.005 / 2))
    assert spread.patients == 3


@pytest.mark.parametrize("stretch", [0.01, 0.5, 2.0])
def test_spread_to_scale_does_not_reward_a_flat_score(stretch: float) -> None:
    rng = np.random.default_rng(0)
    reference = {"carina": 0.45, "dome": 0.55, "crest": 0.72}
    true = {i: {name: z + rng.normal(0, 0.02) for name, z in reference.items()} for i in range(30)}
    flat = {i: {name: stretch * z for name, z in own.items()} for i, own in true.items()}
    spreads = [landmark_spread({str(i): own for i, own in one.items()}) for one in (true, flat)]
    assert spreads[1].to_scale(reference) == pytest.approx(spreads[0].to_scale(reference))
    assert spreads[0].to_scale(reference) == pytest.approx(0.02, rel=0.2)


def test_a_constant_score_has_no_scale() -> None:
    spread = landmark_spread({str(i): {"carina": 0.5, "crest": 0.5} for i in range(3)})
    assert np.isinf(spread.to_scale({"carina": 0.4, "crest": 0.7}))


def test_thresholds_are_the_best_of_all_cuts() -> None:
    rng = np.random.default_rng(3)
    classes = np.sort(rng.integers(0, 3, 60))
    z = 0.2 * classes + rng.normal(0.3, 0.12, 60)
    low, high = best_thresholds(z, classes)
    cuts = np.concatenate([z, [z.max() + 1]])
    for cut, found, border in ((low, 1, 1), (high, 2, 2)):
        right = ((z >= cut) == (classes >= border)).mean()
        assert right == max(((z >= other) == (classes >= found)).mean() for other in cuts)


def test_classes_start_at_the_borders() -> None:
    assert three_classes(np.arange(6), 2, 4).tolist() == [0, 0, 1, 1, 2, 2]
    assert three_classes(np.arange(3), -np.inf, np.inf).tolist() == [1, 1, 1]
    assert classify(np.array([0.1, 0.5, 0.9]), (0.3, 0.7)).tolist() == [0, 1, 2]


def test_a_border_outside_the_volume_lies_at_least_at_its_end() -> None:
    position = 5.0 * np.arange(5)
    assert border_distance_mm(position, 1, np.inf).tolist() == [5, 0, 5, 5, 0]


def test_correlation_uses_index_without_positions() -> None:
    score = np.array([0.0, 1.0, 2.0])
    assert correlation(np.full(3, np.nan), score) == pytest.approx(1)
    assert correlation(np.array([0.0, 1.0, 5.0]), score) < 1
    assert correlation(np.arange(3.0), np.ones(3)) == 0


def test_spearman_interval_holds_the_estimate() -> None:
    rng = np.random.default_rng(1)
    known = rng.random(40)
    rho, low, high = spearman_with_interval(
        known + rng.normal(0, 0.2, 40), known, [str(i // 4) for i in range(40)], draws=200
    )
    assert low < rho < high


@pytest.mark.parametrize("kind", VIEWS)
def test_views_show_part_of_the_slice(kind: str) -> None:
    hu = np.full((100, 120), -1000, np.int16)
    hu[30:80, 20:110] = np.arange(90)[None]
    view = cut_view(hu, kind, np.random.default_rng(0))
    assert set(np.unique(view)) <= {*np.unique(hu), -1024}
    assert (view > -500).sum() < (hu > -500).sum() or kind == "full"
    assert (view > -500).any()


def test_an_unknown_view_is_refused() -> None:
    with pytest.raises(ValueError, match="zoomed"):
        cut_view(np.zeros((4, 4), np.int16), "fisheye", np.random.default_rng(0))
