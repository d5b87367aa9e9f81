"""What is told of types beside Table 1: balanced accuracy, mean average precision, calibration error."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lesiongraph.errors import NotEnoughDataError
from lesiongraph.evaluation import fit_head, ranking_scores, type_scores

CLASSIFIED = ("balanced_accuracy", "map", "auc", "ece")
RANKED = ("retrieval_map", "map_at_r")


def type_figures(
    matrix: np.ndarray, lesions: pd.DataFrame, rows: np.ndarray, *, other_patients: bool = False
) -> dict[str, float | None]:
    """Return figures in percent, None where one cannot be computed.

    `balanced_accuracy`, `map` (mean over types of average precision), `auc` and `ece` are of the softmax
    classifier of the seeds, its temperature fitted by patient folds of the seeds, on the scored rows that
    are no seeds, like Table 1's accuracy. `retrieval_map` and `map_at_r` rank all scored rows by distance
    to each.

    Parameters
    ----------
    matrix : (N, D) array
    lesions : frame of N rows
    rows : (n,) int array
        Those that are scored.
    other_patients : bool
        Leave lesions of the query's own patient out of the ranking.
    """
    scored = lesions.iloc[rows]
    ranked = ranking_scores(
        matrix[rows], scored.type.to_numpy(str), scored.patient_id.to_numpy(str) if other_patients else None
    )
    found: dict[str, float | None] = dict.fromkeys(CLASSIFIED)
    found |= {"retrieval_map": ranked.mean, "map_at_r": ranked.mean_at_r}
    seed = (lesions.type != "") & ~lesions.possibly_noisy & (lesions.split == "val")
    seeds = np.flatnonzero(seed & (lesions.subset == "seed"))
    tested = np.setdiff1d(rows, seeds)
    if len(tested):
        found |= _classified(matrix, lesions, seeds, tested)
    return {name: None if value is None else 100 * value for name, value in found.items()}


def _classified(
    matrix: np.ndarray, lesions: pd.DataFrame, seeds: np.ndarray, tested: np.ndarray
) -> dict[str, float | None]:
    types = lesions.type.to_numpy(str)
    try:
        head = fit_head(matrix[seeds], types[seeds], lesions.patient_id.to_numpy(str)[seeds])
    except NotEnoughDataError:  # as with the accuracy: the figure cannot be computed
        return {}
    scores = type_scores(head.probabilities(matrix[tested]), head.types.tolist(), types[tested])
    values = (scores.balanced_accuracy, scores.mean_average_precision, scores.auc, scores.ece)
    return dict(zip(CLASSIFIED, values, strict=True))
