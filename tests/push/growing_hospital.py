"""A hospital that grows, its workspace, and the PACS that its reports go to."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from pydicom import Dataset

from lesiongraph.pipeline.embed import embed
from lesiongraph.pipeline.locate import locate
from lesiongraph.pipeline.match import match
from lesiongraph.pipeline.mine import mine
from lesiongraph.pipeline.stored_catalogue import stored_catalogue
from lesiongraph.store import ReportLedger
from lesiongraph.workspace import Workspace

FIRST, SECOND, THIRD = "20200110", "20200415", "20200901"
PATIENTS = ("SMALL-1", "SMALL-5")


def work(folder: Path, *sources: Path | str, wide: bool = True) -> Workspace:
    """Mine, locate, embed and match; `wide` joins whatever a study leaves free (the marks hardly move)."""
    workspace = Workspace(folder)
    mine(workspace, list(sources))
    locate(workspace, workers=1)
    embed(workspace)
    match(workspace, **({"t1": 0.0, "t2": 50.0} if wide else {}))
    return workspace


def groups_of(workspace: Workspace) -> pd.DataFrame:
    """Return the groups, rows by lesion."""
    return workspace.open("groups", "match").read_table("groups").set_index("lesion")


def ledger_of(workspace: Workspace) -> ReportLedger:
    """Return the ledger of pushes, as a stranger sees it."""
    with workspace.lock(), stored_catalogue(workspace) as catalogue:
        return ReportLedger(catalogue.store, "a stranger", 600.0)


def follow(document: Dataset, former: Dataset) -> None:
    """Name, in place, the document's predecessor as OHIF 3.13 does: without its class."""
    sop, series, study = Dataset(), Dataset(), Dataset()
    sop.ReferencedSOPInstanceUID = former.SOPInstanceUID
    series.SeriesInstanceUID, series.ReferencedSOPSequence = former.SeriesInstanceUID, [sop]
    study.StudyInstanceUID, study.ReferencedSeriesSequence = former.StudyInstanceUID, [series]
    document.PredecessorDocumentsSequence = [study]


def predecessor_of(document: Dataset) -> str:
    """Return the UID of the one document that this one follows, "" where it follows none."""
    if "PredecessorDocumentsSequence" not in document:
        return ""
    (reference,) = document.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    return str(reference.ReferencedSOPInstanceUID)
