import dataclasses
import json

import numpy as np
import pytest

from lesiongraph.errors import NotEnoughDataError
from lesiongraph.evaluation import TABLE1_FIGURES, evaluate_features, purity, score_features

KEYS = ["type_are", "location_are", "size_are", "purity", "nmi", "accuracy", "n", "k"]


def rows(n: int = 80) -> dict[str, object]:
    rng = np.random.default_rng(0)
    types = np.array(["lung", "bone", "liver", "kidney"])[np.arange(n) % 4]
    features = np.eye(4)[np.arange(n) % 4] * 5 + rng.normal(size=(n, 4))
    return {
        "features": features,
        "types": types,
        "locations": rng.random((n, 3)),
        "sizes": rng.random((n, 2)) * 50,
        "patients": np.arange(n) // 3,
    }


def test_all_six_figures_in_percent() -> None:
    data = rows()
    row = evaluate_features(**data, seed_features=data["features"], seed_types=data["types"])
    assert list(row.to_dict()) == KEYS
    assert (row.n, row.k) == (80, 5)
    assert row.type_are is not None
    assert row.type_are < 5
    assert row.accuracy == 100
    assert all(0 <= value <= 200 for value in row.to_dict().values())


def test_what_cannot_be_computed_is_null() -> None:
    data = rows(6) | {"locations": None, "sizes": None}
    row = evaluate_features(**data)
    found = json.loads(json.dumps(row.to_dict()))
    assert [key for key in KEYS if found[key] is None] == [
        "location_are",
        "size_are",
        "purity",
        "nmi",
        "accuracy",
    ]
    alone = evaluate_features(**(rows(1)))
    assert alone.type_are is None
    assert alone.n == 1


def test_other_patients_leaves_same_patient_hits_out() -> None:
    data = rows() | {"patients": np.arange(80) % 4}  # a patient has one type only
    assert evaluate_features(**data, other_patients=True).type_are == 100
    with pytest.raises(ValueError, match="other_patients"):
        evaluate_features(**(data | {"patients": None}), other_patients=True)


def test_repeatable_with_a_seed() -> None:
    assert evaluate_features(**rows(), rng_seed=3) == evaluate_features(**rows(), rng_seed=3)


def test_nothing_is_dropped_silently() -> None:
    data = rows()
    untyped = data["types"].copy()
    untyped[:7] = ""
    with pytest.raises(NotEnoughDataError, match="7 of 80"):
        evaluate_features(**(data | {"types": untyped}))
    unlocated = data["locations"].copy()
    unlocated[2, 2] = np.nan
    with pytest.raises(NotEnoughDataError, match="1 of 80"):
        evaluate_features(**(data | {"locations": unlocated}))
    with pytest.raises(NotEnoughDataError, match="at least one"):
        evaluate_features(np.empty((0, 3)), [], None, None, None)
    with pytest.raises(ValueError, match="types"):
        evaluate_features(np.ones((3, 2)), ["lung"], None, None, None)


def test_figures_of_a_resample_by_hand():
    data = rows()
    scored = score_features(**data, seed_features=data["features"], seed_types=data["types"])
    chosen = np.array([0, 0, 3, 5, 5, 5])
    assert scored.figure("type_are", chosen) == pytest.approx(
        100 * np.mean([scored.errors.type[i] for i in chosen])
    )
    assert scored.figure("purity", chosen) == 100 * purity(scored.types[chosen], scored.clusters[chosen])
    right = [scored.predicted[i] == scored.types[i] for i in chosen]
    assert scored.figure("accuracy", chosen) == pytest.approx(100 * np.mean(right))
    everyone = np.arange(len(scored.types))
    assert all(
        scored.figure(n) == scored.figure(n, everyone) == getattr(scored.row(), n) for n in TABLE1_FIGURES
    )


def test_a_lesion_that_was_not_classified_does_not_count():
    data = rows()
    scored = score_features(**data, seed_features=data["features"], seed_types=data["types"])
    predicted = np.where(np.arange(len(scored.types)) < 4, "", "nothing")
    half = dataclasses.replace(scored, predicted=predicted)
    assert half.figure("accuracy") == 0
    assert half.figure("accuracy", np.array([0, 1])) is None
