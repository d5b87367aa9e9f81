import time

import numpy as np
import pytest

from lesiongraph.errors import NotEnoughDataError
from lesiongraph.evaluation import classification_accuracy, fit_head, fit_type_calibration, type_scores
from lesiongraph.graph import expected_calibration_error

TYPES = np.array(["bone", "liver", "lung"])


def overlapping(count: int, seed: int, width: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Types that cannot be told apart for sure."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 3, count)
    features = rng.normal(size=(count, width)) + 1.2 * np.eye(3, width)[kinds]
    return features, TYPES[kinds], rng.integers(0, 12, count)


@pytest.mark.parametrize("head", ["softmax", "linear-svm", "rbf-svm"])
@pytest.mark.parametrize("method", [None, "platt", "isotonic"])
def test_probabilities_are_calibrated_on_lesions_never_seen(head, method) -> None:
    features, types, patients = overlapping(240, 0)
    unseen, truth, _ = overlapping(3000, 1)
    fitted = fit_head(features, types, patients, head=head, method=method)
    stated = fitted.probabilities(unseen)
    np.testing.assert_allclose(stated.sum(axis=1), 1)
    scores = type_scores(stated, fitted.types.tolist(), truth)
    assert scores.accuracy > 0.5
    assert scores.ece < 0.08
    plain = type_scores(fit_head(features, types, head=head).probabilities(unseen), fitted.types, truth)
    if head != "softmax":  # an SVM's decision values are no logits
        assert scores.ece < plain.ece


def test_the_softmax_head_is_table_1_s_classifier() -> None:
    features, types, patients = overlapping(120, 2)
    unseen, truth, _ = overlapping(300, 3)
    fitted = fit_head(features, types, patients)
    predicted = fitted.types[fitted.probabilities(unseen).argmax(axis=1)]
    assert (predicted == truth).mean() == classification_accuracy(features, types, unseen, truth)


def test_the_temperature_is_the_best_of_many() -> None:
    rng = np.random.default_rng(4)
    scores, truth = rng.normal(size=(200, 3)) * 8, rng.integers(0, 3, 200)
    scores[np.arange(200), truth] += 6
    fitted = fit_type_calibration(scores, TYPES[truth], TYPES)

    def loss(temperature: float) -> float:
        total = 0.0
        for row, own in zip(scores / temperature, truth, strict=True):
            total -= row[own] - np.log(sum(np.exp(value) for value in row))
        return total / len(truth)

    tried = np.geomspace(0.5, 50, 400)
    assert loss(fitted.temperature) <= min(map(loss, tried)) + 1e-6
    assert fitted.temperature > 1


def test_nothing_of_a_seed_s_own_patient_enters_its_calibration() -> None:
    """Doubled lesions: a calibration by lesion would find the classifier nearly always right."""
    rng = np.random.default_rng(5)
    features, types, patients = overlapping(90, 5, width=60)
    features, types, patients = (np.repeat(values, 4, axis=0) for values in (features, types, patients))
    features = features + rng.normal(scale=0.01, size=features.shape)
    unseen, truth, _ = overlapping(2000, 6, width=60)
    errors = {}
    for name, owners in (("patient", patients), ("lesion", np.arange(len(types)))):
        stated = fit_head(features, types, owners).probabilities(unseen)
        right = TYPES[stated.argmax(axis=1)] == truth
        errors[name] = expected_calibration_error(stated.max(axis=1), right)
    assert 2 * errors["patient"] < errors["lesion"]


def test_a_type_of_one_patient_alone_and_two_types() -> None:
    features, types, patients = overlapping(60, 7)
    patients[types == "bone"] = 99  # never learned when it is held out
    assert fit_head(features, types, patients).probabilities(features).shape == (60, 3)
    two = types != "bone"
    fitted = fit_head(features[two], types[two], patients[two])
    stated = fitted.probabilities(features[two])
    assert fitted.types.tolist() == ["liver", "lung"]
    model = fitted.model.predict(features[two])
    assert (fitted.types[stated.argmax(axis=1)] == model).all()


def test_what_cannot_be_fitted_is_said() -> None:
    features, types, patients = overlapping(20, 8)
    with pytest.raises(NotEnoughDataError, match="seeds of two types"):
        fit_head(features, ["lung"] * 20, patients)
    with pytest.raises(NotEnoughDataError, match="patients"):
        fit_head(features, types, ["one"] * 20)
    with pytest.raises(ValueError, match="expected features"):
        fit_head(features, types[:5], patients)
    with pytest.raises(ValueError, match="head"):
        fit_head(features, types, patients, head="forest")
    with pytest.raises(ValueError, match="method"):
        fit_type_calibration(np.zeros((1, 3)), ["lung"], TYPES, method="vote")
    with pytest.raises(ValueError, match="heart"):
        fit_type_calibration(np.zeros((1, 3)), ["heart"], TYPES)


@pytest.mark.slow
def test_the_paper_s_size_in_seconds() -> None:
    features, types, patients = overlapping(1300, 9, width=1024)
    unseen, truth, _ = overlapping(4927, 10, width=1024)
    start = time.perf_counter()
    fitted = fit_head(features, types, patients, head="rbf-svm")
    type_scores(fitted.probabilities(unseen), fitted.types.tolist(), truth)
    assert time.perf_counter() - start < 120
