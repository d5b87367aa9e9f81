"""Report section about one patient over time: marks, lesion graph, matched groups (Fig. 13–15)."""

from __future__ import annotations

import pandas as pd
from scipy.spatial.distance import cdist

from lesiongraph.figures import PatientLesion, Section, graph_figure, patient_figure
from lesiongraph.pipeline.report_context import ReportContext

_MOST_STUDIES = 7
_MOST_MARKS = 28


def one_patient(context: ReportContext) -> Section:
    """The patient with most matched marks that still fits on a page."""
    folder = context.workspace.open("groups", f"match -w {context.workspace.path}", "matched groups")
    groups = folder.read_table("groups")
    thresholds = folder.read_json("thresholds")
    patient = _telling_patient(groups)
    if patient is None:
        return Section("", "", missing="no patient has a lesion matched over two studies")
    rows = groups[groups.patient == patient].merge(
        context.kept[["lesion_id", "type", "long_mm"]], left_on="lesion", right_on="lesion_id"
    )
    rows = rows.sort_values(["study_date", "study", "group", "lesion"]).reset_index(drop=True)
    study_order = rows.study.drop_duplicates().tolist()
    names = [
        _study_name(i, rows[rows.study == study].study_date.iloc[0]) for i, study in enumerate(study_order)
    ]
    lesions = [
        PatientLesion(
            tile=context.tile(row.lesion, f"group {row.group} · {row.long_mm:.0f} mm"),
            study=study_order.index(row.study),
            group=int(row.group),
            lesion_type=row.type,
            long_mm=row.long_mm,
        )
        for row in rows.itertuples()
    ]
    vectors = context.vectors
    place = pd.Series(range(len(vectors.lesions)), index=vectors.lesions.lesion_id)
    matrix = vectors.matrix[place.loc[rows.lesion].to_numpy()]
    return Section(
        "",
        f"Patient {patient}. Frames of one colour are one lesion as Algorithm 1 sees it (T1 = "
        f"{thresholds['t1']}, T2 = {thresholds['t2']}, {thresholds['feature']}); grey frames were matched to "
        "nothing. Not every lesion is marked in every study.",
        figures=[
            ("All marks, a column a study (Fig. 13)", patient_figure(lesions, names, by_group=False)),
            (
                "Lesion graph: numbers are distances, red edges lie within a matched group (Fig. 14)",
                graph_figure(lesions, names, cdist(matrix, matrix), 1.5 * thresholds["t2"]),
            ),
            ("Matched groups, a row a lesion (Fig. 15)", patient_figure(lesions, names, by_group=True)),
        ],
    )


def _telling_patient(groups: pd.DataFrame) -> str | None:
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
