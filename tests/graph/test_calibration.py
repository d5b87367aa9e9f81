import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesiongraph.errors import NotEnoughDataError
from lesiongraph.graph import (
    brier_score,
    choose_limit,
    cross_fitted_probabilities,
    expected_calibration_error,
    fit_calibration,
    patient_folds,
)


def pairs(seed: int, count: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    costs = rng.random(count) * 6
    return costs, rng.random(count) < 1 / (1 + np.exp(2 * (costs - 3))), rng.integers(0, 30, count)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 3))
def test_limit_has_the_best_f1_of_a_loop_over_all_limits(seed, missed) -> None:
    rng = np.random.default_rng(seed)
    costs, same = rng.integers(0, 8, 30) / 4, rng.random(30) < 0.4
    same[0] = True
    chosen = choose_limit(costs, same, missed=missed)
    scores = [
        2 * (same & (costs <= x)).sum() / ((costs <= x).sum() + same.sum() + missed) for x in np.unique(costs)
    ]
    taken = costs <= chosen.limit
    assert chosen.f1 == pytest.approx(max(scores))
    assert chosen.precision == pytest.approx(same[taken].mean())
    assert chosen.recall == pytest.approx(same[taken].sum() / (same.sum() + missed))


def test_wanted_precision_takes_as_many_as_it_allows() -> None:
    costs, same = [1, 2, 3, 4, 5, 6], [True, True, False, True, False, False]
    assert choose_limit(costs, same, wanted_precision=1.0).limit == 2.5
    assert choose_limit(costs, same, wanted_precision=0.75).limit == 4.5
    with pytest.raises(NotEnoughDataError, match=r"0\.500 at best"):
        choose_limit([1, 2], [False, True], wanted_precision=0.9)
    with pytest.raises(NotEnoughDataError, match="true pair"):
        choose_limit([1.0], [False])


@pytest.mark.parametrize("method", ["isotonic", "platt"])
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_probability_never_rises_with_the_cost(method, seed) -> None:
    costs, same, _ = pairs(seed, 120)
    found = fit_calibration(costs, same, method=method).probability(np.linspace(-1, 9, 200))
    assert (np.diff(found) <= 1e-12).all()
    assert ((found >= 0) & (found <= 1)).all()


@pytest.mark.parametrize("method", ["isotonic", "platt"])
def test_cross_fitted_probabilities_are_calibrated_and_better_than_the_share_alone(method) -> None:
    costs, same, patients = pairs(0, 6000)
    stated = cross_fitted_probabilities(costs, same, patients, rng=np.random.default_rng(0), method=method)
    assert expected_calibration_error(stated, same) < 0.04
    assert brier_score(stated, same) < 0.6 * same.mean() * (1 - same.mean())


def test_a_patient_s_own_truth_does_not_reach_its_probability() -> None:
    costs, same, patients = pairs(1)
    own = patients == 4
    changed = np.where(own, ~same, same)
    first, second = (
        cross_fitted_probabilities(costs, truth, patients, rng=np.random.default_rng(0))
        for truth in (same, changed)
    )
    assert first[own].tolist() == second[own].tolist()
    assert first[~own].tolist() != second[~own].tolist()


def test_folds_part_patients() -> None:
    patients = np.random.default_rng(0).integers(0, 12, 90)
    folds = patient_folds(patients, 5, np.random.default_rng(0))
    assert (np.sum(folds, axis=0) == 1).all()
    assert all(not set(patients[fold]) & set(patients[~fold]) for fold in folds)
    with pytest.raises(NotEnoughDataError, match="found 2"):
        patient_folds([1, 2], 5, np.random.default_rng(0))


def test_scores_by_hand() -> None:
    assert brier_score([0.9, 0.2], [True, False]) == pytest.approx((0.01 + 0.04) / 2)
    # Bin of 0.9: |0.9 + 0.9 − 1|; bin of 0.2: 0.2
    assert expected_calibration_error([0.9, 0.9, 0.2], [True, False, False]) == pytest.approx(1.0 / 3)


def test_wrong_use() -> None:
    with pytest.raises(NotEnoughDataError, match="one kind only"):
        fit_calibration([1.0, 2.0], [True, True])
    with pytest.raises(ValueError, match="cheaper"):
        fit_calibration([1.0, 2.0, 3.0, 4.0], [False, False, True, True], method="platt")
    with pytest.raises(ValueError, match="'guess'"):
        fit_calibration([1.0, 2.0], [True, False], method="guess")
    with pytest.raises(ValueError, match=r"\(2,\) and \(1,\)"):
        choose_limit([1.0, 2.0], [True])
    with pytest.raises(ValueError, match="finite"):
        choose_limit([np.nan], [True])
