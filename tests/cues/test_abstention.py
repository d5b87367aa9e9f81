from typing import ClassVar

import numpy as np
import pytest

from lesiongraph.cues import AbstainingLabeller, PseudoLabels, SequenceSampler, TypeClassifier, label_left_out
from lesiongraph.errors import NotEnoughDataError


class Oracle:
    """Feature column 0 is the type's number to give, column 1 the confidence; remembers its patients."""

    names = np.array(["bone", "lung"])
    seen: ClassVar[list[set[float]]] = []

    def fit(self, features, types):
        Oracle.seen.append(set(np.asarray(features)[:, 2].tolist()))
        return self

    def predict(self, features):
        matrix = np.asarray(features)
        return PseudoLabels(self.names[matrix[:, 0].astype(int)], matrix[:, 1])


def seeds(n: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels whose chance to be right is their confidence."""
    rng = np.random.default_rng(0)
    truth, confidence = rng.integers(0, 2, n), rng.random(n)
    given = np.where(rng.random(n) < confidence, truth, 1 - truth)
    patients = np.arange(n) // 4
    return np.stack([given, confidence, patients], axis=1), Oracle.names[truth], patients


def wilson(share: float, n: int) -> float:
    """The p below `share` that lies one standard error sqrt(p (1 − p) / n) from it, by bisection."""
    low, high = 0.0, share
    for _ in range(60):
        p = (low + high) / 2
        low, high = (p, high) if share - p > np.sqrt(p * (1 - p) / n) else (low, p)
    return low


def test_no_seed_is_labelled_by_a_labeller_that_saw_its_patient() -> None:
    features, types, patients = seeds()
    Oracle.seen.clear()
    labels = label_left_out(Oracle, features, types, patients)
    assert (labels.types == Oracle.names[features[:, 0].astype(int)]).all()
    assert len(Oracle.seen) == 5
    left_out = [set(patients.tolist()) - seen for seen in Oracle.seen]
    assert set().union(*left_out) == set(patients.tolist())
    assert sum(map(len, left_out)) == len(set(patients.tolist()))


def test_the_threshold_is_the_lowest_that_reaches_the_wanted_precision() -> None:
    features, types, patients = seeds()
    labeller = AbstainingLabeller(Oracle, 0.8).fit(features, types, patients=patients)
    every = labeller.predict_all(features)
    right = every.types == types
    precision = {t: right[every.confidence >= t].mean() for t in every.confidence}
    safe = {t: wilson(share, int((every.confidence >= t).sum())) for t, share in precision.items()}
    assert labeller.threshold == pytest.approx(min(t for t, bound in safe.items() if bound >= 0.8))
    assert labeller.seed_precision == pytest.approx(precision[labeller.threshold])
    given = labeller.predict(features).types != ""
    assert labeller.seed_coverage == pytest.approx(given.mean())
    assert 0.2 < given.mean() < 0.9


def test_confidence_becomes_a_probability() -> None:
    features, types, patients = seeds(2000)
    labeller = AbstainingLabeller(Oracle, 0.6).fit(features, types, patients=patients)
    labels = labeller.predict_all(features)
    right = labels.types == types
    for low in (0.1, 0.3, 0.5, 0.7):
        bin_ = (labels.confidence >= low) & (labels.confidence < low + 0.2)
        assert right[bin_].mean() == pytest.approx(labels.confidence[bin_].mean(), abs=0.06)


def test_a_misleading_confidence_does_not_turn_the_order_round() -> None:
    features, types, patients = seeds()
    features[:, 1] = 1 - features[:, 1]
    labeller = AbstainingLabeller(Oracle, 0.3).fit(features, types, patients=patients)
    confidence = labeller.predict_all(features).confidence
    assert np.ptp(confidence) == 0
    assert confidence[0] == pytest.approx((Oracle.names[features[:, 0].astype(int)] == types).mean())


def test_labels_that_are_all_right_are_still_not_certain() -> None:
    features, types, patients = seeds(8)
    features[:, 0] = (types == "lung").astype(float)
    labeller = AbstainingLabeller(Oracle, 0.85).fit(features, types, patients=patients)
    assert labeller.predict_all(features).confidence == pytest.approx(np.full(8, 9 / 10))
    assert labeller.seed_coverage == 1
    with pytest.raises(NotEnoughDataError, match="89%"):  # eight of eight are no proof of nine in ten
        AbstainingLabeller(Oracle, 0.9).fit(features, types, patients=patients)


def test_a_type_that_is_always_abstained_is_named() -> None:
    features, types, patients = seeds()
    labeller = AbstainingLabeller(Oracle, 0.8).fit(features, types, patients=patients)
    labels = labeller.predict([[1, 0.99, 0], [0, 0.01, 0]])
    assert labels.types.tolist() == ["lung", ""]
    assert labeller.silent_types == ("bone",)


def test_what_cannot_be() -> None:
    features, types, patients = seeds()
    features[:, 0] = (types != "lung").astype(float)  # always wrong
    with pytest.raises(NotEnoughDataError, match="Want a lower precision"):
        AbstainingLabeller(Oracle, 0.9).fit(features, types, patients=patients)
    with pytest.raises(NotEnoughDataError, match="two patients"):
        AbstainingLabeller(Oracle, 0.9).fit(features, types, patients=np.zeros(len(types)))
    with pytest.raises(ValueError, match="patients"):
        AbstainingLabeller(Oracle, 0.9).fit(features, types, patients=[0, 1])
    with pytest.raises(ValueError, match="wanted_precision"):
        AbstainingLabeller(Oracle, 1.5)
    with pytest.raises(RuntimeError, match="fit"):
        AbstainingLabeller(Oracle, 0.9).predict(features)


def test_with_the_svm_abstention_raises_precision_at_the_border() -> None:
    rng = np.random.default_rng(1)
    types = np.array(["bone", "lung"])[np.arange(300) % 2]
    features = rng.normal(size=(300, 3))
    features[:, 0] += 1.5 * (types == "lung")
    patients = np.arange(300) // 3
    labeller = AbstainingLabeller(TypeClassifier, 0.85).fit(
        features[:150], types[:150], patients=patients[:150]
    )
    labels, truth = labeller.predict(features[150:]).types, types[150:]
    given = labels != ""
    every = labeller.predict_all(features[150:]).types
    assert 0.2 < given.mean() < 1
    assert (labels == truth)[given].mean() > (every == truth).mean() + 0.03


def test_abstained_lesions_take_no_part_where_the_type_is_a_cue_and_take_part_where_it_is_not() -> None:
    rng = np.random.default_rng(2)
    types = np.array(["bone", "lung"])[np.arange(60) % 2]
    types[:6] = ""
    locations, sizes = rng.random((60, 3)), rng.random((60, 2))
    sampler = SequenceSampler(types, locations, sizes, 0.5, 0.6)
    assert sampler.counts["left_out"] == 6
    drawn = sampler.sample(200, rng)
    assert not np.isin(drawn, np.arange(6)).any()  # not even as E: an unknown type is not another type
    without_type = SequenceSampler(types, locations, sizes, 0.5, 0.6, cues=("location", "size"))
    assert without_type.counts["left_out"] == 0
    assert np.isin(without_type.sample(400, rng), np.arange(6)).any()
