"""Purity and NMI as Manning et al. define them (Sec. 16.3), on their own worked example."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import normalized_mutual_info_score

from lesiongraph.evaluation import cluster_scores, normalised_mutual_information, purity

# Fig. 16.4 of the book: three clusters of crosses, circles and diamonds.
TYPES = list("xxxxxo") + list("xoooo" + "d") + list("xxddd")
CLUSTERS = [0] * 6 + [1] * 6 + [2] * 5


def test_purity_of_the_book() -> None:
    assert purity(TYPES, CLUSTERS) == (5 + 4 + 3) / 17


def slow_nmi(types, clusters) -> float:
    n = len(types)

    def share(condition) -> float:
        return sum(condition(t, c) for t, c in zip(types, clusters, strict=True)) / n

    information = 0.0
    for c in set(types):
        for w in set(clusters):
            both = share(lambda t, k, c=c, w=w: t == c and k == w)
            if both:
                of_type = share(lambda t, _, c=c: t == c)
                of_cluster = share(lambda _, k, w=w: k == w)
                information += both * math.log(both / (of_type * of_cluster))

    def entropy(labels) -> float:
        return -sum(labels.count(x) / n * math.log(labels.count(x) / n) for x in set(labels))

    return information / ((entropy(types) + entropy(clusters)) / 2)


def test_nmi_of_the_book() -> None:
    assert normalised_mutual_information(TYPES, CLUSTERS) == pytest.approx(slow_nmi(TYPES, CLUSTERS))
    assert normalised_mutual_information(TYPES, CLUSTERS) == pytest.approx(0.36, abs=0.005)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
def test_nmi_is_scikit_learns_arithmetic_one(pairs) -> None:
    types, clusters = zip(*pairs, strict=True)
    wanted = normalized_mutual_info_score(types, clusters, average_method="arithmetic")
    assert normalised_mutual_information(types, clusters) == pytest.approx(wanted, abs=1e-9)


def test_renaming_clusters_changes_nothing_and_one_cluster_says_nothing() -> None:
    renamed = [{0: 2, 1: 0, 2: 1}[c] for c in CLUSTERS]
    assert purity(TYPES, renamed) == purity(TYPES, CLUSTERS)
    assert normalised_mutual_information(TYPES, [0] * 17) == 0
    assert purity(TYPES, [0] * 17) == 8 / 17


def test_k_means_finds_separate_types_and_is_repeatable() -> None:
    rng = np.random.default_rng(0)
    types = np.repeat(np.arange(8), 20)
    features = np.eye(8)[types] * 10 + rng.normal(size=(160, 8))
    scores = cluster_scores(features, types)
    assert scores is not None
    assert (scores.purity, scores.nmi) == (1.0, pytest.approx(1.0))
    again = cluster_scores(features, types)
    assert again is not None
    assert (scores.clusters == again.clusters).all()


def test_fewer_distinct_lesions_than_clusters_cannot_be_scored() -> None:
    assert cluster_scores(np.ones((20, 3)), ["lung"] * 20) is None
