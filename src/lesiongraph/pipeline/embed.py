"""Patches + trained network → one embedding a lesion."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lesiongraph.embedding import CachedLesions, PatchLesions, PatchLike, TrainedEmbedder
from lesiongraph.embedding import embed as embed_lesions
from lesiongraph.imaging import PatchStore
from lesiongraph.pipeline.features import Features, ensure_features, open_trunk, write_vectors
from lesiongraph.pipeline.patches import ensure_patches
from lesiongraph.pipeline.progress import Progress, silent
from lesiongraph.recipe import DEMO, EmbeddingRecipe, ImagingRecipe
from lesiongraph.workspace import RunReport, Workspace, fingerprint


class PatchRows:
    """The patches of a store by row, as the network reads them."""

    def __init__(self, store: PatchStore) -> None:
        self._store = store
        self._ids = list(store.lesion_ids)

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, row: int, /) -> PatchLike:
        return self._store[self._ids[row]]


def embed(workspace: Workspace, *, vgg16: Path | None = None, progress: Progress = silent) -> RunReport:
    """Embed every kept lesion that has an image.

    Before `train` has run there is no embedding: then only the initial feature of the packaged narrow
    trunk is made, and the report says so.
    """
    report = RunReport("embed")
    with workspace.lock():
        if workspace.has("model"):
            about = workspace.open("model", "train").read_json("about")
            patches = ensure_patches(workspace, ImagingRecipe(**about.get("imaging", {})), report, progress)
            _embed_all(workspace, patches, vgg16, report, progress)
        else:
            patches = ensure_patches(workspace, ImagingRecipe(), report, progress)
            trunk = open_trunk(DEMO.embedding.trunk, report)
            former = workspace.key("initial")
            ensure_features(workspace, patches, trunk, DEMO.embedding.roi_size, progress)
            report.already_done = workspace.is_current("initial", former)
            report.notes.append(
                "no trained model in this workspace: the initial feature was made, "
                "the embedding was not (run `lesiongraph train`; `--feature initial` searches without)"
            )
        workspace.write_run_report("embed", report.finish().as_dict())
    return report


def _embed_all(
    workspace: Workspace, patches: PatchStore, vgg16: Path | None, report: RunReport, progress: Progress
) -> None:
    folder = workspace.open("model", "train")
    about = folder.read_json("about")
    recipe = EmbeddingRecipe.from_stated(about["recipe"])
    key = fingerprint(workspace.key("patches"), workspace.key("model"))
    report.already_done = workspace.is_current("embedding", key)
    if not report.already_done:
        path = folder.path / "embedder.safetensors"
        if recipe.train_trunk:
            model = TrainedEmbedder.load(path)
            features = None
        else:
            init = "scratch" if about["trunk_origin"] == "scratch" else "imagenet"
            trunk = open_trunk(recipe.trunk, report, vgg16=vgg16, init=init)
            model = TrainedEmbedder.load(path, trunk)
            features = ensure_features(workspace, patches, trunk, recipe.roi_size, progress, pool=recipe.pool)
        vectors = embed_with(model, patches, features, progress)
        with workspace.write("embedding", key) as out:
            origin = {"model": workspace.key("model"), "trunk": recipe.trunk, "dimensions": vectors.shape[1]}
            write_vectors(workspace, out, list(patches.lesion_ids), vectors, origin)
    report.counts["lesions embedded"] = len(patches)
    report.details.update(trunk=recipe.trunk, frozen=not recipe.train_trunk, embedding=recipe.embedding_width)


def embed_with(
    model: TrainedEmbedder, patches: PatchStore, features: Features | None, progress: Progress = silent
) -> np.ndarray:
    """Embed all patches: from the cached maps where the trunk is frozen, else through the trained trunk."""
    inputs = (
        CachedLesions(features.maps)
        if features is not None
        else PatchLesions(PatchRows(patches), model.trunk, model.recipe.roi_size, model.recipe.pool)
    )
    return embed_lesions(model, inputs, progress=lambda done, total: progress("embed", done, total))
