"""Catalogue → patches, cut once, so that training never touches DICOM again (Sec. 3)."""

from __future__ import annotations

import hashlib

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

_KEYS = "keys"  # table of the stage: lesion, and the key of what its patch was cut from


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
    if not workspace.is_current("patches", key) and (taken := _cut_all(workspace, recipe, key, progress)):
        report.counts["patches taken over"] = taken
    folder = workspace.open("patches", "embed")
    summary = folder.read_json("summary")
    report.counts["patches"] = summary["patches"]
    report.rejected.update(summary["unreadable"])
    return PatchStore(folder.path / "patches")


def _cut_all(workspace: Workspace, recipe: ImagingRecipe, key: str, progress: Progress) -> int:
    """Cut all patches, or take them over; return how many were taken over."""
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
    before = _CutBefore.read(workspace, patch_provenance(recipe))
    keys: dict[str, str] = {}
    with workspace.write("patches", key) as folder:
        with PatchWriter(folder.path / "patches", patch_provenance(recipe)) as writer:
            for series_uid, marks in todo.groupby("series_instance_uid"):
                slices = slices_of[series_uid].sort_values("slice_index")
                series = series_rows.loc[series_uid].to_dict()
                reader = CachedReader(open_series(series, slices))
                from_series = _digest(slices), series
                for row in marks.sort_values(["slice_index", "lesion_id"]).itertuples():
                    box = (row.slice_index, row.x0, row.y0, row.x1, row.y1)
                    keys[row.lesion_id] = fingerprint(*from_series, *map(float, box))
                    reason = ""
                    if not before.take(row.lesion_id, keys[row.lesion_id], writer):
                        reason = _cut_one(writer, reader, (series, slices), row, recipe)
                    if reason:
                        unreadable[reason] = unreadable.get(reason, 0) + 1
                    written += 1
                    progress("cut patches", written, len(todo))
        folder.write_table(_KEYS, pd.DataFrame({"lesion_id": list(keys), "key": list(keys.values())}))
        folder.write_json(
            "summary", {"patches": len(todo) - sum(unreadable.values()), "unreadable": unreadable}
        )
    return before.taken


class _CutBefore:
    """The former patches, by what each was cut from: a new study must not have all the others cut again."""

    def __init__(self, store: PatchStore | None, keys: dict[str, str]) -> None:
        self._store, self._keys = store, keys
        self.taken = 0

    @classmethod
    def read(cls, workspace: Workspace, provenance: str) -> _CutBefore:
        """Read the former result; an empty one where there is none, or it was cut by another recipe."""
        if not workspace.has("patches"):
            return cls(None, {})
        folder = workspace.open("patches", "embed")
        if not (folder.path / f"{_KEYS}.parquet").exists():
            return cls(None, {})  # of an earlier version
        keys = folder.read_table(_KEYS)
        store = PatchStore.open_current(folder.path / "patches", provenance)
        return cls(store, dict(zip(keys.lesion_id, keys.key, strict=True)))

    def take(self, lesion_id: str, key: str, writer: PatchWriter) -> bool:
        """Append the former patch of a lesion, where it was cut from the same."""
        if self._store is None or self._keys.get(lesion_id) != key or lesion_id not in self._store:
            return False
        writer.append(lesion_id, self._store[lesion_id])
        self.taken += 1
        return True


def _digest(slices: pd.DataFrame) -> str:
    hashes = pd.util.hash_pandas_object(slices, index=False).to_numpy()
    return hashlib.sha256(hashes.tobytes()).hexdigest()[:16]


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
