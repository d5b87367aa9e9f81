import numpy as np
import pytest

from lesiongraph.graph import match_lesions, match_patients


def lesions(seed: int = 0, n: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)), rng.choice(["a", "b", "c"], n), rng.integers(0, 4, n)


def test_patients_are_matched_apart() -> None:
    embeddings, patients, studies = lesions()
    result = match_patients(embeddings, patients, studies, 0.2, 0.8)
    for group in np.unique(result.groups):
        assert len(set(patients[result.groups == group])) == 1
    for patient in "abc":
        own = np.flatnonzero(patients == patient)
        alone = match_lesions(embeddings[own], studies[own], 0.2, 0.8)
        assert len(np.unique(result.groups[own])) == len(np.unique(alone.groups))
        assert {(int(own[i]), int(own[j]), d) for i, j, d in alone.edges} <= set(result.edges)
        assert result.nearest[own] == pytest.approx(alone.nearest, nan_ok=True)
        assert {tuple(own[list(m)].tolist()) for m in alone.merged} <= set(result.merged)
    assert result.groups[0] == 0
    assert (np.diff(np.unique(result.groups)) == 1).all()


def test_edges_name_lesions_at_their_own_distance_when_nothing_merged() -> None:
    embeddings, _, studies = lesions(1)
    result = match_lesions(embeddings, studies, 0.0, 1.0)
    assert len(result.edges) > 10
    for i, j, distance in result.edges:
        assert distance == pytest.approx(np.linalg.norm(embeddings[i] - embeddings[j]))


@pytest.mark.parametrize("count", [0, 1])
def test_no_and_one_lesion(count: int) -> None:
    result = match_lesions(np.ones((count, 4)), ["s"] * count, 0.1, 0.2)
    assert result.groups.tolist() == [0] * count
    assert result.edges == []
    assert result.members == [(0,)] * count
    assert np.isnan(result.nearest).all()
    assert match_patients(np.ones((count, 4)), ["p"] * count, ["s"] * count, 0.1, 0.2).edges == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"t2": 0.05}, "t1 <= t2"),
        ({"studies": [1]}, r"\(2, 1\) and \(1,\)"),
        ({"embeddings": [[0.0], [np.nan]]}, "finite"),
        ({"ties": "highest"}, "highest"),
    ],
)
def test_wrong_use(change: dict, message: str) -> None:
    call = {"embeddings": [[0.0], [1.0]], "studies": [1, 2], "t1": 0.1, "t2": 0.2} | change
    with pytest.raises(ValueError, match=message):
        match_lesions(**call)
