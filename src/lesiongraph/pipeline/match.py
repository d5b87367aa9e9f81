"""Embeddings + studies → the same lesion across a patient's studies (Algorithm 1)."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pandas as pd

from lesiongraph.errors import UnknownPatientError
from lesiongraph.graph import MatchResult, match_lesions, write_graphml
from lesiongraph.pipeline.progress import Progress, silent
from lesiongraph.pipeline.vectors import Vectors, read_vectors
from lesiongraph.recipe import MatchingRecipe
from lesiongraph.workspace import RunReport, Workspace, fingerprint

COLUMNS = ["patient", "group", "lesion", "study", "study_date", "distance"]


def match(
    workspace: Workspace,
    *,
    patient: str | None = None,
    t1: float | None = None,
    t2: float | None = None,
    feature: str = "embedding",
    progress: Progress = silent,
) -> tuple[pd.DataFrame, RunReport]:
    """Group the lesions of each patient, or of one; `distance` is to the nearest lesion of the group.

    Raises
    ------
    UnknownPatientError
        If the patient has no embedded lesion.
    """
    report = RunReport("match")
    vectors = read_vectors(workspace, feature)
    known = vectors.lesions.patient_id
    if patient is not None and patient not in set(known):
        raise UnknownPatientError(patient, known.nunique())
    recipe = MatchingRecipe()
    t1, t2 = recipe.t1 if t1 is None else t1, recipe.t2 if t2 is None else t2
    report.details.update(t1=t1, t2=t2, feature=feature)
    with workspace.lock():
        key = fingerprint(workspace.key(feature), feature, t1, t2)
        report.already_done = workspace.is_current("groups", key)
        if not report.already_done:
            rows, graph = _match_all(vectors, t1, t2, report, progress)
            with workspace.write("groups", key) as folder:
                folder.write_table("groups", rows)
                write_graphml(graph, folder.path / "lesion_graph.graphml")
                folder.write_table(
                    "edges", nx.to_pandas_edgelist(graph, source="lesion_a", target="lesion_b")
                )
        rows = workspace.open("groups", "match").read_table("groups")
        if patient is not None:
            rows = rows[rows.patient == patient].reset_index(drop=True)
        report.counts.update(
            {"patients": int(rows.patient.nunique()), "lesions": len(rows)}
            | {"groups": int(rows.groupby("patient").group.nunique().sum())}
        )
        workspace.write_run_report("match", report.finish().as_dict())
    return rows, report


def _match_all(
    vectors: Vectors, t1: float, t2: float, report: RunReport, progress: Progress
) -> tuple[pd.DataFrame, nx.Graph]:
    lesions = vectors.lesions
    patients = list(lesions.groupby("patient_id").indices.items())
    tables, graph = [], nx.Graph()
    for done, (_, positions) in enumerate(patients, start=1):
        own = lesions.iloc[positions].reset_index(drop=True)
        studies, _ = pd.factorize(own.study_instance_uid)
        result = match_lesions(vectors.matrix[positions], studies, t1, t2)
        tables.append(_rows(own, result))
        _add_to_graph(graph, own, result)
        report.counts["edges"] += len(result.edges)
        progress("match patients", done, len(patients))
    return pd.concat(tables, ignore_index=True)[COLUMNS], graph


def _rows(own: pd.DataFrame, result: MatchResult) -> pd.DataFrame:
    nearest = np.full(len(own), np.nan)
    for i, j, distance in result.edges:
        for end in (int(i), int(j)):
            nearest[end] = np.nanmin([nearest[end], distance])
    rows = pd.DataFrame(
        {
            "patient": own.patient_id,
            "group": np.asarray(result.groups) + 1,
            "lesion": own.lesion_id,
            "study": own.study_instance_uid,
            "study_date": own.study_date,
            "distance": nearest.round(6),
        }
    )
    return rows.sort_values(["group", "study_date", "study", "lesion"])


def _add_to_graph(graph: nx.Graph, own: pd.DataFrame, result: MatchResult) -> None:
    for row, group in zip(own.itertuples(), result.groups, strict=True):
        graph.add_node(
            row.lesion_id,
            patient=row.patient_id,
            study=row.study_instance_uid,
            study_date=row.study_date,
            type=row.type,
            long_mm=float(row.long_mm),
            group=f"{row.patient_id}/{int(group) + 1}",
        )
    for i, j, distance in result.edges:
        graph.add_edge(own.lesion_id[int(i)], own.lesion_id[int(j)], distance=float(distance))
