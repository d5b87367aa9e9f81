"""Patches + trained network → one embedding a lesion."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lesiongraph.embedding import CachedLesions, PatchLesions, PatchLike, TrainedEmbedder
from lesiongraph.embedding import embed as embed_lesions
from lesiongraph.imaging import PatchStore
from lesiongraph.pipeline.embedder import PACKAGED_NOTE, WorkspaceEmbedder, workspace_embedder
from lesiongraph.pipeline.features import Features, ensure_features, write_vectors
from lesiongraph.pipeline.former_vectors import FormerVectors
from lesiongraph.pipeline.patches import ensure_patches
from lesiongraph.pipeline.progress import Progress, silent
from lesiongraph.pipeline.training_set import lesions_in_order, places_of
from lesiongraph.workspace import RunReport, Workspace, fingerprint


class PatchRows:
    """The patches of a store by row, or those of some rows, as the network reads them."""

    def __init__(self, store: PatchStore, rows: np.ndarray | None = None) -> None:
        self._store = store
        ids = store.lesion_ids
        self._ids = list(ids) if rows is None else [ids[row] for row in rows]

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, row: int, /) -> PatchLike:
        return self._store[self._ids[row]]


def embed(workspace: Workspace, *, vgg16: Path | None = None, progress: Progress = silent) -> RunReport:
    """Embed every kept lesion that has an image, by the workspace's own embedder or else the packaged one.

    Raises
    ------
    WeightsError
        If the embedder's trunk is absent.
    """
    report = RunReport("embed")
    with workspace.lock():
        embedder = workspace_embedder(workspace)
        patches = ensure_patches(workspace, embedder.imaging, report, progress)
        _embed_all(workspace, patches, embedder, report, vgg16=vgg16, progress=progress)
        if embedder.path is None:
            report.notes.append(PACKAGED_NOTE)
        workspace.write_run_report("embed", report.finish().as_dict())
    return report


def _embed_all(
    workspace: Workspace,
    patches: PatchStore,
    embedder: WorkspaceEmbedder,
    report: RunReport,
    *,
    vgg16: Path | None,
    progress: Progress,
) -> None:
    recipe = embedder.recipe
    # a head that is told where a lesion lies depends on where `locate` says it does
    located = workspace.key("locations") if recipe.place_width and workspace.has("locations") else ""
    key = fingerprint(workspace.key("patches"), embedder.key, located)
    report.already_done = workspace.is_current("embedding", key)
    if not report.already_done:
        model = embedder.load(report, vgg16)
        features = None
        if not recipe.train_trunk:
            features = ensure_features(
                workspace, patches, model.trunk, recipe.roi_size, progress, pool=recipe.pool
            )
        places = places_of(lesions_in_order(workspace, list(patches.lesion_ids)))
        if recipe.place_width:
            report.counts["lesions without a location (embedded without it)"] = int(
                np.isnan(places[:, :3]).any(axis=1).sum()
            )
        told = places if recipe.place_width else None
        former = FormerVectors.of(workspace, patches.lesion_ids, told, embedder.key)
        new = former.new
        vectors = former.complete(embed_with(model, patches, features, places, progress, rows=new))
        report.counts["lesions embedded before, unchanged"] = len(patches) - len(new)
        with workspace.write("embedding", key) as out:
            origin = {"model": embedder.key, "trunk": recipe.trunk, "dimensions": vectors.shape[1]}
            write_vectors(workspace, out, list(patches.lesion_ids), vectors, origin)
            former.write(out)
    report.counts["lesions embedded"] = len(patches)
    report.details.update(trunk=recipe.trunk, frozen=not recipe.train_trunk, embedding=recipe.embedding_width)


def embed_with(
    model: TrainedEmbedder,
    patches: PatchStore,
    features: Features | None,
    places: np.ndarray,
    progress: Progress = silent,
    *,
    rows: np.ndarray | None = None,
) -> np.ndarray:
    """Embed patches: from the cached maps where the trunk is frozen, else through the trained trunk.

    Parameters
    ----------
    places : (N, 5) array
        Location and size of the patches' lesions, in their order (`places_of`).
    rows : (n,) int array, optional
        Which of the patches; all of them where none are named.

    Returns
    -------
    (n, D) float32 array
    """
    recipe = model.recipe
    if rows is not None and not len(rows):
        return np.empty((0, recipe.embedding_width), np.float32)
    inputs = (
        CachedLesions(features.maps, rows, places=places)
        if features is not None
        else PatchLesions(
            PatchRows(patches, rows),
            model.trunk,
            recipe.roi_size,
            recipe.pool,
            places=places if rows is None else places[rows],
        )
    )
    return embed_lesions(model, inputs, progress=lambda done, total: progress("embed", done, total))
