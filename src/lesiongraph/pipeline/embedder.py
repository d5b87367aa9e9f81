"""Which embedder a workspace's lesions are embedded by: the one trained on them, else the packaged one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lesiongraph.embedding import TrainedEmbedder, load_packaged_embedder, packaged_embedder_info
from lesiongraph.pipeline.features import open_trunk
from lesiongraph.recipe import EmbeddingRecipe, ImagingRecipe
from lesiongraph.workspace import RunReport, Workspace

PACKAGED_NOTE = (
    "no trained model in this workspace: the lesions were embedded by the embedder inside the package "
    "(`lesiongraph train` goes on from it with this archive's lesions)"
)


@dataclass(frozen=True)
class WorkspaceEmbedder:
    """An embedder that is not loaded yet.

    `key` changes with its weights; `about` is what `TrainedEmbedder.describe` and `train` wrote; `path` is
    None for the packaged one.
    """

    key: str
    about: dict[str, Any]
    path: Path | None

    @property
    def recipe(self) -> EmbeddingRecipe:
        """How it was trained."""
        return EmbeddingRecipe.from_stated(self.about["recipe"])

    @property
    def imaging(self) -> ImagingRecipe:
        """How patches must be cut for it."""
        return ImagingRecipe(**self.about.get("imaging", {}))

    def load(self, report: RunReport, vgg16: Path | None = None) -> TrainedEmbedder:
        """Load it, and say in the report which weights it has.

        Raises
        ------
        WeightsError
            If its trunk's weights are absent or others than it was trained on.
        """
        if self.path is None:
            report.weights.append({"name": "packaged embedder", "sha256": self.key.removeprefix("packaged ")})
            return load_packaged_embedder()
        if self.recipe.train_trunk:
            return TrainedEmbedder.load(self.path)
        init = "scratch" if self.about["trunk_origin"] == "scratch" else "imagenet"
        return TrainedEmbedder.load(self.path, open_trunk(self.recipe.trunk, report, vgg16=vgg16, init=init))


def workspace_embedder(workspace: Workspace) -> WorkspaceEmbedder:
    """Return the workspace's own embedder, or the packaged one where nothing was trained."""
    if workspace.has("model"):
        folder = workspace.open("model", "train")
        path = folder.path / "embedder.safetensors"
        return WorkspaceEmbedder(str(workspace.key("model")), folder.read_json("about"), path)
    about, sha256 = packaged_embedder_info()
    return WorkspaceEmbedder(f"packaged {sha256}", about, None)
