"""Query lesion → nearest lesions."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lesiongraph.errors import UnknownLesionError, UsageError
from lesiongraph.index import ExactIndex
from lesiongraph.lesion import LESION_TYPES
from lesiongraph.pipeline.vectors import read_vectors
from lesiongraph.workspace import RunReport, Workspace


def search(
    workspace: Workspace,
    lesion_id: str,
    *,
    k: int = 9,
    other_patients: bool = False,
    lesion_type: str | None = None,
    feature: str = "embedding",
) -> tuple[pd.DataFrame, RunReport]:
    """Return the `k` lesions nearest to one lesion: rank, lesion, patient, type, distance.

    Raises
    ------
    UnknownLesionError
        If the lesion has no vector.
    UsageError
        If the type is unknown.
    """
    if lesion_type is not None and lesion_type not in LESION_TYPES:
        raise UsageError(f"Unknown type {lesion_type!r}; expected one of {', '.join(LESION_TYPES)}.")
    report = RunReport("search")
    vectors = read_vectors(workspace, feature)
    where = np.flatnonzero(vectors.lesions.lesion_id.to_numpy() == lesion_id)
    if not len(where):
        raise UnknownLesionError(lesion_id, len(vectors.lesions))
    query = int(where[0])
    allowed = np.ones(len(vectors.lesions), bool)
    allowed[query] = False
    if other_patients:
        allowed &= (vectors.lesions.patient_id != vectors.lesions.patient_id[query]).to_numpy()
    if lesion_type is not None:
        allowed &= (vectors.lesions.type == lesion_type).to_numpy()
    distances, indices = ExactIndex(vectors.matrix).search(
        vectors.matrix[query : query + 1], k, allowed=allowed
    )
    found = indices[0] >= 0
    hits = vectors.lesions.iloc[indices[0][found]]
    rows = pd.DataFrame(
        {
            "rank": np.arange(1, found.sum() + 1),
            "lesion": hits.lesion_id.to_numpy(),
            "patient": hits.patient_id.to_numpy(),
            "type": hits.type.to_numpy(),
            "distance": distances[0][found].round(6),
        }
    )
    report.counts.update({"gallery": int(allowed.sum()), "hits": len(rows)})
    return rows, report.finish()
