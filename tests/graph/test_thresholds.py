import numpy as np
import pytest

from lesiongraph.graph import between_patients_threshold, thresholds


def slow(vectors: np.ndarray, patients: np.ndarray) -> float:
    nearest = [
        min(float(np.linalg.norm(a - b)) for b, q in zip(vectors, patients, strict=True) if q != p)
        for a, p in zip(vectors, patients, strict=True)
    ]
    return float(np.median(nearest))


def test_equals_a_loop_over_all_pairs_of_patients() -> None:
    rng = np.random.default_rng(0)
    vectors, patients = rng.normal(size=(60, 8)), rng.integers(0, 9, 60)
    assert between_patients_threshold(vectors, patients) == pytest.approx(slow(vectors, patients), rel=1e-6)


def test_a_large_archive_is_sampled_to_nearly_the_same_value(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    vectors, patients = rng.normal(size=(600, 8)), rng.integers(0, 90, 600)
    monkeypatch.setattr(thresholds, "MOST_QUERIES", 200)
    assert between_patients_threshold(vectors, patients) == pytest.approx(slow(vectors, patients), rel=0.1)


def test_one_patient_gives_none() -> None:
    assert between_patients_threshold(np.eye(3), ["a"] * 3) is None
