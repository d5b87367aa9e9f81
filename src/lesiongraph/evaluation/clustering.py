"""How well clusters agree with types: purity and normalised mutual information (Sec. 6.2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.cluster import KMeans


@dataclass(frozen=True)
class ClusterScores:
    """Purity and NMI as fractions, and the clusters they were computed from."""

    purity: float
    nmi: float
    clusters: NDArray[np.int64]


def cluster_scores(
    features: ArrayLike, types: ArrayLike, *, clusters: int = 8, starts: int = 10, rng_seed: int = 0
) -> ClusterScores | None:
    """Cluster by K-means and score against the types; None with fewer distinct rows than clusters.

    Parameters
    ----------
    features : (N, D) array
    types : (N,) array
    clusters : int
        Table 1: 8.
    starts : int
        K-means is run from that many starts (k-means++) and the tightest result taken.
    rng_seed : int

    Source
    ------
    Table 1: "lesions are clustered to 8 groups using K-means to calculate the purity and NMI".
    """
    matrix = np.asarray(features, dtype=np.float64)
    if len(np.unique(matrix, axis=0)) < clusters:
        return None
    found = KMeans(n_clusters=clusters, n_init=starts, random_state=rng_seed).fit_predict(matrix)
    return ClusterScores(purity(types, found), normalised_mutual_information(types, found), found)


def purity(types: ArrayLike, clusters: ArrayLike) -> float:
    """Return the share of lesions that have the commonest type of their cluster.

    Parameters
    ----------
    types, clusters : (N,) arrays, N > 0

    Source
    ------
    Manning, Raghavan and Schütze 2008, Sec. 16.3 (the paper's [25]).
    """
    table = contingency(types, clusters)
    return float(table.max(axis=0).sum() / table.sum())


def normalised_mutual_information(types: ArrayLike, clusters: ArrayLike) -> float:
    """Return I(types; clusters) / ((H(types) + H(clusters)) / 2).

    The mean of the two entropies is the arithmetic one, which is scikit-learn's
    `average_method="arithmetic"`. Where both entropies are 0 (one type in one cluster) the two agree
    perfectly and the result is 1.

    Parameters
    ----------
    types, clusters : (N,) arrays, N > 0

    Source
    ------
    Manning, Raghavan and Schütze 2008, Sec. 16.3 (the paper's [25]).
    """
    shares = contingency(types, clusters)
    shares = shares / shares.sum()
    of_type, of_cluster = shares.sum(axis=1), shares.sum(axis=0)
    mean_entropy = (_entropy(of_type) + _entropy(of_cluster)) / 2
    if mean_entropy == 0:
        return 1.0
    seen = shares > 0
    expected = np.outer(of_type, of_cluster)
    information = float((shares[seen] * np.log(shares[seen] / expected[seen])).sum())
    return max(0.0, information) / mean_entropy


def contingency(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Return how often each label of `first` (rows) meets each label of `second` (columns).

    Raises
    ------
    ValueError
        If the lengths differ or are 0.
    """
    a, b = np.asarray(first), np.asarray(second)
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise ValueError(f"expected two equal, non-empty label arrays (N,), got {a.shape} and {b.shape}")
    rows, columns = np.unique(a, return_inverse=True)[1], np.unique(b, return_inverse=True)[1]
    table = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(table, (rows, columns), 1)
    return table


def _entropy(shares: NDArray[np.float64]) -> float:
    positive = shares[shares > 0]
    return float(-(positive * np.log(positive)).sum())
