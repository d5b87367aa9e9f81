"""The ledger of pushes in the catalogue's database, and which tracking UID each lesion carries by it."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from lesiongraph.mining.write_back import LedgerFile, Originals, Tracking, assign_tracking
from lesiongraph.pipeline.stored_catalogue import stored_catalogue
from lesiongraph.store import ReportLedger
from lesiongraph.workspace import RunReport, Workspace

LEDGER = Path("write_back") / "ledger.jsonl"  # of an earlier version; read once into the catalogue's database
TAKEN_OVER = ".taken-over"
# ours: a claim of another machine that died is left alone for so long, or twice as long as the settings let a
# store take, retries included
LEASE_S = 600.0


def open_ledger(workspace: Workspace, store: str | None, lease_s: float, report: RunReport) -> ReportLedger:
    """Open the ledger in the catalogue's database; what a file of an earlier version holds goes into it."""
    with stored_catalogue(workspace, store) as catalogue:
        sender = f"{socket.gethostname()}:{workspace.path.resolve()}"
        ledger = ReportLedger(catalogue.store, sender, lease_s)
    path = workspace.path / LEDGER
    if path.exists():
        file = LedgerFile.read(path)
        ledger.take_over(file.sent, file.tracking)
        path.replace(path.with_name(path.name + TAKEN_OVER))  # read again after a kill, to the same effect
        if file.damaged_lines:
            report.notes.append(f"{file.damaged_lines} lines of {LEDGER} cannot be read and were left aside")
    return ledger


def tracking_of(
    lesions: pd.DataFrame,
    stated: Mapping[str, Tracking],
    ledger: ReportLedger,
    originals: Originals,
    *,
    keep: bool,
) -> dict[str, Tracking]:
    """Return the tracking of every lesion: as the ledger, else the destination, knows it; else new."""

    def choose(known: Mapping[str, tuple[str, int]]) -> dict[str, tuple[str, int]]:
        before = {**stated, **{lesion: Tracking(*found) for lesion, found in known.items()}}
        return {lesion: (t.uid, t.number) for lesion, t in _assign(lesions, before, originals).items()}

    chosen = ledger.assign_tracking(choose) if keep else choose(ledger.tracking())
    return {lesion: Tracking(*found) for lesion, found in chosen.items()}


def _assign(
    lesions: pd.DataFrame, known: Mapping[str, Tracking], originals: Originals
) -> dict[str, Tracking]:
    tracking: dict[str, Tracking] = {}
    for _, of_patient in lesions.groupby("patient_id", sort=False):
        groups = [group.lesion_id.tolist() for _, group in of_patient.groupby("group", sort=False)]
        ids = of_patient.lesion_id.tolist()
        anchors = {
            row.lesion_id: f"{originals.uid(row.sop_instance_uid)} {row.lesion_id}"
            for row in of_patient.itertuples()
        }
        tracking |= assign_tracking(groups, {i: known[i] for i in ids if i in known}, anchors)
    return tracking
