"""Catalogue → patches, cut once, so that training never touches DICOM again (Sec. 3)."""

from __future__ import annotations

import pandas as pd

from lesiongraph.errors import LesionGraphError, NotEnoughDataError
from lesiongraph.imaging import Patch, PatchStore, PatchWriter, cut_patch, patch_provenance
from lesiongraph.lesion import KEPT, BoundingBox
from lesiongraph.mining import SliceReader, open_series
from lesiongraph.pipeline.catalogue import read_catalogue
from lesiongraph.pipeline.inputs_of import mark_keys, series_keys
from lesiongraph.pipeline.progress import Progress, silent
from lesiongraph.pipeline.slice_cache import CachedReader
from lesiongraph.recipe import ImagingRecipe
from lesiongraph.workspace import DamagedResultError, RunReport, Workspace, fingerprint

_KEYS = "patch_keys"


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
    report.counts["patches taken over, unchanged"] = summary.get("taken over", 0)
    report.rejected.update(summary["unreadable"])
    return PatchStore(folder.path / "patches")


def patch_keys(workspace: Workspace) -> dict[str, str]:
    """Return what each patch of the `patches` stage was cut from, by lesion id; none of earlier versions."""
    if not workspace.has("patches"):
        return {}
    try:
        table = workspace.open("patches", "embed").read_table(_KEYS)
    except DamagedResultError:
        return {}
    return dict(zip(table["lesion_id"], table["key"], strict=True))


def _cut_all(workspace: Workspace, recipe: ImagingRecipe, key: str, progress: Progress) -> None:
    catalogue = read_catalogue(workspace)
    lesions = catalogue.lesions
    todo = lesions[(lesions.status == KEPT) & (lesions.slice_index >= 0)]
    if not len(todo):
        raise NotEnoughDataError(
            "Patches", "at least one kept lesion with an image", 0, "Mine a source that has images."
        )
    series_rows = catalogue.series.set_index("series_instance_uid", drop=False)
    keys = mark_keys(todo, series_keys(catalogue)).to_dict()
    former = _FormerPatches.of(workspace, recipe)
    unreadable: dict[str, int] = {}
    taken_over = written = 0
    with workspace.write("patches", key) as folder:
        with PatchWriter(folder.path / "patches", patch_provenance(recipe)) as writer:
            for series_uid, marks in todo.groupby("series_instance_uid"):
                slices = catalogue.slices.of(series_uid)
                series = series_rows.loc[series_uid].to_dict()
                reader = CachedReader(open_series(series, slices))
                for row in marks.sort_values(["slice_index", "lesion_id"]).itertuples():
                    patch = former.take(row.lesion_id, keys[row.lesion_id])
                    if patch is not None:
                        writer.append(row.lesion_id, patch)
                        taken_over += 1
                    elif reason := _cut_one(writer, reader, (series, slices), row, recipe):
                        unreadable[reason] = unreadable.get(reason, 0) + 1
                        del keys[row.lesion_id]
                    written += 1
                    progress("cut patches", written, len(todo))
        patches = len(todo) - sum(unreadable.values())
        folder.write_json("summary", {"patches": patches, "taken over": taken_over, "unreadable": unreadable})
        folder.write_table(_KEYS, pd.DataFrame({"lesion_id": list(keys), "key": list(keys.values())}))


class _FormerPatches:
    """The patches of the stage's former result, as far as they were cut from the same by the same recipe."""

    def __init__(self, store: PatchStore | None, keys: dict[str, str]) -> None:
        self._store, self._keys = store, keys

    @classmethod
    def of(cls, workspace: Workspace, recipe: ImagingRecipe) -> _FormerPatches:
        keys = patch_keys(workspace)
        if not keys:
            return cls(None, {})
        path = workspace.open("patches", "embed").path / "patches"
        return cls(PatchStore.open_current(path, patch_provenance(recipe)), keys)

    def take(self, lesion_id: str, key: str) -> Patch | None:
        """Return the former patch of a lesion, None where its inputs have changed."""
        if self._store is None or self._keys.get(lesion_id) != key:
            return None
        return self._store[lesion_id]


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
