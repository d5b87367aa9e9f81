"""Training the lesion embedding: SGD on sequences A–E, resumable at any step (Sec. 4.3, 6.1)."""

from __future__ import annotations

import dataclasses
import json
import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lesiongraph.embedding.batching import held_pixels
from lesiongraph.embedding.inputs import IntArray, LesionInputs, Piece
from lesiongraph.embedding.loss import drop_unused_letters, sequence_loss
from lesiongraph.embedding.model import TrainedEmbedder
from lesiongraph.embedding.network import LesionEmbedder
from lesiongraph.embedding.trunk import TrunkLike
from lesiongraph.errors import NotEnoughDataError, UsageError, WeightsError
from lesiongraph.recipe import EmbeddingRecipe

CHECKPOINT_EVERY = 100
TrainingProgress = Callable[[int, int, float], None]  # step, steps, loss


class Sampler(Protocol):
    """Draws lesion sequences (`cues.SequenceSampler`)."""

    def sample(self, n: int, rng: np.random.Generator) -> NDArray[Any]:
        """Return (n, 5) rows of the lesions A, B, C, D, E; −1 for a letter that is not used."""


@dataclass(frozen=True)
class Checkpointing:
    """Where and how often a training leaves its state, so that a killed one goes on."""

    folder: Path  # one file for the training and one for each refinement
    every: int = CHECKPOINT_EVERY

    def path(self, phase: int) -> Path:
        """Return the file of the first training (0) or of a refinement (1 …)."""
        return self.folder / f"training-{phase}.pt"

    def clear(self) -> None:
        """Delete all checkpoints: call once the trained model is saved."""
        for file in self.folder.glob("training-*.pt*"):
            file.unlink()


@dataclass(frozen=True)
class _Phase:
    """One run of SGD: the first training, or a refinement."""

    number: int  # 0 first training, 1 … refinements
    steps: int
    learning_rates: tuple[tuple[int, float], ...]  # (from step, rate)

    def learning_rate(self, step: int) -> float:
        return [rate for start, rate in self.learning_rates if step >= start][-1]


def train_embedder(
    inputs: LesionInputs,
    sampler: Sampler,
    trunk: TrunkLike,
    recipe: EmbeddingRecipe,
    *,
    rng_seed: int = 0,
    progress: TrainingProgress | None = None,
    checkpoint: Checkpointing | None = None,
    start: LesionEmbedder | None = None,
) -> TrainedEmbedder:
    """Train from the trunk's weights and fresh FC layers, or those of `start`.

    Every step's sequences are drawn by a generator seeded with (rng_seed, phase, step), so that a
    training that was killed and started again gives the same result as one that was not (on a CPU with
    the same number of threads; a GPU may differ in the last digits).

    Parameters
    ----------
    inputs : LesionInputs
        `CachedLesions` (frozen trunk) or `PatchLesions` over the same `trunk` object.
    sampler : Sampler
        Its rows are rows of `inputs`.
    trunk : TrunkLike
        Trained in place where `recipe.train_trunk`.
    recipe : EmbeddingRecipe
    rng_seed : int
    progress : callable, optional
        Called after each step with (step, steps, loss).
    checkpoint : Checkpointing, optional
        A checkpoint of the same recipe, seed and lesion count is taken up; of another one is overwritten.
    start : LesionEmbedder, optional
        A trained head of the recipe's widths; it is copied.

    Raises
    ------
    NotEnoughDataError
        If there are fewer than five lesions.
    FloatingPointError
        If the loss stops being finite.
    UsageError
        If `recipe.train_trunk` with a trunk that cannot learn.

    Source: Sec. 4.3, 6.1.
    """
    if recipe.train_trunk and not isinstance(trunk, nn.Module):
        raise UsageError(f"trunk {trunk.variant.name}: external trunks stay frozen; --set train_trunk=false.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rng_seed)
        head = LesionEmbedder.from_recipe(trunk.variant.channels, recipe).to(trunk.device)
    if start is not None:
        head.load_state_dict(start.state_dict())
    model = TrainedEmbedder(trunk, head, recipe, rng_seed=rng_seed)
    rates = ((0, recipe.learning_rate), (recipe.step_drop, recipe.learning_rate_low))
    _run(model, inputs, sampler, _Phase(0, recipe.steps, rates), progress=progress, checkpoint=checkpoint)
    return model


def refine(
    model: TrainedEmbedder,
    inputs: LesionInputs,
    sampler: Sampler,
    *,
    progress: TrainingProgress | None = None,
    checkpoint: Checkpointing | None = None,
) -> TrainedEmbedder:
    """Go on at the low learning rate with a sampler over new pseudo-labels; `model` changes in place.

    Source: Sec. 4.3 (iterative refinement), 6.1 (learning rate 0.0002).
    """
    recipe = model.recipe
    phase = _Phase(model.refinements + 1, recipe.refinement_steps, ((0, recipe.learning_rate_low),))
    _run(model, inputs, sampler, phase, progress=progress, checkpoint=checkpoint)
    model.refinements += 1
    return model


def _run(
    model: TrainedEmbedder,
    inputs: LesionInputs,
    sampler: Sampler,
    phase: _Phase,
    *,
    progress: TrainingProgress | None,
    checkpoint: Checkpointing | None,
) -> None:
    if len(inputs) < 5:
        raise NotEnoughDataError("Training", "at least 5 lesions", len(inputs), "Mine more sources.")
    recipe = model.recipe
    layers = nn.ModuleList([model.head])
    if recipe.train_trunk and isinstance(model.trunk, nn.Module):
        layers.append(model.trunk)
    optimiser = torch.optim.SGD(
        layers.parameters(),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        fused=True,  # one pass over the weights: half the optimiser's time with VGG-16's maps
    )
    losses: list[float] = []
    key = _run_key(model, phase, len(inputs))
    if checkpoint is not None and checkpoint.path(phase.number).is_file():
        losses = _take_up(checkpoint.path(phase.number), key, layers, optimiser)
    layers.train()
    for step in range(len(losses), phase.steps):
        for group in optimiser.param_groups:
            group["lr"] = phase.learning_rate(step)
        rng = np.random.default_rng([model.rng_seed, phase.number, step])
        sequences = np.asarray(sampler.sample(recipe.sequences_per_batch, rng), dtype=np.int64)
        letters, margins = drop_unused_letters(sequences, recipe.margins)
        losses.append(_step(model.head, inputs, letters, optimiser, margins))
        if progress is not None:
            progress(step + 1, phase.steps, losses[-1])
        if checkpoint is not None and ((step + 1) % checkpoint.every == 0 or step + 1 == phase.steps):
            _leave(checkpoint.path(phase.number), key, layers, optimiser, losses)
    layers.eval()
    model.history += losses


def _step(
    head: LesionEmbedder,
    inputs: LesionInputs,
    sequences: IntArray,
    optimiser: torch.optim.Optimizer,
    margins: tuple[float, ...],
) -> float:
    """Take one SGD step on (S, L) sequences; a lesion that is drawn several times is embedded once.

    The loss's gradient at each embedding is carried back piece by piece, since the network has no layer that
    mixes rows. So a mini-batch of any size fits: of pieces beyond `held_pixels` only the embeddings are kept,
    and these pieces go through the network again.
    """
    rows, inverse = np.unique(sequences, return_inverse=True)
    where = torch.from_numpy(inverse.reshape(-1)).to(head.device)
    pieces = inputs.pieces(rows, head.device)
    optimiser.zero_grad(set_to_none=True)
    vectors = torch.empty(len(rows), head.joint_fc.out_features, device=head.device)
    held = _embed_pieces(head, pieces, vectors)
    vectors.requires_grad_()
    loss = sequence_loss(vectors.index_select(0, where).view(*sequences.shape, -1), margins)
    loss.backward()  # type: ignore[no-untyped-call]
    assert vectors.grad is not None
    for piece in pieces:
        embedded = held.popleft()  # so that its activations are gone before the next piece needs room
        if embedded is None:
            embedded = head(piece.maps(), piece.places)
        embedded.backward(vectors.grad[torch.from_numpy(piece.positions)])
    value = float(loss.detach())
    if not np.isfinite(value):
        raise FloatingPointError(f"the loss became {value}; lower the learning rate (--set learning_rate=…)")
    optimiser.step()
    return value


def _embed_pieces(head: LesionEmbedder, pieces: Sequence[Piece], vectors: Tensor) -> deque[Tensor | None]:
    """Fill `vectors` (N, D); return each piece's embeddings with what led to them, None beyond the room."""
    held: deque[Tensor | None] = deque()
    room = held_pixels(head.device)
    for piece in pieces:
        keep = piece.pixels <= room
        with torch.set_grad_enabled(keep):
            embedded = head(piece.maps(), piece.places)
        vectors[torch.from_numpy(piece.positions)] = embedded.detach()
        held.append(embedded if keep else None)
        room -= piece.pixels if keep else 0
    return held


def _run_key(model: TrainedEmbedder, phase: _Phase, lesions: int) -> str:
    """Return what must be equal for a checkpoint to belong to this run."""
    recipe = dataclasses.asdict(model.recipe)
    return json.dumps(
        {
            "recipe": recipe,
            "rng_seed": model.rng_seed,
            "phase": phase.number,
            "trunk": model.trunk_sha256,
            "before": [len(model.history), *model.history[-1:]],
            "lesions": lesions,
        },
        sort_keys=True,
    )


def _leave(
    path: Path, key: str, layers: nn.Module, optimiser: torch.optim.Optimizer, losses: list[float]
) -> None:
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        state = {
            "key": key,
            "layers": layers.state_dict(),
            "optimiser": optimiser.state_dict(),
            "losses": losses,
        }
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _take_up(path: Path, key: str, layers: nn.Module, optimiser: torch.optim.Optimizer) -> list[float]:
    """Load a checkpoint of this very run and return its losses; of another run, return no losses."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["key"] != key:
            return []
        layers.load_state_dict(state["layers"])
        optimiser.load_state_dict(state["optimiser"])
    except Exception as error:  # a damaged zip raises many kinds
        raise WeightsError(
            f"{path}", "a training checkpoint", type(error).__name__, "Delete it and train again."
        ) from error
    return [float(loss) for loss in state["losses"]]
