"""Lesion groups → one structured report a study, stored in the PACS that the marks came from."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from lesiongraph.errors import NotEnoughDataError, UsageError
from lesiongraph.mining.pacs.address import DICOMWEB, PacsAddress, PacsSettings
from lesiongraph.mining.pacs.dicomweb import DicomwebConnection
from lesiongraph.mining.write_back import (
    Algorithm,
    Destination,
    DicomwebDestination,
    FolderDestination,
    Ledger,
    OriginalReader,
    Originals,
    Outcome,
    SameUids,
    Sender,
    StudyFacts,
    Tracking,
    assign_tracking,
)
from lesiongraph.pipeline.catalogue import read_catalogue
from lesiongraph.pipeline.identifiers import originals_of
from lesiongraph.pipeline.progress import Progress, silent
from lesiongraph.pipeline.reported_lesions import (
    algorithm_of,
    reportable_lesions,
    reported_lesions,
    under_known_uids,
    why_none,
)
from lesiongraph.workspace import RunReport, Workspace

LEDGER = Path("write_back") / "ledger.jsonl"  # beside the stages, which a later run replaces whole
REMARKS_KEPT = 20
FAILURES = (Outcome.NOT_MADE, Outcome.NO_IMAGE, Outcome.REFUSED)


def push_to_pacs(
    workspace: Workspace,
    to: str | None,
    *,
    dry_run: Path | None = None,
    again: bool = False,
    settings: PacsSettings | None = None,
    originals: Originals | None = None,
    key: Path | None = None,
    progress: Progress = silent,
) -> RunReport:
    """Push to the DICOMweb service `to`; with `dry_run` write files into that folder instead.

    The UIDs of a de-identified workspace are led back to the PACS's by its key file, `key` where it is not in
    its usual place, unless `originals` are given. A dry run with `to` asks the PACS for headers and earlier
    reports; without, headers come from the files that were mined.

    Raises
    ------
    UsageError
        If neither is given, or the address is none of a DICOMweb service.

    Else as `push`.
    """
    if to is None and dry_run is None:
        raise UsageError("Nowhere to push: expected --to dicomweb+http(s)://HOST/PATH, or --dry-run FOLDER.")
    with contextlib.ExitStack() as stack:
        pacs: Destination | None = None
        if to is not None:
            pacs = DicomwebDestination(stack.enter_context(_connection(to, settings)))
        destination = pacs
        if dry_run is not None:
            destination = FolderDestination(dry_run, _image_files(workspace), pacs)
        assert destination is not None
        originals = originals or stack.enter_context(originals_of(workspace, key))
        return push(
            workspace, destination,
            originals=originals, dry_run=dry_run is not None, again=again, progress=progress,
        )  # fmt: skip


def _connection(to: str, settings: PacsSettings | None) -> DicomwebConnection:
    address = PacsAddress.parse(to)
    if address.protocol != DICOMWEB:
        raise UsageError(f"{address}: expected dicomweb+http(s)://…: reports are stored by DICOMweb only.")
    return DicomwebConnection(address, settings)


def _image_files(workspace: Workspace) -> dict[str, Path]:
    slices = read_catalogue(workspace).slices
    return dict(zip(slices.sop_instance_uid, map(Path, slices.path), strict=True))


def push(
    workspace: Workspace,
    destination: Destination,
    *,
    originals: Originals | None = None,
    dry_run: bool = False,
    again: bool = False,
    progress: Progress = silent,
) -> RunReport:
    """Store one report a study at a destination: what it holds already is not sent again.

    Parameters
    ----------
    workspace : Workspace
        With matched groups.
    destination : Destination
    originals : Originals, optional
        From the workspace's UIDs to the destination's; the same where none is given.
    dry_run : bool
        The ledger learns nothing: the destination is a folder to look into.
    again : bool
        Send anew what was sent before and is gone from the destination.
    progress : callable

    Raises
    ------
    StageMissingError
        If nothing was mined or matched.
    NotEnoughDataError
        If no lesion can be reported.
    LesionGraphError
        If the destination gives no usable answer; what was stored until then is kept in the ledger.
    """
    report = RunReport("push")
    originals = originals or SameUids()
    with workspace.lock():
        lesions = under_known_uids(reportable_lesions(workspace, report), originals, report)
        if lesions.empty:
            raise NotEnoughDataError(
                "push", "a matched lesion with two axes on a DICOM image", why_none(report),
                f"Run `lesiongraph match -w {workspace.path}` first.",
            )  # fmt: skip
        algorithm = algorithm_of(workspace)
        ledger = Ledger(workspace.path / LEDGER)
        if ledger.damaged_lines:
            report.notes.append(
                f"{ledger.damaged_lines} lines of the ledger cannot be read and were left aside"
            )
        sender = Sender(destination, ledger, record=not dry_run, again=again)
        try:
            tracking = _tracking(lesions, ledger, sender, originals, progress)
            if not dry_run:
                ledger.add_tracking(tracking)
            reader = OriginalReader(originals)
            _send_all(lesions, tracking, (sender, reader, originals, algorithm), report, progress)
            left = ledger.studies(destination.name) - set(lesions.study_instance_uid)
            if left:
                report.notes.append(
                    f"{len(left)} studies reported before have no lesion now: their report stays"
                )
        finally:
            workspace.write_run_report("push", report.finish().as_dict())
    return report


def _tracking(
    lesions: pd.DataFrame, ledger: Ledger, sender: Sender, originals: Originals, progress: Progress
) -> dict[str, Tracking]:
    """Return the tracking of every lesion: as reported before, to this destination or by this workspace."""
    stated: dict[str, Tracking] = {}
    studies = lesions.study_instance_uid.unique()
    for done, study in enumerate(studies, 1):
        stated |= sender.known_tracking(originals.uid(study))
        progress("look for earlier reports", done, len(studies))
    known = {**stated, **ledger.tracking()}
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


def _send_all(
    lesions: pd.DataFrame,
    tracking: Mapping[str, Tracking],
    means: tuple[Sender, OriginalReader, Originals, Algorithm],
    report: RunReport,
    progress: Progress,
) -> None:
    """Send study by study; each is counted before the next begins."""
    sender, reader, originals, algorithm = means
    studies = lesions.study_instance_uid.nunique()
    report.counts["studies"] = studies
    report.counts["lesion groups"] = len({t.uid for t in tracking.values()})
    report.counts.update({outcome.value: 0 for outcome in (Outcome.STORED, Outcome.REPLACED, Outcome.THERE)})
    report.counts["lesions in the reports"] = 0
    report.counts["failures"] = 0
    for done, (study, rows) in enumerate(lesions.groupby("study_instance_uid", sort=False), 1):
        facts = StudyFacts(
            originals.uid(str(study)), tuple(reported_lesions(rows, tracking, reader, originals)), algorithm
        )
        sending = sender.send(str(study), facts)
        report.counts[sending.outcome.value] += 1
        report.counts["lesions in the reports"] += sending.lesions
        report.counts["failures"] += sending.outcome in FAILURES
        if sending.remark:
            _remark(report, f"study {study}: {sending.outcome.value}: {sending.remark}")
        progress("send reports", done, studies)


def _remark(report: RunReport, remark: str) -> None:
    """Keep a remark about one study; of many, the first ones."""
    if sum(note.startswith("study ") for note in report.notes) < REMARKS_KEPT:
        report.notes.append(remark)
