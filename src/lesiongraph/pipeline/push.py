"""Lesion groups → one structured report a study, stored in the PACS that the marks came from."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
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
    OriginalReader,
    Originals,
    Outcome,
    SameUids,
    Sender,
    Sending,
    StudyFacts,
    Tracking,
)
from lesiongraph.pipeline.catalogue import read_catalogue
from lesiongraph.pipeline.identifiers import originals_of
from lesiongraph.pipeline.progress import Progress, silent
from lesiongraph.pipeline.push_ledger import LEASE_S, open_ledger, tracking_of
from lesiongraph.pipeline.reported_lesions import (
    algorithm_of,
    reportable_lesions,
    reported_lesions,
    under_known_uids,
    why_none,
)
from lesiongraph.workspace import RunReport, Workspace

REMARKS_KEPT = 20
FAILURES = (Outcome.NOT_MADE, Outcome.NO_IMAGE, Outcome.REFUSED)
ALWAYS_TOLD = (  # also where none
    *(outcome.value for outcome in (Outcome.STORED, Outcome.REPLACED, Outcome.THERE)),
    *("lesions in the reports", "failures"),
)


def push_to_pacs(
    workspace: Workspace,
    to: str | None,
    *,
    dry_run: Path | None = None,
    again: bool = False,
    settings: PacsSettings | None = None,
    originals: Originals | None = None,
    key: Path | None = None,
    store: str | None = None,
    progress: Progress = silent,
) -> RunReport:
    """Push to the DICOMweb service `to`; with `dry_run` write files into that folder instead.

    The UIDs of a de-identified workspace are led back to the PACS's by its key file, `key` where it is not in
    its usual place, unless `originals` are given. A dry run with `to` asks the PACS for headers and earlier
    reports; without, headers come from the files that were mined. `store` is the URL of the catalogue's
    database, by default the workspace's own.

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
            workspace, destination, originals=originals, dry_run=dry_run is not None, again=again,
            store=store, lease_s=_lease_s(settings or PacsSettings()), progress=progress,
        )  # fmt: skip


def _lease_s(settings: PacsSettings) -> float:
    return max(LEASE_S, 2 * (settings.retries + 1) * settings.timeout_s)


def _connection(to: str, settings: PacsSettings | None) -> DicomwebConnection:
    address = PacsAddress.parse(to)
    if address.protocol != DICOMWEB:
        raise UsageError(f"{address}: expected dicomweb+http(s)://…: reports are stored by DICOMweb only.")
    return DicomwebConnection(address, settings)


def _image_files(workspace: Workspace) -> dict[str, Path]:
    return {
        uid: Path(path)
        for part in read_catalogue(workspace).slices.parts()
        for uid, path in zip(part.sop_instance_uid, part.path, strict=True)
        if path
    }


def push(
    workspace: Workspace,
    destination: Destination,
    *,
    originals: Originals | None = None,
    dry_run: bool = False,
    again: bool = False,
    store: str | None = None,
    lease_s: float = LEASE_S,
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
    store : str, optional
        URL of the catalogue's database, which holds the ledger; by default the workspace's own.
    lease_s : float
        How long other machines leave a report to us that we claimed and did not confirm.
    progress : callable

    Raises
    ------
    StageMissingError
        If nothing was mined or matched.
    NotEnoughDataError
        If no lesion can be reported.
    LesionGraphError
        If the destination gives no usable answer; what was stored until then is kept in the ledger.
    StoreError, StoreMismatchError
        If the catalogue's database cannot be used, or is not the workspace's.
    """
    report = RunReport("push")
    originals = originals or SameUids()
    with workspace.lock():
        lesions = _lesions_to_report(workspace, originals, report)
        ledger = open_ledger(workspace, store, lease_s, report)
        sender = Sender(destination, ledger, record=not dry_run, again=again)
        try:
            stated = _stated_tracking(lesions, sender, originals, progress)
            tracking = tracking_of(lesions, stated, ledger, originals, keep=not dry_run)
            writer = _FactsWriter(tracking, originals, OriginalReader(originals), algorithm_of(workspace))
            _send_all(lesions, writer, sender, report, progress)
            _tell_what_stays(ledger.studies(destination.name) - set(lesions.study_instance_uid), report)
        finally:
            workspace.write_run_report("push", report.finish().as_dict())
    return report


def _lesions_to_report(workspace: Workspace, originals: Originals, report: RunReport) -> pd.DataFrame:
    """Return the lesions that the destination can be told of.

    Raises
    ------
    NotEnoughDataError
        If there is none.
    """
    lesions = under_known_uids(reportable_lesions(workspace, report), originals, report)
    if lesions.empty:
        raise NotEnoughDataError(
            "push", "a matched lesion with two axes on a DICOM image", why_none(report),
            f"Run `lesiongraph match -w {workspace.path}` first.",
        )  # fmt: skip
    return lesions


def _stated_tracking(
    lesions: pd.DataFrame, sender: Sender, originals: Originals, progress: Progress
) -> dict[str, Tracking]:
    """Return the tracking that the destination's reports state."""
    stated: dict[str, Tracking] = {}
    studies = lesions.study_instance_uid.unique()
    for done, study in enumerate(studies, 1):
        stated |= sender.known_tracking(originals.uid(study))
        progress("look for earlier reports", done, len(studies))
    return stated


@dataclass(frozen=True)
class _FactsWriter:
    """Says what the report of a study says."""

    tracking: Mapping[str, Tracking]
    originals: Originals
    reader: OriginalReader
    algorithm: Algorithm

    def __call__(self, study: str, lesions: pd.DataFrame) -> StudyFacts:
        reported = reported_lesions(lesions, self.tracking, self.reader, self.originals)
        return StudyFacts(self.originals.uid(study), tuple(reported), self.algorithm)


def _send_all(
    lesions: pd.DataFrame, facts_of: _FactsWriter, sender: Sender, report: RunReport, progress: Progress
) -> None:
    """Send study by study; each is counted before the next begins."""
    studies = lesions.study_instance_uid.nunique()
    report.counts["studies"] = studies
    report.counts["lesion groups"] = len({t.uid for t in facts_of.tracking.values()})
    report.counts.update(dict.fromkeys(ALWAYS_TOLD, 0))
    for done, (study, rows) in enumerate(lesions.groupby("study_instance_uid", sort=False), 1):
        _count(str(study), sender.send(str(study), facts_of(str(study), rows)), report)
        progress("send reports", done, studies)


def _count(study: str, sending: Sending, report: RunReport) -> None:
    report.counts[sending.outcome.value] += 1
    report.counts["lesions in the reports"] += sending.lesions
    report.counts["failures"] += sending.outcome in FAILURES
    if sending.remark:
        _remark(report, f"study {study}: {sending.outcome.value}: {sending.remark}")


def _tell_what_stays(studies: set[str], report: RunReport) -> None:
    if studies:
        report.notes.append(f"{len(studies)} studies reported before have no lesion now: their report stays")


def _remark(report: RunReport, remark: str) -> None:
    """Keep a remark about one study; of many, the first ones."""
    if sum(note.startswith("study ") for note in report.notes) < REMARKS_KEPT:
        report.notes.append(remark)
