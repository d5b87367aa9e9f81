"""Catalogue, locations and groups → what a report says of each lesion."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from lesiongraph import __version__
from lesiongraph.errors import UnknownOriginalError
from lesiongraph.lesion import KEPT, Axis, RecistMark
from lesiongraph.mining.write_back import (
    Algorithm,
    OriginalReader,
    Originals,
    ReportedLesion,
    Tracking,
)
from lesiongraph.pipeline.catalogue import catalogue_table, read_catalogue
from lesiongraph.workspace import RunReport, SortedTable, Workspace


def reportable_lesions(workspace: Workspace, report: RunReport) -> pd.DataFrame:
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
    table = table.assign(_frame=_frames(table, catalogue.slices))
    table = table.join(_predicted_types(workspace, report), on="lesion_id")
    return table.sort_values(
        ["patient_id", "study_date", "study_instance_uid", "lesion_id"], ignore_index=True
    )


def _frames(lesions: pd.DataFrame, slices: SortedTable) -> list[int]:
    """Return the frame of each lesion's image file: 0 but in multi-frame objects."""
    frames: dict[tuple[str, int], int] = {}
    for part in slices.parts():
        rows = part[part.frame != 0]
        frames |= dict(
            zip(zip(rows.series_instance_uid, rows.slice_index, strict=True), rows.frame, strict=True)
        )
    places = zip(lesions.series_instance_uid, lesions.slice_index, strict=True)
    return [int(frames.get(place, 0)) for place in places]


def why_none(report: RunReport) -> str:
    """Return in words what was left out, where nothing else was there."""
    return "; ".join(f"{number} {reason}" for reason, number in report.rejected.items()) or "none"


def under_known_uids(lesions: pd.DataFrame, originals: Originals, report: RunReport) -> pd.DataFrame:
    """Return the lesions whose study, series and image the PACS knows by a UID that we know too."""

    def is_known(row: tuple[str, ...]) -> bool:
        try:
            return all(map(originals.uid, row))
        except UnknownOriginalError:
            return False

    uids = lesions[["study_instance_uid", "series_instance_uid", "sop_instance_uid"]]
    known = [is_known(row) for row in uids.itertuples(index=False, name=None)]
    if not all(known):
        report.rejected["original UID not known (another key file?)"] = known.count(False)
    return lesions[known].reset_index(drop=True)


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


def algorithm_of(workspace: Workspace) -> Algorithm:
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


def reported_lesions(
    rows: pd.DataFrame, tracking: Mapping[str, Tracking], reader: OriginalReader, originals: Originals
) -> Iterator[ReportedLesion]:
    """Yield what is said of the lesions of one study; marks of one object are read one after the other."""
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
