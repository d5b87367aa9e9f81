"""Report sections about the marks themselves: counts, slices, rejections, locations, sizes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from lesiongraph.errors import LesionGraphError
from lesiongraph.figures import Section, atlas_figure, located_figure, marks_figure, size_figure
from lesiongraph.imaging import body_mask
from lesiongraph.lesion import REJECTED, Axis, BoundingBox
from lesiongraph.pipeline.report_context import ReportContext
from lesiongraph.pipeline.series_views import plane_spacing

_MARKS_A_SOURCE = 10
_REJECTED_ROWS = 200


def overview(context: ReportContext) -> Section:
    """Counts by source, status, type and subset."""
    lesions = context.catalogue.lesions
    by_source = lesions.groupby(["source", "status"]).size().unstack(fill_value=0).reset_index()
    by_type = (
        context.kept.assign(type=context.kept.type.replace("", "no type"), subset=context.kept.subset)
        .groupby(["type", "subset"]).size().unstack(fill_value=0).reset_index()
    )  # fmt: skip
    text = (
        f"{len(lesions)} marks of {lesions.patient_id.nunique()} patients in "
        f"{lesions.study_instance_uid.nunique()} studies; {len(context.kept)} kept. Seeds teach the type "
        "classifier and never train the triplet network; no patient is in two subsets."
    )
    return Section("", text, tables=[("Marks by source", by_source), ("Kept marks by type", by_type)])


def marks_on_slices(context: ReportContext) -> Section:
    """Some marks of each source on their slices, as the radiologist drew them."""
    section = Section(
        "",
        "Each mark on the slice it was drawn on: the axes in red, the box with its 5 px padding in green. "
        "A box beside the lesion means that coordinates were misread.",
    )
    kept = context.kept[context.kept.slice_index >= 0]
    for source, rows in kept.groupby("source"):
        chosen = rows.sample(min(_MARKS_A_SOURCE, len(rows)), random_state=context.rng_seed)
        marks = []
        for _, row in chosen.sort_values("lesion_id").iterrows():
            try:
                marks.append(context.mark_on_slice(row))
            except LesionGraphError as error:
                section.missing = str(error)
        if marks:
            section.figures.append((f"{source}: {len(marks)} of {len(rows)} marks", marks_figure(marks)))
    if not len(kept):
        section.missing = "no kept mark has an image"
    return section


def rejected_marks(context: ReportContext) -> Section:
    """Every reason with its count, and the rows, so that a person can judge the rule."""
    rejected = context.catalogue.lesions[context.catalogue.lesions.status == REJECTED]
    reasons = rejected.groupby(["source", "reason"]).size().rename("marks").reset_index()
    columns = ["lesion_id", "patient_id", "study_date", "source", "source_item", "reason"]
    text = f"{len(rejected)} marks were rejected. They stay in the catalogue with their reason."
    if not len(rejected):
        return Section("", text)
    return Section(
        "",
        text,
        tables=[
            ("Reasons", reasons),
            (f"The first {_REJECTED_ROWS}", rejected[columns].head(_REJECTED_ROWS)),
        ],
    )


def located_lesion(context: ReportContext) -> Section:
    """One lesion with its relative location drawn in."""
    kept = context.kept
    located = kept[(kept.slice_index >= 0) & kept[["x", "y", "z"]].notna().all(axis=1)]
    if not len(located):
        return Section("", "", missing="no located lesion with an image (run `lesiongraph locate`)")
    median = located.long_mm.median()
    row = located.iloc[int(np.argmin(np.abs(located.long_mm.to_numpy() - 1.5 * median)))]
    series = context.series_row(row.series_instance_uid)
    mark = context.mark_on_slice(row)
    hu = mark.hu[:: -1 if series.flip_y else 1, :: -1 if series.flip_x else 1]
    rows, columns = hu.shape
    flips = (bool(series.flip_x), bool(series.flip_y))
    lines = tuple(_flipped(line, columns, rows, flips) for line in mark.axes)
    mark = dataclasses.replace(mark, box=mark.box.flipped(columns, rows, *flips), axes=lines)
    body = body_mask(hu, plane_spacing(series.to_dict())).mask
    ys, xs = np.flatnonzero(body.any(axis=1)), np.flatnonzero(body.any(axis=0))
    extent = BoundingBox(xs[0], ys[0], xs[-1], ys[-1])
    return Section(
        "",
        "x and y are the centre of the lesion's box relative to the body's bounding box (dotted), z comes "
        "from the body part regressor: 0 at the head, 1 at the feet.",
        figures=[(f"Lesion {row.lesion_id}", located_figure(hu, mark, extent, (row.x, row.y, row.z)))],
    )


def sizes(context: ReportContext) -> Section:
    """Histograms of the two diameters."""
    figure = size_figure(context.kept.long_mm.to_numpy(float), context.kept.short_mm.to_numpy(float))
    return Section("", "Long and short axis of all kept marks.", figures=[("Sizes in mm", figure)])


def atlas(context: ReportContext) -> Section:
    """x against z of all located lesions, coloured by type."""
    located = context.kept.dropna(subset=["lx", "ly", "lz"])
    if not len(located):
        return Section("", "", missing="no located lesion (run `lesiongraph locate`)")
    figure = atlas_figure(located[["lx", "ly", "lz"]].to_numpy(float), located.type.tolist())
    section = Section(
        "",
        "Each dot is a lesion, as if one looked at the body from the front (the patient's right is on the "
        "left). Lung above liver above pelvis means that z works.",
        figures=[(f"{len(located)} located lesions", figure)],
    )
    if context.workspace.has("locations"):
        landmarks = context.workspace.open("locations", "locate").read_table("landmarks")
        if len(landmarks) and "z_centre" in landmarks:
            table = landmarks.groupby("name").agg(
                series=("z_centre", "size"), z_top=("z_top", "mean"), z_bottom=("z_bottom", "mean")
            )
            section.tables.append(
                ("z of the organs that structure sets name", table.round(3).astype(str).reset_index())
            )
    return section


def run_reports(context: ReportContext) -> Section:
    """Versions, weights, seconds and random seeds of every stage."""
    rows = [
        {
            "stage": verb,
            "seconds": report["seconds"],
            "random seed": report["rng_seed"],
            "weights": ", ".join(f"{w['name']} {w['sha256'][:12]}" for w in report["weights"]),
            "notes": "; ".join(report["notes"]),
        }
        for verb, report in context.workspace.read_run_reports().items()
    ]
    versions = next(iter(context.workspace.read_run_reports().values()))["versions"]
    return Section(
        "",
        "The last run of each stage; `lesiongraph VERB --json` prints the whole report.",
        tables=[
            ("Stages", pd.DataFrame(rows)),
            ("Versions", pd.DataFrame(list(versions.items()), columns=["package", "version"])),
        ],
    )


def _flipped(line: Axis, columns: int, rows: int, flips: tuple[bool, bool]) -> Axis:
    x0, x1 = (columns - 1 - line.x0, columns - 1 - line.x1) if flips[0] else (line.x0, line.x1)
    y0, y1 = (rows - 1 - line.y0, rows - 1 - line.y1) if flips[1] else (line.y0, line.y1)
    return Axis(x0, y0, x1, y1)
