"""Embeddings + studies → the same lesion across a patient's studies, and what became of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd

from lesiongraph.errors import UnknownPatientError, UsageError
from lesiongraph.graph import Links, MatchResult, write_edge_table, write_graphml
from lesiongraph.pipeline.catalogue import read_decisions
from lesiongraph.pipeline.decided import decided_links, links_key
from lesiongraph.pipeline.lesion_states import change_table, states_by_lesion, study_coverage
from lesiongraph.pipeline.matchers import CUES, Setting, check_names, chosen_setting, default_setting
from lesiongraph.pipeline.truth import read_instances
from lesiongraph.pipeline.vectors import Vectors, read_vectors
from lesiongraph.recipe import MatchingRecipe
from lesiongraph.workspace import RunReport, Workspace, fingerprint

COLUMNS = [
    *("patient", "group", "lesion", "study", "study_date", "distance"),
    *("probability", "state_before", "state_after"),
]
_TABLES_VERSION = 2  # raised when `match` writes other columns: older results are then made again


def match(
    workspace: Workspace,
    *,
    patient: str | None = None,
    t1: float | None = None,
    t2: float | None = None,
    feature: str = "embedding",
    matcher: str | None = None,
    cues: Sequence[str] = tuple(CUES),
    truth: Path | None = None,
) -> tuple[pd.DataFrame, RunReport]:
    """Group the lesions of each patient, or of one; what people decided of pairs goes before any cost.

    Parameters
    ----------
    workspace : Workspace
    patient : str, optional
        Return this patient's rows alone; all are matched.
    t1, t2 : float, optional
        Intra-study and inter-study limit, in the matcher's measure.
    feature : str
        embedding or initial.
    matcher : str, optional
        One of `matchers.MATCHERS`; by default the recipe's.
    cues : sequence of str
        Of appearance, location, size: what the cost holds. Algorithm 1 knows appearance alone.
    truth : Path, optional
        CSV with tracking_uid and lesion: limits, spreads and probabilities then come from the validation
        patients in it.

    Returns
    -------
    rows : frame
        `COLUMNS`. `distance` is to the nearest lesion of the group; `probability` is that of the lesion's
        best edge into another study, empty where nothing calibrates it or there is none; `state_before` and
        `state_after` are those of `graph.lesion_changes` seen from the neighbouring studies.
    report : RunReport

    Raises
    ------
    UnknownPatientError
        If the patient has no embedded lesion.
    UsageError
        If T2 is below T1, or a name is unknown.
    NotEnoughDataError
        If the truth holds no validation patient with a lesion marked twice.
    ContradictoryDecisionsError
        If decisions of people exclude each other.
    """
    report = RunReport("match")
    matcher = MatchingRecipe().matcher if matcher is None else matcher
    check_names(matcher, cues)
    vectors = read_vectors(workspace, feature)
    known = vectors.lesions.patient_id
    if patient is not None and patient not in set(known):
        raise UnknownPatientError(patient, known.nunique())
    if truth is None:
        setting = default_setting(vectors, matcher, feature, cues)
    else:
        setting = chosen_setting(vectors, matcher, feature, cues, read_instances(truth))
    setting = _with_limits(setting, t1, t2)
    _describe(setting, vectors, report)
    links = decided_links(read_decisions(workspace), vectors.lesions)
    by_hand = links_key(links, vectors.lesions)
    if by_hand:
        report.notes.append(f"{len(links.must)} pairs joined and {len(links.cannot)} kept apart by hand")
    with workspace.lock():
        located = workspace.key("locations") if workspace.has("locations") else ""
        made_from = [workspace.key(feature), located, setting.to_dict(), _TABLES_VERSION]
        key = fingerprint(*made_from, *([by_hand] if by_hand else []))
        report.already_done = workspace.is_current("groups", key)
        if not report.already_done:
            _write(workspace, key, vectors, setting, links)
        folder = workspace.open("groups", "match")
        rows, changes = folder.read_table("groups"), folder.read_table("changes")
        if patient is not None:
            rows = rows[rows.patient == patient].reset_index(drop=True)
            changes = changes[changes.patient == patient]
        _count(rows, changes, report)
        workspace.write_run_report("match", report.finish().as_dict())
    return rows, report


def _with_limits(setting: Setting, t1: float | None, t2: float | None) -> Setting:
    """Put the caller's limits in; one alone moves the other where it must."""
    if t1 is None and t2 is None:
        return setting
    low = setting.t1 if t1 is None else t1
    high = max(setting.t2, low) if t2 is None else t2
    if not 0 <= low <= high:
        raise UsageError(f"--t1 {low:g} --t2 {high:g}: expected T2 of at least T1, which is not below 0.")
    named = " and ".join(name for name, given in (("T1", t1), ("T2", t2)) if given is not None)
    return dataclasses.replace(setting, t1=low, t2=high, origin=f"{named} as given; else {setting.origin}")


def _describe(setting: Setting, vectors: Vectors, report: RunReport) -> None:
    report.details.update(setting.to_dict())
    measure = f"distances of the {setting.feature} feature"
    if setting.matcher != "algorithm1":
        measure = f"cost of {', '.join(setting.cues)} ({setting.feature} feature)"
    report.notes.append(f"{setting.matcher}: T1 = {setting.t1:.3g}, T2 = {setting.t2:.3g}, {measure}")
    report.notes.append(f"limits: {setting.origin}")
    if setting.calibration is None:
        report.notes.append("probability is empty: nothing calibrates it; --truth does")
    if "location" in setting.cues:
        lesions = vectors.lesions
        unknown = int((lesions.lz.isna() | lesions.lx.isna() | lesions.ly.isna()).sum())
        if unknown:
            report.notes.append(
                f"{unknown} lesions lack x, y or z: it counts neither for nor against a match"
            )


def _write(workspace: Workspace, key: str, vectors: Vectors, setting: Setting, links: Links) -> None:
    result = setting.run(vectors, links)
    rows = _rows(vectors, result, setting)
    groups = rows.set_index("lesion").group.loc[vectors.lesions.lesion_id].to_numpy()
    changes = change_table(vectors, groups, setting, study_coverage(workspace))
    states = states_by_lesion(changes, rows.lesion)
    graph = _graph(vectors, result, setting)
    with workspace.write("groups", key) as folder:
        folder.write_table("groups", rows.assign(**states)[COLUMNS])
        folder.write_table("changes", changes)
        folder.write_json("thresholds", setting.to_dict())
        write_graphml(graph, folder.path / "lesion_graph.graphml")
        write_edge_table(graph, folder.path / "edges.parquet")


def _count(rows: pd.DataFrame, changes: pd.DataFrame, report: RunReport) -> None:
    groups = rows.groupby(["patient", "group"]).study.agg(["nunique", "size"])
    report.counts.update(
        {
            "patients": int(rows.patient.nunique()),
            "lesions": len(rows),
            "groups": len(groups),
            "groups over several studies": int((groups["nunique"] > 1).sum()),
            "groups with several marks of one study": int((groups["size"] > groups["nunique"]).sum()),
        }
    )
    # Each pair of neighbouring studies is looked at from both sides; "gone" only forward, "new" only back.
    for state, number in changes.state.value_counts().items():
        report.counts[f"seen from a neighbouring study: {state}"] = int(number)


def _rows(vectors: Vectors, result: MatchResult, setting: Setting) -> pd.DataFrame:
    lesions = vectors.lesions
    shortest = np.full(int(result.nodes.max(initial=-1)) + 1, np.nan)  # edge of each node into another study
    for column in (0, 1):
        np.fmin.at(shortest, result.node_edges[:, column], result.distances)
    rows = pd.DataFrame(
        {
            "patient": lesions.patient_id,
            "group": result.groups,
            "lesion": lesions.lesion_id,
            "study": lesions.study_instance_uid,
            "study_date": lesions.study_date,
            "distance": result.nearest.round(6),
            "probability": setting.probability(shortest[result.nodes]).round(4),
        }
    )
    # groups are counted from 1 within each patient, as a reader of one patient's list expects
    rows["group"] = rows.groupby("patient").group.transform(lambda numbers: pd.factorize(numbers)[0] + 1)
    return rows.sort_values(["patient", "group", "study_date", "study", "lesion"], ignore_index=True)


def _graph(vectors: Vectors, result: MatchResult, setting: Setting) -> nx.Graph:
    """Return the intra-patient lesion graph: a node a lesion, an edge where the matcher kept one."""
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
    chances = setting.probability(result.distances)
    for (i, j, distance), chance in zip(result.edges, chances, strict=True):
        graph.add_edge(ids[i], ids[j], distance=distance, probability=float(chance), kind="inter-study match")
    for (i, j), distance in zip(result.merge_edges, result.merge_distances, strict=True):
        graph.add_edge(ids[i], ids[j], distance=float(distance), kind="intra-study merge")
    return graph
