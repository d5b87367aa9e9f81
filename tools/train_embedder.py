"""Train the embedder inside the package: trunk and head, on phantom bodies whose lesions' types are known.

    python tools/train_embedder.py [--steps 800] [--batch 64] [--cache .scratch/embedder] [--out DIR]

No real CT is trained on: the trunk starts as the narrow trunk (ImageNet, distilled) and learns from single
lesions of phantom bodies (`phantom.lesion_views`), so that all real CT is unseen.
Rendering takes about ten minutes on one core (kept in --cache), training about twenty. The errors on bodies
held out are printed and kept in the trunk file's metadata.
"""

from __future__ import annotations

import argparse
import json
import math
import pickle
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from embedding_lesions import LesionSet, phantom_lesions
from lesiongraph.embedding import (
    LESION,
    LesionEmbedder,
    PatchLesions,
    TrainedEmbedder,
    Trunk,
    embed,
    load_narrow,
    log_ratio_loss,
    supervised_contrastive_loss,
)
from lesiongraph.embedding.batching import plan_batches, stack_patches
from lesiongraph.embedding.features import pool_batch
from lesiongraph.embedding.pooling import choose_pool
from lesiongraph.embedding.weights import file_sha256, write_safetensors
from lesiongraph.lesion import LESION_TYPES
from lesiongraph.recipe import EmbeddingRecipe

WEIGHTS = Path(__file__).resolve().parents[1] / "src/lesiongraph/embedding/weights"
# (bodies, random seed, difficulty): 3101 is a training seed of the hard hospital (docs/phantom.md)
BODIES = ((250, 31, "plain"), (350, 33, "plain"), (250, 3101, "hard"))
HELD_OUT = (60, 32, "plain")
RECIPE = EmbeddingRecipe(trunk="lesion", train_trunk=False, fc_width=128, place_width=128)
TRUNK_RATE, HEAD_RATE = 3e-4, 1e-3
PLACE_WEIGHT, SIZE_WEIGHT, TYPE_WEIGHT = 1.0, 0.5, 0.5
PLACE_JITTER, SIZE_JITTER = 0.015, 0.08  # about z_sd, and a reader's error
UNTOLD_SHARE, BLIND_SHARE = 0.2, 0.1  # lesions without a location, batches without place and size
BATCH_PX = 400_000


@dataclass
class Learner:
    """Network, lesions and random numbers of one training."""

    lesions: LesionSet
    trunk: Trunk
    head: LesionEmbedder
    classifier: nn.Linear
    rng: np.random.Generator

    def __post_init__(self) -> None:
        self.places = torch.from_numpy(self.lesions.places()).float()  # (N, 5)
        self.types = torch.tensor([LESION_TYPES.index(name) for name in self.lesions.types])  # (N,)

    def loss(self, rows: NDArray[np.int64]) -> Tensor:
        """Contrast of types, ratios of places and sizes within a type, and the types themselves."""
        told, types = self.places[rows], self.types[rows]
        vectors = self.head(self._maps(rows), self._blurred(told))
        loss = supervised_contrastive_loss(vectors, types)
        loss = loss + PLACE_WEIGHT * log_ratio_loss(vectors, told[:, :3], types)
        loss = loss + SIZE_WEIGHT * log_ratio_loss(vectors, told[:, 3:].log() / 4, types)
        return loss + TYPE_WEIGHT * functional.cross_entropy(self.classifier(12 * vectors), types)

    def _maps(self, rows: NDArray[np.int64]) -> list[Tensor]:
        """Pooled maps of the lesions' patches, each through another scanner, boxed by another hand."""
        patches = [self.lesions.patches[row] for row in rows]
        extents = np.array([patch.hu.shape[1:] for patch in patches])
        plan = plan_batches(extents, BATCH_PX)
        pieces = []
        for positions in plan:
            batch = stack_patches([patches[i] for i in positions], torch.device("cpu"))
            one = (len(positions), 1, 1, 1)
            hu = batch.hu * (1 + 0.03 * torch.randn(one)) + 12 * torch.randn(one)
            hu = hu + torch.randn_like(hu) * (18 * torch.rand(one))
            moved = batch.boxes + 1.5 * torch.randn_like(batch.boxes)
            sound = ((moved[:, 2:] - moved[:, :2]) > 2).all(1, keepdim=True)
            batch = replace(batch, hu=hu, boxes=torch.where(sound, moved, batch.boxes))
            with torch.autocast("cpu", torch.bfloat16):
                pieces.append(pool_batch(self.trunk, batch, RECIPE.roi_size, choose_pool(RECIPE.pool)))
        order = np.argsort(np.concatenate(plan))
        return [torch.cat([piece[scale].float() for piece in pieces])[order] for scale in range(4)]

    def _blurred(self, told: Tensor) -> Tensor:
        """What the head is told: places as unsure as they are, some not known."""
        seen = told.clone()
        seen[:, :3] += PLACE_JITTER * torch.randn(len(seen), 3)
        seen[:, 3:] *= torch.exp(SIZE_JITTER * torch.randn(len(seen), 2))
        seen[torch.rand(len(seen)) < UNTOLD_SHARE, :3] = float("nan")
        return seen * float("nan") if self.rng.random() < BLIND_SHARE else seen


def cached(folder: Path, bodies: int, rng_seed: int, difficulty: str) -> LesionSet:
    """Return the lesions of some bodies, rendered once."""
    path = folder / f"lesions-{difficulty}-{rng_seed}-{bodies}.pkl"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        print(f"rendering {bodies} {difficulty} bodies of seed {rng_seed}", flush=True)
        path.write_bytes(pickle.dumps(phantom_lesions(bodies, rng_seed, difficulty)))
    found: LesionSet = pickle.loads(path.read_bytes())
    return found


def narrow_start() -> Trunk:
    """Return the lesion trunk as it starts: the narrow trunk, its first layer shared by both windows."""
    state = dict(load_narrow().state_dict())
    windows = LESION.inputs // 3
    first = state["features.0.weight"]
    state["features.0.weight"] = torch.cat([first / windows] * windows, dim=1)
    trunk = Trunk(LESION)
    trunk.load_state_dict(state)
    return trunk


def train(learner: Learner, steps: int, batch: int) -> None:
    """Run AdamW on batches of as many lesions of each type."""
    own = [*learner.head.parameters(), *learner.classifier.parameters()]
    groups = [{"params": learner.trunk.parameters(), "lr": TRUNK_RATE}, {"params": own, "lr": HEAD_RATE}]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.03)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda s: min(1.0, (s + 1) / 30) * (0.01 + 0.495 * (1 + math.cos(math.pi * s / steps))),
    )
    of_type = [np.flatnonzero(learner.types.numpy() == code) for code in range(len(LESION_TYPES))]
    started = time.monotonic()
    for step in range(1, steps + 1):
        each = batch // len(of_type)
        rows = np.unique(np.concatenate([learner.rng.choice(rows, each) for rows in of_type]))
        loss = learner.loss(rows)
        optimiser.zero_grad()
        loss.backward()
        weights = [*learner.trunk.parameters(), *learner.head.parameters()]
        torch.nn.utils.clip_grad_norm_(weights, 5.0)
        optimiser.step()
        schedule.step()
        if step % 25 == 0 or step == steps:
            print(
                f"step {step}/{steps} loss {loss.item():.3f} {time.monotonic() - started:.0f} s", flush=True
            )


def errors_among_others(model: TrainedEmbedder, lesions: LesionSet, *, told: bool = True) -> dict[str, float]:
    """Type, location and log-size error of the five nearest lesions of other bodies."""
    places = lesions.places() * (1.0 if told else float("nan"))
    vectors = embed(model, PatchLesions(lesions.patches, model.trunk, RECIPE.roi_size, places=places))
    likeness = vectors @ vectors.T
    owners, types = np.array(lesions.owners), np.array(lesions.types)
    likeness[owners[:, None] == owners[None, :]] = -np.inf
    hits = np.argsort(-likeness, axis=1)[:, :5]
    known = lesions.places()
    far = np.linalg.norm(known[hits, :3] - known[:, None, :3], axis=2)
    ratio = np.abs(np.log(known[hits, 3:]) - np.log(known[:, None, 3:]))
    return {
        "type_are": round(100 * float((types[hits] != types[:, None]).mean()), 2),
        "location": round(float(far.mean()), 4),
        "log_size": round(float(ratio.mean()), 4),
    }


def save(model: TrainedEmbedder, out: Path, told: dict[str, object]) -> None:
    """Write the trunk and the head that names it."""
    trunk_path = out / "lesion_trunk.safetensors"
    state = {name: value.half().contiguous() for name, value in model.trunk.state_dict().items()}
    origin = "narrow trunk (ImageNet, distilled) trained on phantom lesions by tools/train_embedder.py"
    write_safetensors(trunk_path, state, {"origin": origin, "training": json.dumps(told, sort_keys=True)})
    packaged = TrainedEmbedder(model.trunk, model.head, RECIPE, trunk_sha256=file_sha256(trunk_path))
    packaged.trunk.origin = f"packaged lesion trunk: {origin}"
    packaged.save(out / "embedder.safetensors", half=True)


def main() -> None:
    """Render, train, judge, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, default=Path(".scratch/embedder"))
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    lesions = LesionSet()
    for bodies in BODIES:
        lesions.extend(cached(options.cache, *bodies))
    held_out = cached(options.cache, *HELD_OUT)
    trunk = narrow_start()
    head = LesionEmbedder.from_recipe(LESION.channels, RECIPE)
    learner = Learner(
        lesions, trunk, head, nn.Linear(RECIPE.embedding_width, len(LESION_TYPES)),
        np.random.default_rng(options.seed),
    )  # fmt: skip
    print(f"{len(lesions.types)} lesions of {sum(bodies for bodies, *_ in BODIES)} bodies", flush=True)
    train(learner, options.steps, options.batch)
    model = TrainedEmbedder(trunk.eval(), head.eval(), replace(RECIPE, train_trunk=True))
    judged = {
        "held-out bodies": errors_among_others(model, held_out),
        "held-out bodies, place and size untold": errors_among_others(model, held_out, told=False),
    }
    print(json.dumps(judged, indent=1))
    told = {
        "steps": options.steps,
        "batch": options.batch,
        "seed": options.seed,
        "lesions": len(lesions.types),
        "bodies": BODIES,
        **judged,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    save(model, options.out, told)


if __name__ == "__main__":
    main()
