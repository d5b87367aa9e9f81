import numpy as np
import pytest

from lesiongraph.cues import TypeClassifier, count_seeds
from lesiongraph.errors import NotEnoughDataError


def blobs(rng: np.random.Generator, n: int, types: list[str]) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(n) % len(types)
    features = rng.normal(size=(n, 4))
    features[:, 0] += 8 * labels
    return features, np.array(types)[labels]


@pytest.mark.parametrize("types", [["bone", "lung"], ["bone", "lung", "liver", "soft tissue"]])
def test_spreads_types_from_seeds(types: list[str]) -> None:
    rng = np.random.default_rng(0)
    classifier = TypeClassifier().fit(*blobs(rng, 80, types))
    features, truth = blobs(rng, 200, types)
    found = classifier.predict(features)
    assert (found.types == truth).mean() > 0.9
    assert found.confidence.min() >= 1 / len(types)
    assert found.confidence.max() <= 1
    assert classifier.types == tuple(sorted(types))


def test_confidence_falls_at_the_border() -> None:
    rng = np.random.default_rng(1)
    classifier = TypeClassifier().fit(*blobs(rng, 100, ["bone", "lung"]))
    inside, border = classifier.predict([[0.0, 0, 0, 0], [4.0, 0, 0, 0]]).confidence
    assert inside > border


def test_penalty_is_searched_by_patient() -> None:
    rng = np.random.default_rng(2)
    features, types = blobs(rng, 60, ["bone", "lung"])
    classifier = TypeClassifier(penalty=3.0).fit(features, types, patients=np.arange(60) // 4)
    assert classifier.penalty in (1.0, 10.0, 100.0)
    with pytest.raises(NotEnoughDataError, match="3 patients"):
        TypeClassifier().fit(features, types, patients=np.zeros(60))


def test_too_few_types_or_untyped_seeds() -> None:
    with pytest.raises(NotEnoughDataError, match="two types"):
        TypeClassifier().fit(np.ones((3, 2)), ["bone"] * 3)
    with pytest.raises(NotEnoughDataError, match="1 untyped"):
        TypeClassifier().fit(np.ones((3, 2)), ["bone", "lung", ""])
    with pytest.raises(RuntimeError, match="fit"):
        TypeClassifier().predict(np.ones((1, 2)))


def test_nothing_to_predict() -> None:
    rng = np.random.default_rng(3)
    assert len(TypeClassifier().fit(*blobs(rng, 20, ["bone", "lung"])).predict(np.empty((0, 4))).types) == 0


def test_balancing_finds_more_of_a_rare_type() -> None:
    rng = np.random.default_rng(4)

    def lesions(common: int, rare: int) -> tuple[np.ndarray, np.ndarray]:
        features = rng.normal(size=(common + rare, 2))
        features[common:, 0] += 1.5
        return features, np.array(["lung"] * common + ["bone"] * rare)

    seeds, (features, truth) = lesions(190, 10), lesions(500, 500)
    plain, balanced = (
        TypeClassifier(balanced=flag).fit(*seeds).predict(features).types == truth for flag in (False, True)
    )
    assert balanced[500:].mean() > plain[500:].mean() + 0.3
    assert balanced[:500].mean() < plain[:500].mean()


def test_types_without_seeds_are_counted() -> None:
    counts = count_seeds(["lung", "lung", "", "brain", "bone"])
    assert len(counts) == 9
    assert counts == dict.fromkeys(counts, 0) | {"lung": 2, "bone": 1, "brain": 1}
    assert counts["pelvis"] == 0
