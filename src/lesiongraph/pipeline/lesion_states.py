"""Matched groups + what each study shows → what became of each lesion from one study to the next."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lesiongraph.graph import lesion_changes
from lesiongraph.pipeline.catalogue import read_catalogue, read_series_locations
from lesiongraph.pipeline.matchers import Setting, lesion_cues, study_names
from lesiongraph.pipeline.vectors import Vectors
from lesiongraph.workspace import Workspace

COLUMNS = [
    *("patient", "lesion", "group", "study", "study_date", "other_study", "other_study_date"),
    *("looked", "state", "partners"),
]


def study_coverage(workspace: Workspace) -> dict[str, np.ndarray]:
    """Return the stretches of z (V, 2) that the located series of each study show, by study UID."""
    series = read_series_locations(workspace)
    study_of = read_catalogue(workspace).series.set_index("series_instance_uid").study_instance_uid
    shown = series[series.z_from.notna() & series.series_instance_uid.isin(study_of.index)]
    return {
        str(study): part[["z_from", "z_to"]].to_numpy(float)
        for study, part in shown.groupby(shown.series_instance_uid.map(study_of))
    }


def change_table(
    vectors: Vectors, groups: np.ndarray, setting: Setting, coverage: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    """Return one row a lesion and neighbouring study: `COLUMNS`.

    Parameters
    ----------
    vectors : Vectors
    groups : (N,) array
        As they are written, so that both tables name a group alike.
    setting : Setting
    coverage : mapping of study UID to (V, 2)

    Notes
    -----
    `looked` is "forward" (into the next study) or "back"; `partners` holds lesion ids joined by ";".
    """
    lesions = vectors.lesions
    cues = lesion_cues(
        vectors, (*setting.cues, "location", "size")
    )  # location: what is covered; size: merged
    studies = study_names(lesions)
    uid_of = dict(zip(studies.tolist(), lesions.study_instance_uid, strict=True))
    date_of = dict(zip(studies.tolist(), lesions.study_date, strict=True))
    views = {name: coverage[uid] for name, uid in uid_of.items() if uid in coverage}
    weights = setting.masked_weights()
    rows: list[dict[str, object]] = []
    for _, index in lesions.groupby("patient_id").indices.items():
        found = lesion_changes(
            cues.take(index), studies[index], groups[index], setting.t2, views, weights=weights
        )
        for change in found:
            own = lesions.iloc[index[change.lesion]]
            study, other = str(change.study), str(change.other_study)
            rows.append(
                {
                    "patient": own.patient_id,
                    "lesion": own.lesion_id,
                    "group": int(groups[index[change.lesion]]),
                    "study": own.study_instance_uid,
                    "study_date": own.study_date,
                    "other_study": uid_of[other],
                    "other_study_date": date_of[other],
                    "looked": "forward" if other > study else "back",
                    "state": change.state,
                    "partners": ";".join(lesions.lesion_id.iloc[index[list(change.partners)]]),
                }
            )
    return pd.DataFrame(rows, columns=COLUMNS)


def states_by_lesion(changes: pd.DataFrame, lesions: pd.Series) -> pd.DataFrame:
    """Return `state_before` (seen from the study before) and `state_after`, "" where there is none."""
    found = {
        column: lesions.map(changes[changes.looked == looked].set_index("lesion").state)
        .astype("object")
        .fillna("")
        for column, looked in (("state_before", "back"), ("state_after", "forward"))
    }
    return pd.DataFrame(found)
