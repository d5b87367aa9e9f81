"""Report section about one patient over time: marks, lesion graph, matched groups (Fig. 13–15)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

from lesiongraph.errors import StageMissingError
from lesiongraph.figures import (
    TILE_LEGEND,
    PatientLesion,
    Picture,
    Section,
    Table,
    graph_figure,
    patient_figure,
)
from lesiongraph.graph import CostWeights, pair_costs
from lesiongraph.pipeline.matchers import ALGORITHM_1, lesion_cues
from lesiongraph.pipeline.report_context import ReportContext
from lesiongraph.pipeline.vectors import Vectors, read_vectors

_MOST_STUDIES = 11  # the longest follow-up in DeepLesion's manual groups (Sec. 6.3)
_MOST_MARKS = 44
_EDGES_UP_TO = 1.5  # times T2: shows what was not matched beside what was


def one_patient(context: ReportContext) -> Section:
    """The patient with most matched marks that still fits on a page."""
    folder = context.workspace.open("groups", "match", "matched groups")
    groups = folder.read_table("groups")
    thresholds = folder.read_json("thresholds")
    patient = _telling_patient(groups)
    if patient is None:
        return Section("", "", missing="no patient has a lesion matched over two studies")
    rows = groups[groups.patient == patient].merge(
        context.kept.drop(columns="study_date"), left_on="lesion", right_on="lesion_id"
    )
    rows = rows.sort_values(["study_date", "study", "group", "lesion"]).reset_index(drop=True)
    study_order = rows.study.drop_duplicates().tolist()
    dates = rows.drop_duplicates("study").study_date
    names = [_study_name(i, date) for i, date in enumerate(dates)]
    lesions = _patient_lesions(context, rows, study_order)
    vectors = read_vectors(context.workspace, thresholds["feature"])
    place = pd.Series(range(len(vectors.lesions)), index=vectors.lesions.lesion_id)
    if not rows.lesion.isin(place.index).all():
        raise StageMissingError("matched groups for the lesions as they are now", "match")
    distances = _distances(vectors, place.loc[rows.lesion].to_numpy(), thresholds)
    graph = graph_figure(lesions, names, distances, _EDGES_UP_TO * thresholds["t2"])
    by_study = patient_figure(lesions, names, by_group=False)
    by_group = patient_figure(lesions, names, by_group=True)
    count = f"{len(rows)} marks of {patient} in {len(names)} studies"
    return Section(
        "",
        f"Patient {patient}. Frames of one colour are one lesion as {_matcher_in_words(thresholds)}; grey "
        "frames were matched to nothing. Not every lesion is marked in every study: new and gone speak of "
        "marks, and are no findings.",
        figures=[
            Picture(f"All marks, a column a study (Fig. 13). {TILE_LEGEND}", by_study, count),
            Picture(
                "Lesion graph: a node a mark with its group's number, a number on an edge is the distance "
                f"of the two marks; red to the group's next mark, grey to the nearest mark outside it up to "
                f"{_EDGES_UP_TO} T2 (Fig. 14)",
                graph, f"Graph of {count}; the table below lists the groups",
            ),
            Picture("Matched groups, a row a lesion (Fig. 15)", by_group, count),
        ],
        tables=[Table("The groups as a table", _group_table(rows), folded=True)],
    )  # fmt: skip


def _matcher_in_words(thresholds: dict[str, Any]) -> str:
    matcher = thresholds.get("matcher", ALGORITHM_1)  # results of earlier versions name none
    limits = f"T1 = {thresholds['t1']:.4g}, T2 = {thresholds['t2']:.4g}"
    origin = f"; limits: {thresholds['origin']}" if thresholds.get("origin") else ""
    if matcher == ALGORITHM_1:
        return f"Algorithm 1 sees it (feature: {thresholds['feature']}, {limits}{origin})"
    cost = ", ".join(thresholds["cues"])
    return f"matcher {matcher} sees it (cost of {cost}, feature: {thresholds['feature']}, {limits}{origin})"


def _distances(vectors: Vectors, rows: np.ndarray, thresholds: dict[str, Any]) -> np.ndarray:
    """Return what the matcher compared (n, n): distances of the feature, or costs."""
    if thresholds.get("matcher", ALGORITHM_1) == ALGORITHM_1:
        return np.asarray(cdist(vectors.matrix[rows], vectors.matrix[rows]))
    own = vectors.take(rows)
    each = np.arange(len(rows))
    weights = CostWeights(**thresholds["weights"])
    return pair_costs(lesion_cues(own, thresholds["cues"]), weights, each[:, None], each[None, :])


def _patient_lesions(
    context: ReportContext, rows: pd.DataFrame, study_order: list[str]
) -> list[PatientLesion]:
    return [
        PatientLesion(
            tile=context.tile(row, f"{row.type or 'no type'}, {row.long_mm:.0f} mm\ngroup {row.group}"),
            study=study_order.index(row.study),
            group=int(row.group),
            lesion_type=row.type,
            long_mm=row.long_mm,
        )
        for _, row in rows.iterrows()
    ]


def _group_table(rows: pd.DataFrame) -> pd.DataFrame:
    table = rows.rename(columns={"study_date": "study date", "long_mm": "long axis mm"})
    table["distance"] = table.distance.map("{:.3f}".format).replace("nan", "–")
    columns = ["group", "study date", "lesion", "type", "long axis mm", "distance"]
    for name in ("probability", "state_before", "state_after"):
        if name in table:  # results of earlier versions lack them
            table[name.replace("_", " ")] = table[name]
            columns.append(name.replace("_", " "))
    if "probability" in table:
        table["probability"] = table.probability.map("{:.2f}".format).replace("nan", "–")
    return table.sort_values(["group", "study date"])[columns]


def _telling_patient(groups: pd.DataFrame) -> str | None:
    """Return the patient with most groups that span studies, among those that fit on a page."""
    spans = groups.groupby(["patient", "group"]).study.nunique()
    matched = spans[spans > 1].groupby("patient").sum()
    size = groups.groupby("patient").agg(studies=("study", "nunique"), marks=("lesion", "size"))
    fits = size[(size.studies <= _MOST_STUDIES) & (size.marks <= _MOST_MARKS)]
    candidates = matched[matched.index.isin(fits.index)]
    if not len(candidates):
        candidates = matched
    return str(candidates.sort_values(kind="stable").index[-1]) if len(candidates) else None


def _study_name(number: int, date: str) -> str:
    return f"study {number + 1}" + (f"\n{date}" if date else "")
