"""Loose slices → where in the body they lie: no workspace, no marks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lesiongraph.bodypart import SsbrModel, locate_series, slice_input
from lesiongraph.errors import LesionGraphError, UsageError
from lesiongraph.imaging import canonical_view
from lesiongraph.mining import LooseSeries, open_loose
from lesiongraph.pipeline.progress import Progress, silent
from lesiongraph.pipeline.series_views import plane_spacing
from lesiongraph.workspace import RunReport

COLUMNS = ["path", "slice", "score", "z", "confidence", "flag"]


def locate_slices(
    paths: Sequence[Path],
    *,
    window_hu: tuple[float, float] = (-175.0, 275.0),
    weights: Path | None = None,
    progress: Progress = silent,
) -> tuple[pd.DataFrame, RunReport]:
    """Score every slice below the paths, head to foot within a series.

    `slice` is the plane's number in a NIfTI file, the slice's number from the head in a DICOM series, 0 for
    a picture. A slice that cannot be read keeps its row: score and z are missing, `flag` says why.

    Raises
    ------
    SourceNotFoundError
        If a path does not exist or holds no image.
    UsageError
        If the window is empty.
    """
    if not window_hu[0] < window_hu[1]:
        raise UsageError(f"--window {window_hu[0]:g} {window_hu[1]:g}: expected LO below HI.")
    report = RunReport("locate-slices")
    model = SsbrModel.load(weights)
    report.weights.append({"name": model.name, "sha256": model.sha256})
    tables = []
    for done, path in enumerate(paths, start=1):
        tables += [_locate(loose, model) for loose in open_loose(path, window_hu)]
        progress("locate", done, len(paths))
    rows = pd.concat(tables, ignore_index=True)[COLUMNS]
    report.counts.update({"series": len(tables), "slices": len(rows), "scored": int(rows.z.notna().sum())})
    flags = rows.flag[rows.z.isna()].value_counts()
    report.rejected.update({str(flag): int(number) for flag, number in flags.items()})
    return rows, report.finish()


def _locate(loose: LooseSeries, model: SsbrModel) -> pd.DataFrame:
    rows = loose.slices[["path", "frame", "slice_index", "position_mm"]].reset_index(drop=True)
    rows["slice"] = rows.frame if loose.series["kind"] == "nifti" else rows.slice_index
    rows = rows.assign(score=np.nan, z=np.nan, confidence=0.0, flag="")
    read, inputs = [], []
    for i, hu, reason in _slices(loose, [int(index) for index in rows.slice_index]):
        if hu is None:
            rows.loc[i, "flag"] = reason
            continue
        canonical = canonical_view(hu, bool(loose.series["flip_x"]), bool(loose.series["flip_y"]))
        inputs.append(slice_input(canonical, plane_spacing(loose.series), mode=model.slice_mode))
        read.append(i)
    if read:
        found = locate_series(model, np.stack(inputs), rows.position_mm.to_numpy(float)[read])
        rows.loc[read, ["score", "z", "confidence"]] = np.stack(
            [found.score, found.z, found.confidence], axis=1
        )
        rows.loc[read, "flag"] = found.flag
    return rows


def _slices(loose: LooseSeries, indices: Sequence[int]) -> Iterator[tuple[int, np.ndarray | None, str]]:
    """Yield (row, HU or None, why not) one slice at a time, so that a long series needs little memory."""
    for i, index in enumerate(indices):
        try:
            yield i, loose.reader.read([index])[0], ""
        except LesionGraphError as error:
            yield i, None, f"unreadable: {getattr(error, 'cause', None) or getattr(error, 'found', error)}"
