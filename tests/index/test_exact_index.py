import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesiongraph.index import ExactIndex, LesionIndex, exact, other_patients


def slow_search(vectors, query, k, allowed) -> tuple[list[float], list[int]]:
    ranked = sorted(
        (float(np.linalg.norm(vectors[i].astype(float) - query)), i)
        for i in range(len(vectors))
        if allowed[i]
    )[:k]
    padding = k - len(ranked)
    return [d for d, _ in ranked] + [np.inf] * padding, [i for _, i in ranked] + [-1] * padding


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 6), st.integers(1, 12),
    st.sampled_from([1.0, 1e-4, 1e4]),
)  # fmt: skip
def test_equals_a_plain_loop_with_ties(seed, n, width, k, scale) -> None:
    rng = np.random.default_rng(seed)
    vectors = (rng.integers(-2, 3, (n, width)) * np.float32(scale)).astype(np.float32)  # many ties
    queries = (rng.integers(-2, 3, (5, width)) * np.float32(scale)).astype(np.float32)
    allowed = rng.random((5, n)) < 0.7
    distances, rows = ExactIndex(vectors).search(queries, k, allowed=allowed)
    for i in range(5):
        wanted_distances, wanted_rows = slow_search(vectors, queries[i].astype(float), k, allowed[i])
        assert rows[i].tolist() == wanted_rows
        assert distances[i] == pytest.approx(np.array(wanted_distances), rel=1e-12)


def test_near_duplicates_far_from_the_origin_are_ranked_rightly() -> None:
    """The float32 product alone would lose these differences."""
    base = np.full((50, 64), 100.0, dtype=np.float32)
    base[:, 0] += np.arange(50)[::-1] * np.float32(1e-3)
    distances, rows = ExactIndex(base).search(base[49], 5)
    assert rows[0].tolist() == [49, 48, 47, 46, 45]
    assert distances[0, 0] == 0


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(200, 16))
    patients = rng.integers(0, 30, 200)
    whole = ExactIndex(vectors).search(vectors, 7, allowed=other_patients(patients))
    monkeypatch.setattr(exact, "_BLOCK_ELEMENTS", 200 * 3)
    blocks = ExactIndex(vectors).search(vectors, 7, allowed=other_patients(patients))
    assert (whole[1] == blocks[1]).all()
    assert (whole[0] == blocks[0]).all()
    assert (patients[whole[1]] != patients[:, None]).all()


def test_filters_and_exclusion() -> None:
    vectors = np.arange(6.0)[:, None]
    index: LesionIndex = ExactIndex(vectors)
    allowed = np.array([True, True, False, True, True, True])
    distances, rows = index.search(vectors[[1, 4]], 2, allowed=allowed, exclude=[1, -1])
    assert rows.tolist() == [[0, 3], [4, 3]]
    assert distances.tolist() == [[1.0, 2.0], [0.0, 1.0]]
    assert (len(index), index.width) == (6, 1)


def test_fewer_allowed_than_k_is_padded() -> None:
    index = ExactIndex(np.eye(3))
    distances, rows = index.search(np.eye(3)[:1], 5, exclude=[0])
    assert rows.tolist() == [[1, 2, -1, -1, -1]]
    assert np.isinf(distances[0, 2:]).all()
    assert index.search(np.eye(3)[:1], 2, allowed=np.zeros(3, bool))[1].tolist() == [[-1, -1]]
    assert ExactIndex(np.empty((0, 3))).search(np.eye(3)[:1], 2)[1].tolist() == [[-1, -1]]


def test_other_patients_of_queries_from_outside() -> None:
    allowed = other_patients(["a", "b", "a"], ["a", "c"])
    assert callable(allowed)
    assert allowed(np.array([0, 1])).tolist() == [[False, True, False], [True, True, True]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ExactIndex([[1.0, np.nan]]), "1 of 1 rows"),
        (lambda: ExactIndex([1.0, 2.0]), r"\(N, D\)"),
        (lambda: ExactIndex(np.eye(3)).search(np.eye(2), 1), "width 3, got 2"),
        (lambda: ExactIndex(np.eye(3)).search(np.eye(3), 0), "at least 1"),
        (lambda: ExactIndex(np.eye(3)).search(np.eye(3), 1, exclude=[0]), "exclude"),
        (lambda: ExactIndex(np.eye(3)).search(np.eye(3), 1, allowed=np.ones(2, bool)), "allowed"),
    ],
)
def test_wrong_use(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
