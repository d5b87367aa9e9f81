"""Countable cases with the right answers as fractions."""

import numpy as np
import pytest

from lesiongraph.cues import PseudoLabels, coverage_curve, measure_noise, measure_refinement
from lesiongraph.errors import NotEnoughDataError

TRUTH = ["lung", "lung", "lung", "liver", "liver", "bone"]
LABELS = ["lung", "lung", "", "liver", "lung", "lung"]
TYPES = ("lung", "liver", "bone")


def test_noise_of_six_lesions() -> None:
    noise = measure_noise(TRUTH, LABELS, TYPES)
    assert noise.confusion.tolist() == [[2, 0, 0, 1], [1, 1, 0, 0], [1, 0, 0, 0]]
    assert noise.n == 6
    assert noise.coverage == 5 / 6
    assert noise.precision == 3 / 5
    assert noise.recalls == {"lung": 2 / 3, "liver": 1 / 2, "bone": 0}
    assert noise.precisions["lung"] == 2 / 4
    assert noise.precisions["liver"] == 1
    assert np.isnan(noise.precisions["bone"])  # never given
    assert noise.balanced_accuracy == pytest.approx((2 / 3 + 1 / 2) / 3)


def test_unknown_truth_is_left_out_and_an_absent_type_has_no_recall() -> None:
    noise = measure_noise(["", "lung"], ["liver", "lung"], TYPES)
    assert noise.n == 1
    assert noise.recalls == {"lung": 1}


def test_a_strange_type_does_not_vanish() -> None:
    with pytest.raises(ValueError, match="brain"):
        measure_noise(["brain"], ["lung"])
    with pytest.raises(ValueError, match="one length"):
        measure_noise(["lung"], ["lung", "lung"])
    with pytest.raises(NotEnoughDataError, match="known type"):
        measure_noise(["", ""], ["lung", "lung"])


def test_curve_admits_the_surest_first_and_equal_ones_together() -> None:
    labels = PseudoLabels(np.array(["lung", "lung", "lung", "lung"]), np.array([0.5, 0.9, 0.7, 0.7]))
    curve = coverage_curve(["liver", "lung", "lung", "liver"], labels)
    assert curve.thresholds.tolist() == [0.9, 0.7, 0.5]
    assert curve.coverage.tolist() == [1 / 4, 3 / 4, 1]
    assert curve.precision.tolist() == [1, 2 / 3, 2 / 4]
    assert curve.precision_at(0.5) == 2 / 3
    assert curve.precision_at(1.0) == 1 / 2


def test_curve_against_a_loop_over_thresholds() -> None:
    rng = np.random.default_rng(0)
    truth, types, confidence = rng.choice(TYPES, 200), rng.choice(TYPES, 200), rng.random(200).round(1)
    curve = coverage_curve(truth, PseudoLabels(types, confidence))
    assert curve.thresholds.tolist() == sorted(set(confidence.tolist()), reverse=True)
    for i, threshold in enumerate(curve.thresholds):
        noise = measure_noise(truth, np.where(confidence >= threshold, types, ""), TYPES)
        assert curve.precision[i] == pytest.approx(noise.precision)
        assert curve.coverage[i] == pytest.approx(noise.coverage)


def test_curve_refuses_abstentions() -> None:
    with pytest.raises(ValueError, match="1 abstain"):
        coverage_curve(["lung"], PseudoLabels(np.array([""]), np.array([0.2])))


def test_what_became_of_each_label() -> None:
    before = ["lung", "liver", "", "liver", "lung", "lung"]
    after = ["lung", "lung", "lung", "bone", "bone", ""]
    effect = measure_refinement(TRUTH, before, after, TYPES)
    # right→right; wrong→right; none→right; right→wrong; wrong→other wrong; wrong→none
    assert effect.fates.tolist() == [[1, 1, 0], [1, 1, 1], [1, 0, 0]]
    assert (effect.mended, effect.spoilt, effect.changed) == (1, 1, 5)
    assert effect.before.precision == 2 / 5
    assert effect.after.precision == 3 / 5
