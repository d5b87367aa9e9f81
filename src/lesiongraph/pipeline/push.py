"""Lesion groups → one structured report a study, stored in the PACS that the marks came from."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from lesiongraph import __version__
from lesiongraph.errors import NotEnoughDataError, UsageError
from lesiongraph.lesion import KEPT, Axis, RecistMark
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
    ReportedLesion,
    SameUids,
    Sender,
    StudyFacts,
    Tracking,
    assign_tracking,
)
from lesiongraph.pipeline.catalogue import catalogue_table, read_catalogue
from lesiongraph.pipeline.progress import Progress, silent
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
    progress: Progress = silent,
) -> RunReport:
    """Push to the DICOMweb service `to`; with `dry_run` write files into that folder instead.

    A dry run with `to` asks the PACS for headers and earlier reports; without, headers come from the files
    that were mined.

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
        lesions = _lesions(workspace, report)
        algorithm = _algorithm(workspace)
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
        finally:
            workspace.write_run_report("push", report.finish().as_dict())
    return report


def _lesions(workspace: Workspace, report: RunReport) -> pd.DataFrame:
    """Return the rows that can be reported, and count those that cannot by the reason."""
    table = catalogue_table(workspace)
    groups = workspace.open("groups", "match", "matched groups").read_table("groups")
    table = table[table.status == KEPT].merge(
        groups[["lesion", "group", "probability", "state_before"]],
        left_on="lesion_id", right_on="lesion", how="left",
    )  # fmt: skip
    catalogue = read_catalogue(workspace)
    kinds = catalogue.series.set_index("series_instance_uid").kind
    axes = table[["long_x0", "long_y0", "long_x1", "long_y1", "short_x0", "short_y0", "short_x1", "short_y1"]]
    reasons = {
        "not from DICOM": table.series_instance_uid.map(kinds) != "dicom",
        "no long and short axis": axes.isna().any(axis=1),
        "not matched yet (run embed and match)": table.group.isna(),
    }
    table = table.assign(_why="")
    for reason, applies in reversed(reasons.items()):
        table.loc[applies, "_why"] = reason
    report.counts["lesions of the catalogue"] = len(table)
    report.rejected.update({str(k): int(n) for k, n in table._why[table._why != ""].value_counts().items()})
    table = table[table._why == ""]
    if table.empty:
        raise NotEnoughDataError(
            "push", "a matched lesion with two axes on a DICOM image", "none",
            f"Run `lesiongraph match -w {workspace.path}` first.",
        )  # fmt: skip
    frames = catalogue.slices.set_index(["series_instance_uid", "slice_index"]).frame
    places = pd.MultiIndex.from_frame(table[["series_instance_uid", "slice_index"]])
    table = table.assign(_frame=frames.reindex(places).fillna(0).astype(int).to_numpy())
    table = table.join(_predicted_types(workspace, report), on="lesion_id")
    return table.sort_values(
        ["patient_id", "study_date", "study_instance_uid", "lesion_id"], ignore_index=True
    )


def _predicted_types(workspace: Workspace, report: RunReport) -> pd.DataFrame:
    """Return the types that training gave to lesions without one, where it gave a probability too."""
    empty = pd.DataFrame({"predicted_type": [], "type_probability": []}, dtype="object")
    if not workspace.has("model"):
        return empty
    folder = workspace.open("model", "train")
    labels = folder.read_table("pseudo_labels").set_index("lesion_id")
    labels = labels[labels.type != ""]
    if folder.read_json("about").get("recipe", {}).get("abstain") is None:  # the bare classifier's confidence
        if len(labels):
            report.notes.append(
                f"{len(labels)} predicted types are left out: their labeller gives no probability"
            )
        return empty
    return labels.rename(columns={"type": "predicted_type", "confidence": "type_probability"})[
        ["predicted_type", "type_probability"]
    ]


def _algorithm(workspace: Workspace) -> Algorithm:
    """Return what joined the lesions: settings that decide, none that each run changes."""
    setting = workspace.open("groups", "match").read_json("thresholds")
    parameters = [f"{name}={_said(setting[name])}" for name in ("matcher", "feature", "cues", "t1", "t2")]
    if workspace.has("embedding"):
        embedder = str(workspace.open("embedding", "embed").read_json("origin")["model"])
        own = not embedder.startswith("packaged")  # its key changes with every training: it says nothing
        parameters.append("embedder=" + ("trained on this archive" if own else embedder))
    model = catalogue_table(workspace).z_model
    parameters += [f"body location={name}" for name in sorted(set(model.dropna()) - {""})]
    return Algorithm("lesiongraph", __version__, tuple(parameters))


def _said(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "+".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


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
            originals.uid(str(study)), tuple(_reported(rows, tracking, reader, originals)), algorithm
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


def _reported(
    rows: pd.DataFrame, tracking: Mapping[str, Tracking], reader: OriginalReader, originals: Originals
) -> Iterator[ReportedLesion]:
    for row in rows.sort_values("source_path", kind="stable").to_dict("records"):
        yield ReportedLesion(
            lesion_id=row["lesion_id"],
            tracking=tracking[row["lesion_id"]],
            series_instance_uid=originals.uid(row["series_instance_uid"]),
            sop_instance_uid=originals.uid(row["sop_instance_uid"]),
            frame=row["_frame"],
            mark=RecistMark(_axis(row, "long"), _axis(row, "short")),
            long_mm=row["long_mm"],
            short_mm=row["short_mm"],
            original=reader.read(Path(row["source_path"]), row["source_item"], _words(row)),
            type=row["type"],
            predicted_type=_text(row["predicted_type"]),
            type_probability=_number(row["type_probability"]),
            z=_number(row["z"]),
            z_sd=_number(row["z_sd"]),
            region=_text(row["region"]),
            match_probability=_number(row["probability"]),
            state_before=_text(row["state_before"]),
        )


def _axis(row: Mapping[str, float], name: str) -> Axis:
    return Axis(*(float(row[f"{name}_{end}"]) for end in ("x0", "y0", "x1", "y1")))


def _words(row: Mapping[str, str]) -> str:
    return "; ".join(dict.fromkeys(filter(None, (row["finding"], row["finding_site"]))))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
