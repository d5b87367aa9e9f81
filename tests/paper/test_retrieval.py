"""Eq. 4 and 1 − precision (Sec. 6.2) against a slow loop, and on countable cases."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesiongraph.cues import location_vectors
from lesiongraph.evaluation import (
    average_retrieval_error,
    evaluate_features,
    retrieval_errors,
    retrieve,
    type_retrieval_error,
)


def slow_hits(features, k, patients) -> list[list[int]]:
    hits = []
    for q in range(len(features)):
        gallery = [
            i for i in range(len(features)) if i != q and (patients is None or patients[i] != patients[q])
        ]
        hits.append(sorted(gallery, key=lambda i: (math.dist(features[q], features[i]), i))[:k])
    return hits


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 20), st.integers(1, 6), st.booleans())
def test_equation_4_and_precision_against_a_loop(seed, n, k, other_patients) -> None:
    rng = np.random.default_rng(seed)
    features = rng.integers(0, 4, (n, 3)).astype(float)
    types, patients = rng.choice(["lung", "bone"], n), rng.integers(0, 4, n)
    vectors = rng.random((n, 3))
    hits = slow_hits(features.tolist(), k, patients if other_patients else None)
    are = [
        sum(math.dist(vectors[q], vectors[i]) for i in found) / len(found) if found else math.nan
        for q, found in enumerate(hits)
    ]
    precision = [
        sum(types[q] == types[i] for i in found) / len(found) if found else math.nan
        for q, found in enumerate(hits)
    ]
    rows = retrieve(features, k, patients if other_patients else None)
    assert [[i for i in row if i >= 0] for row in rows.tolist()] == hits
    assert average_retrieval_error(rows, vectors) == pytest.approx(are, nan_ok=True)
    assert type_retrieval_error(rows, types) == pytest.approx([1 - p for p in precision], nan_ok=True)


def test_a_perfect_ranking_has_error_0() -> None:
    types = np.repeat(["lung", "bone", "liver"], 6)
    locations = np.repeat([[0.2, 0.3, 0.4], [0.5, 1.0, 0.6], [1.0, 0.1, 1.0]], 6, axis=0)
    row = evaluate_features(locations, types, locations, locations[:, :2] * 10, None, clusters=3)
    assert (row.type_are, row.location_are, row.size_are) == (0.0, 0.0, 0.0)
    assert row.purity == pytest.approx(100)
    assert row.nmi == pytest.approx(100)


def test_countable_case() -> None:
    """Three lesions on a line, k = 2: each retrieves the two others."""
    locations = [[0.5, 0.0, 0.0], [1.0, 0.0, 0.0], [2.0, 0.0, 0.0]]  # scaled: 1/4, 1/2, 1
    hits = retrieve(location_vectors(locations), 2)
    errors = retrieval_errors(hits, ["lung", "lung", "bone"], location_vectors(locations))
    assert errors.type is not None
    assert errors.location is not None
    assert errors.type.tolist() == [1 / 2, 1 / 2, 1]
    assert errors.location.tolist() == [(1 / 4 + 3 / 4) / 2, (1 / 4 + 1 / 2) / 2, (3 / 4 + 1 / 2) / 2]
    assert errors.size is None
    assert errors.retrieved.tolist() == [2, 2, 2]


def test_fewer_hits_than_k_are_averaged_over_those_there_are() -> None:
    hits = retrieve([[0.0], [1.0], [2.0]], 5, patients=["a", "a", "b"])
    assert hits.tolist() == [[2, -1, -1, -1, -1], [2, -1, -1, -1, -1], [1, 0, -1, -1, -1]]
    assert type_retrieval_error(hits, ["lung", "bone", "bone"]).tolist() == [1, 0, 1 / 2]
