"""Catalogue → patches, cut once, so that training never touches DICOM again (Sec. 3)."""

from __future__ import annotations

import pandas as pd

from lesiongraph.errors import LesionGraphError, NotEnoughDataError
from lesiongraph.imaging import PatchStore, PatchWriter, cut_patch, patch_provenance
from lesiongraph.lesion import KEPT, BoundingBox
from lesiongraph.mining import SliceReader, open_series
from lesiongraph.pipeline.catalogue import read_catalogue
from lesiongraph.pipeline.progress import Progress, silent
from lesiongraph.pipeline.slice_cache import CachedReader
from lesiongraph.recipe import ImagingRecipe
from lesiongraph.workspace import RunReport, Workspace, fingerprint


def ensure_patches(
    workspace: Workspace, recipe: ImagingRecipe, report: RunReport, progress: Progress = silent
) -> PatchStore:
    """Return the patches of all kept lesions that have an image, cutting them where that is not done yet.

    A lesion whose pixels cannot be read is counted in the report and has no patch; it stays in the
    catalogue.

    Raises
    ------
    NotEnoughDataError
        If no kept lesion has an image.
    """
    key = fingerprint(workspace.key("catalogue"), patch_provenance(recipe))
    if not workspace.is_current("patches", key):
        _cut_all(workspace, recipe, key, progress)
    folder = workspace.open("patches", "embed")
    summary = folder.read_json("summary")
    report.counts["patches"] = summary["patches"]
    report.rejected.update(summary["unreadable"])
    return PatchStore(folder.path / "patches")


def _cut_all(workspace: Workspace, recipe: ImagingRecipe, key: str, progress: Progress) -> None:
    catalogue = read_catalogue(workspace)
    lesions = catalogue.lesions
    todo = lesions[(lesions.status == KEPT) & (lesions.slice_index >= 0)]
    if not len(todo):
        raise NotEnoughDataError(
            "Patches", "at least one kept lesion with an image", 0, "Mine a source that has images."
        )
    series_rows = catalogue.series.set_index("series_instance_uid", drop=False)
    slices_of = dict(tuple(catalogue.slices.groupby("series_instance_uid")))
    unreadable: dict[str, int] = {}
    written = 0
    with workspace.write("patches", key) as folder:
        with PatchWriter(folder.path / "patches", patch_provenance(recipe)) as writer:
            for series_uid, marks in todo.groupby("series_instance_uid"):
                slices = slices_of[series_uid].sort_values("slice_index")
                series = series_rows.loc[series_uid].to_dict()
                reader = CachedReader(open_series(series, slices))
                for row in marks.sort_values(["slice_index", "lesion_id"]).itertuples():
                    reason = _cut_one(writer, reader, (series, slices), row, recipe)
                    if reason:
                        unreadable[reason] = unreadable.get(reason, 0) + 1
                    written += 1
                    progress("cut patches", written, len(todo))
        folder.write_json(
            "summary", {"patches": len(todo) - sum(unreadable.values()), "unreadable": unreadable}
        )


def _cut_one(
    writer: PatchWriter,
    reader: SliceReader,
    series: tuple[dict[str, object], pd.DataFrame],
    row: object,
    recipe: ImagingRecipe,
) -> str:
    """Append one lesion's patch; return why it could not be cut, "" when it was."""
    box = BoundingBox(row.x0, row.y0, row.x1, row.y1)  # type: ignore[attr-defined]
    try:
        patch = cut_patch(reader, *series, row.slice_index, box, recipe)  # type: ignore[attr-defined]
    except LesionGraphError as error:
        return f"no patch: {getattr(error, 'cause', type(error).__name__)}"
    writer.append(row.lesion_id, patch)  # type: ignore[attr-defined]
    return ""
