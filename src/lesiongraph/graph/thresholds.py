"""A first value for T_2, from lesions that are certainly not the same (ADR 6)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from lesiongraph.index import ExactIndex, other_patients

MOST_QUERIES = 2000  # a median needs no more, and the cost then grows with N, not N²


def between_patients_threshold(embeddings: ArrayLike, patients: ArrayLike) -> float | None:
    """Return the median distance of a lesion to its nearest lesion of another patient.

    Two lesions of different patients are never the same lesion: what lies as far apart as they do need not
    be one. The value adapts to any feature, whose distances may be ten times larger than another's.

    Parameters
    ----------
    embeddings : (N, D) array
    patients : (N,) array

    Returns
    -------
    float, or None where there is only one patient.

    Source
    ------
    Ours: the paper varies T_2 (Sec. 6.1) and states no value.
    """
    vectors, owners = np.asarray(embeddings), np.asarray(patients)
    if len(np.unique(owners)) < 2:
        return None
    rows = np.arange(len(vectors))
    if len(rows) > MOST_QUERIES:
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_QUERIES, replace=False))
    allowed = other_patients(owners, owners[rows])
    distances, _ = ExactIndex(vectors).search(vectors[rows], 1, allowed=allowed)
    return float(np.median(distances[:, 0]))
