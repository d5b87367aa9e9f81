"""A trained embedder as one file: head, trunk (where it learned), recipe and history; and its use."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from lesiongraph import __version__
from lesiongraph.embedding.inputs import LesionInputs
from lesiongraph.embedding.network import LesionEmbedder, choose_device
from lesiongraph.embedding.trunk import TRUNK_VARIANTS, Trunk, TrunkLike
from lesiongraph.embedding.weights import (
    file_sha256,
    load_trunk,
    read_metadata,
    state_sha256,
    write_safetensors,
)
from lesiongraph.errors import WeightsError
from lesiongraph.recipe import EmbeddingRecipe

FORMAT = "lesiongraph-embedder-1"
ROWS_AT_ONCE = 512


@dataclass
class TrainedEmbedder:
    """A trunk, a trained head, and how they came about.

    Attributes
    ----------
    trunk, head
    recipe : EmbeddingRecipe
    rng_seed : int
    history : list of float
        The loss of every step, refinements included.
    refinements : int
        Refinements done.
    trunk_sha256 : str
        Of the weights the trunk started from: of their file, or over the values where they were drawn.
    """

    trunk: TrunkLike
    head: LesionEmbedder
    recipe: EmbeddingRecipe
    rng_seed: int = 0
    history: list[float] = field(default_factory=list)
    refinements: int = 0
    trunk_sha256: str = ""

    def __post_init__(self) -> None:
        if not self.trunk_sha256:
            self.trunk_sha256 = self.trunk.sha256 or state_sha256(self.trunk.state_dict())

    @property
    def frozen(self) -> tuple[str, ...]:
        """Which parts did not learn."""
        return () if self.recipe.train_trunk else ("trunk",)

    def describe(self) -> dict[str, Any]:
        """Return what a report states: trunk, its weights, widths, what was frozen, steps, recipe."""
        return {
            "format": FORMAT,
            "version": __version__,
            "trunk": self.trunk.variant.name,
            "trunk_widths": list(self.trunk.variant.widths),
            "trunk_origin": self.trunk.origin,
            "trunk_sha256": self.trunk_sha256,
            "window_hu": list(self.trunk.window_hu),
            "fc_width": self.recipe.fc_width,
            "embedding_width": self.recipe.embedding_width,
            "cues": list(self.recipe.cues),
            "maps": list(self.recipe.maps),
            "frozen": list(self.frozen),
            "rng_seed": self.rng_seed,
            "steps": len(self.history),
            "refinements": self.refinements,
            "recipe": dataclasses.asdict(self.recipe),
        }

    def save(self, path: Path | str, *, half: bool = False) -> None:
        """Write a safetensors file, whole or not at all; a frozen trunk is named by sha256, not stored.

        With `half` the head is kept in half precision, as in the file inside the package.
        """
        tensors = {f"head.{name}": value for name, value in self.head.state_dict().items()}
        if half:
            tensors = {name: value.half() for name, value in tensors.items()}
        if self.recipe.train_trunk:
            tensors |= {f"trunk.{name}": value for name, value in self.trunk.state_dict().items()}
        tensors["history"] = torch.tensor(self.history, dtype=torch.float64)
        # one key only: the order of several would differ from file to file
        write_safetensors(Path(path), tensors, {"lesiongraph": json.dumps(self.describe(), sort_keys=True)})

    @classmethod
    def load(cls, path: Path | str, trunk: TrunkLike | None = None) -> TrainedEmbedder:
        """Read a file written by `save`.

        Parameters
        ----------
        path : path
        trunk : TrunkLike, optional
            The frozen trunk; without it the one of the recorded name is loaded (`load_trunk`).

        Raises
        ------
        WeightsError
            If the file is no embedder, or the frozen trunk is not the one it was trained on.
        """
        path = Path(path)
        stated = _stated(path)
        tensors = load_file(path)
        recipe = EmbeddingRecipe.from_stated(stated["recipe"])
        if recipe.train_trunk:
            learnt = Trunk(TRUNK_VARIANTS[stated["trunk"]], tuple(stated["window_hu"]))
            learnt.load_state_dict(_part(tensors, "trunk."))
            learnt.origin = f"{path} (trained from {stated['trunk_origin']})"
            trunk = learnt.to(choose_device()).eval()
        else:
            trunk = trunk or load_trunk(stated["trunk"])
            _check_same_trunk(path, trunk, stated["trunk_sha256"])
        head = LesionEmbedder.from_recipe(trunk.variant.channels, recipe)
        _load_head(path, head, _part(tensors, "head."))
        return cls(
            trunk,
            head.to(choose_device()).eval(),
            recipe,
            rng_seed=stated["rng_seed"],
            history=tensors["history"].tolist(),
            refinements=stated["refinements"],
            trunk_sha256=stated["trunk_sha256"],
        )


def load_packaged_embedder() -> TrainedEmbedder:
    """Return the embedder inside the package, with its trunk (MODEL_CARD.md)."""
    with resources.as_file(_packaged_file()) as path:
        return TrainedEmbedder.load(path)


@cache
def packaged_embedder_info() -> tuple[dict[str, Any], str]:
    """Return what `describe` said of the packaged embedder when it was saved, and its file's sha256.

    Read once a process: not to be changed by the caller.
    """
    with resources.as_file(_packaged_file()) as path:
        return _stated(path), file_sha256(path)


def _packaged_file() -> Traversable:
    return resources.files("lesiongraph.embedding") / "weights" / "embedder.safetensors"


def embed(
    model: TrainedEmbedder,
    inputs: LesionInputs,
    *,
    out: NDArray[Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Embed every lesion.

    Parameters
    ----------
    model : TrainedEmbedder
    inputs : LesionInputs
        `CachedLesions` of the model's trunk, or `PatchLesions` over `model.trunk`.
    out : (N, embedding_width) float32, optional
        Filled in place, may be memory-mapped.
    progress : callable, optional
        Called with (lesions done, lesions).

    Returns
    -------
    (N, embedding_width) float32, unit vectors
    """
    shape = (len(inputs), model.recipe.embedding_width)
    vectors = np.empty(shape, dtype=np.float32) if out is None else out
    if vectors.shape != shape:
        raise ValueError(f"expected an out array {shape}, got {vectors.shape}")
    model.head.eval()
    with torch.inference_mode():
        for start in range(0, len(inputs), ROWS_AT_ONCE):
            rows = np.arange(start, min(start + ROWS_AT_ONCE, len(inputs)))
            for piece in inputs.pieces(rows, model.head.device):
                vectors[rows[piece.positions]] = model.head(piece.maps(), piece.places).cpu().numpy()
            if progress is not None:
                progress(int(rows[-1]) + 1, len(inputs))
    return vectors


def _stated(path: Path) -> dict[str, Any]:
    metadata = read_metadata(path)
    stated = json.loads(metadata.get("lesiongraph", "{}"))
    if stated.get("format") != FORMAT:
        raise WeightsError(f"{path}", FORMAT, str(stated.get("format")), "Train again, or give another path.")
    return dict(stated)


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _load_head(path: Path, head: LesionEmbedder, state: dict[str, torch.Tensor]) -> None:
    """Load a head; one of other maps or widths than its file states is refused."""
    expected = {name: tuple(value.shape) for name, value in head.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in state.items()}
    if found != expected:
        raise WeightsError(f"{path}: its head", f"layers {expected}", f"{found}", "Train again.")
    head.load_state_dict(state)


def _check_same_trunk(path: Path, trunk: TrunkLike, expected: str) -> None:
    found = trunk.sha256 or state_sha256(trunk.state_dict())
    if found != expected:
        raise WeightsError(
            f"{path}: its frozen trunk",
            f"weights of sha256 {expected}",
            f"{trunk.origin} of sha256 {found}",
            "Give the trunk weights it was trained on, or train again.",
        )
