"""Loose slices → where in the body they lie: no workspace, no marks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lesiongraph.bodypart import (
    Atlas,
    SsbrModel,
    cross_section,
    locate_series,
    place_names,
    remarked,
    slice_input,
)
from lesiongraph.errors import LesionGraphError, NotCtError, UnreadableImageError, UsageError
from lesiongraph.imaging import canonical_view
from lesiongraph.mining import LooseSeries, open_loose
from lesiongraph.pipeline.pixel_size import plane_spacing, spacing_remark, stated_spacing
from lesiongraph.pipeline.progress import Progress, silent
from lesiongraph.pipeline.series_locations import atlas_for, described, series_location
from lesiongraph.workspace import RunReport

COLUMNS = ["path", "slice", "score", "z", "confidence", "flag", "z_sd", "region", "landmark"]


def locate_slices(
    paths: Sequence[Path],
    *,
    window_hu: tuple[float, float] = (-175.0, 275.0),
    weights: Path | None = None,
    progress: Progress = silent,
) -> tuple[pd.DataFrame, RunReport]:
    """Score every slice below the paths, head to foot within a series.

    `slice` is the plane's number in a NIfTI file, the slice's number from the head in a DICOM series, 0 for
    a picture; `landmark` the nearest one and about how far; `z_sd` the expected error of z. A slice that
    cannot be read keeps its row: score and z are missing, `flag` says why. `report.details["series"]` holds a
    SERIES_LOCATIONS row for each series, with its `path` and the row in words (`summary`).

    What is not CT is left out and counted in `report.rejected`; NIfTI files left out are named in the notes.

    Raises
    ------
    SourceNotFoundError
        If a path does not exist or holds no image.
    NotCtError, UnreadableImageError
        If nothing can be scored; the first cause.
    UsageError
        If the window is empty.
    """
    if not window_hu[0] < window_hu[1]:
        raise UsageError(f"--window {window_hu[0]:g} {window_hu[1]:g}: expected LO below HI.")
    report = RunReport("locate-slices")
    model = SsbrModel.load(weights)
    report.weights.append({"name": model.name, "sha256": model.sha256})
    atlas = atlas_for(model, report)
    tables: list[pd.DataFrame] = []
    series: list[dict[str, object]] = []
    causes: list[LesionGraphError] = []
    for done, path in enumerate(paths, start=1):
        try:
            named: list[NotCtError | UnreadableImageError] = []
            for loose in open_loose(path, window_hu, report.rejected, named):
                rows, summary = _locate(loose, model, atlas)
                tables.append(rows)
                series.append({**summary, "path": str(path)})
            report.notes += [str(cause) for cause in named]
        except (NotCtError, UnreadableImageError) as cause:
            causes.append(cause)
            report.notes += dict.fromkeys(str(each) for each in [cause, *named])
        progress("locate", done, len(paths))
    if not tables:
        raise causes[0]
    rows = pd.concat(tables, ignore_index=True)[COLUMNS]
    report.details["series"] = series
    report.counts.update({"series": len(tables), "slices": len(rows), "scored": int(rows.z.notna().sum())})
    report.counts["series flagged"] = sum(row["flag"] != "" for row in series)
    flags = rows.flag[rows.z.isna()].value_counts()
    report.rejected.update({str(flag): int(number) for flag, number in flags.items()})
    return rows, report.finish()


def _locate(
    loose: LooseSeries, model: SsbrModel, atlas: Atlas | None
) -> tuple[pd.DataFrame, dict[str, object]]:
    rows = loose.slices[["path", "frame", "slice_index", "position_mm"]].reset_index(drop=True)
    rows["slice"] = rows.frame if loose.series["kind"] == "nifti" else rows.slice_index
    rows = rows.assign(score=np.nan, z=np.nan, z_sd=np.nan, confidence=0.0, flag="", region="", landmark="")
    read, inputs, sections = [], [], []
    for i, hu, reason in _slices(loose, [int(index) for index in rows.slice_index]):
        if hu is None:
            rows.loc[i, "flag"] = reason
            continue
        canonical = canonical_view(hu, bool(loose.series["flip_x"]), bool(loose.series["flip_y"]))
        inputs.append(slice_input(canonical, plane_spacing(loose.series), mode=model.slice_mode))
        sections.append(cross_section(canonical, stated_spacing(loose.series)))
        read.append(i)
    seen = np.stack(inputs) if inputs else np.zeros((0, 128, 128), np.uint8)
    found = locate_series(model, seen, rows.position_mm.to_numpy(float)[read], atlas, sections)
    if loose.series["kind"] != "picture":  # no picture has a pixel size: nothing is wrong with it
        found = remarked(found, spacing_remark(loose.series))
    numbers = ["score", "z", "z_sd", "confidence"]
    rows.loc[read, numbers] = np.stack([getattr(found, name) for name in numbers], axis=1)
    rows.loc[read, "flag"] = found.flag
    if atlas is not None:
        names = place_names(found, atlas)
        rows.loc[read, "region"] = [region for region, _ in names]
        rows.loc[read, "landmark"] = [landmark for _, landmark in names]
    given = str(loose.series.get("body_part_examined") or "")
    summary = series_location(str(loose.series["series_instance_uid"]), found, atlas, given)
    return rows, {**summary, "summary": described(summary)}


def _slices(loose: LooseSeries, indices: Sequence[int]) -> Iterator[tuple[int, np.ndarray | None, str]]:
    """Yield (row, HU or None, why not) one slice at a time, so that a long series needs little memory."""
    for i, index in enumerate(indices):
        try:
            yield i, loose.reader.read([index])[0], ""
        except LesionGraphError as error:
            yield i, None, f"unreadable: {getattr(error, 'cause', None) or getattr(error, 'found', error)}"
