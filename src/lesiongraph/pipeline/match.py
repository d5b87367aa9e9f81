"""Embeddings + studies → the same lesion across a patient's studies (Algorithm 1)."""

from __future__ import annotations

import networkx as nx
import pandas as pd

from lesiongraph.errors import UnknownPatientError, UsageError
from lesiongraph.graph import (
    MatchResult,
    between_patients_threshold,
    match_patients,
    write_edge_table,
    write_graphml,
)
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
) -> tuple[pd.DataFrame, RunReport]:
    """Group the lesions of each patient, or of one; `distance` is to the nearest lesion of the group.

    Raises
    ------
    UnknownPatientError
        If the patient has no embedded lesion.
    UsageError
        If T2 is below T1.
    """
    report = RunReport("match")
    vectors = read_vectors(workspace, feature)
    known = vectors.lesions.patient_id
    if patient is not None and patient not in set(known):
        raise UnknownPatientError(patient, known.nunique())
    recipe = MatchingRecipe()
    t1 = recipe.t1 if t1 is None else t1
    t2 = _chosen_t2(vectors, t1, recipe, report) if t2 is None else t2
    if not 0 <= t1 <= t2:
        raise UsageError(f"--t1 {t1:g} --t2 {t2:g}: expected T2 of at least T1, which is not below 0.")
    report.details.update(t1=t1, t2=t2, feature=feature)
    report.notes.append(f"T1 = {t1:.3g}, T2 = {t2:.3g}, distances of the {feature} feature")
    with workspace.lock():
        key = fingerprint(workspace.key(feature), feature, t1, t2)
        report.already_done = workspace.is_current("groups", key)
        if not report.already_done:
            result = match_patients(
                vectors.matrix, vectors.lesions.patient_id, vectors.lesions.study_instance_uid, t1, t2
            )
            graph = _graph(vectors, result)
            with workspace.write("groups", key) as folder:
                folder.write_table("groups", _rows(vectors, result))
                folder.write_json("thresholds", {"t1": t1, "t2": t2, "feature": feature})
                write_graphml(graph, folder.path / "lesion_graph.graphml")
                write_edge_table(graph, folder.path / "edges.parquet")
        rows = workspace.open("groups", "match").read_table("groups")
        if patient is not None:
            rows = rows[rows.patient == patient].reset_index(drop=True)
        report.counts.update(
            {"patients": int(rows.patient.nunique()), "lesions": len(rows)}
            | {"groups": int(rows.groupby("patient").group.nunique().sum())}
        )
        workspace.write_run_report("match", report.finish().as_dict())
    return rows, report


def _chosen_t2(vectors: Vectors, t1: float, recipe: MatchingRecipe, report: RunReport) -> float:
    """T2 of the recipe, else from the distances between patients (ADR 6); never below T1."""
    if recipe.t2 is not None:
        return recipe.t2
    found = between_patients_threshold(vectors.matrix, vectors.lesions.patient_id)
    if found is None:
        report.notes.append("one patient only: T2 cannot be chosen from the data; --t2 sets it")
        return max(recipe.t2_alone, t1)
    return max(round(found, 4), t1)


def _rows(vectors: Vectors, result: MatchResult) -> pd.DataFrame:
    lesions = vectors.lesions
    rows = pd.DataFrame(
        {
            "patient": lesions.patient_id,
            "group": result.groups,
            "lesion": lesions.lesion_id,
            "study": lesions.study_instance_uid,
            "study_date": lesions.study_date,
            "distance": result.nearest.round(6),
        }
    )
    # groups are counted from 1 within each patient, as a reader of one patient's list expects
    rows["group"] = rows.groupby("patient").group.transform(lambda numbers: pd.factorize(numbers)[0] + 1)
    return rows.sort_values(["patient", "group", "study_date", "study", "lesion"], ignore_index=True)[COLUMNS]


def _graph(vectors: Vectors, result: MatchResult) -> nx.Graph:
    """Return the intra-patient lesion graph: a node a lesion, an edge where Algorithm 1 kept one."""
    graph = nx.Graph()
    for row, group in zip(vectors.lesions.itertuples(), result.groups, strict=True):
        graph.add_node(
            row.lesion_id,
            patient=row.patient_id,
            study=row.study_instance_uid,
            study_date=row.study_date,
            type=row.type,
            long_mm=float(row.long_mm),
            group=int(group),
        )
    ids = vectors.lesions.lesion_id.tolist()
    for i, j, distance in result.edges:
        graph.add_edge(ids[i], ids[j], distance=distance, kind="inter-study match")
    for (i, j), distance in zip(result.merge_edges, result.merge_distances, strict=True):
        graph.add_edge(ids[i], ids[j], distance=float(distance), kind="intra-study merge")
    return graph
