"""Train the embedder inside the package: trunk and head, on phantom bodies whose lesions' types are known.

    python tools/train_embedder.py [--budget cpu|gpu] [--instance-weight W] [--cache DIR] [--out DIR]

No real CT is trained on: the trunk starts as the narrow trunk (ImageNet, distilled) and learns from single
lesions of phantom bodies (`phantom.lesion_views`), so that all real CT is unseen.
`--budget cpu`: 850 bodies, 800 steps of 64; ten minutes of rendering on one core (kept in --cache), twenty of
training. `--budget gpu`: bodies in two visits, many with two lesions of each type, rendered by --workers
processes for --render-limit-s; steps of 512 for --time-limit-s. The files shipped were made with
`--budget gpu --instance-weight 0.5 --type-weight 1.0 --fc-width 256 --place-width 256` (MODEL_CARD.md).
`--start compact` begins with the wider trunk; what it gives is no drop-in for the files shipped.
The errors on bodies held out are printed and kept in the trunk file's metadata.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from embedding_batches import (
    BLIND_SHARE,
    DeviceLesions,
    Draw,
    blurred_places,
    boxed_by_another_hand,
    draw_cut,
    in_chunks,
    through_another_scanner,
)
from embedding_lesions import Bodies
from embedding_measures import measures
from embedding_rendering import load, render
from lesiongraph.embedding import (
    COMPACT,
    LESION,
    LesionEmbedder,
    TrainedEmbedder,
    Trunk,
    choose_device,
    device_name,
    load_packaged_embedder,
    load_trunk,
    log_ratio_loss,
    supervised_contrastive_loss,
)
from lesiongraph.embedding.features import pool_batch
from lesiongraph.embedding.pooling import choose_pool
from lesiongraph.embedding.weights import file_sha256, write_safetensors
from lesiongraph.lesion import LESION_TYPES
from lesiongraph.recipe import EmbeddingRecipe

FIRST_PORTIONS = 3  # rendered before the bodies held out: a trial of the training can begin
PORTION = 5  # bodies rendered at a time by one process
WEIGHTS = Path(__file__).resolve().parents[1] / "src/lesiongraph/embedding/weights"
# Nothing is trained on these. The last asks which of a body's lesions of one type is the same.
HELD_OUT = {
    "plain": Bodies(60, 32, "plain").portions(PORTION),
    "hard": Bodies(60, 3103, "hard", visits=2).portions(PORTION),
    "three of each type": Bodies(30, 3104, "hard", visits=2, of_type=3).portions(PORTION),
}
# What a training may start from, and the trunk it becomes: as wide, with LESION's windows.
STARTS = {"narrow": LESION, "compact": replace(LESION, name="lesion-compact", widths=COMPACT.widths)}
RECIPE = EmbeddingRecipe(trunk="lesion", train_trunk=False, fc_width=128, place_width=128)
PLACE_WEIGHT, SIZE_WEIGHT = 1.0, 0.5
REPORT_EVERY_S = 15.0


@dataclass(frozen=True)
class Budget:
    """How much is rendered and learnt. 31, 33, 3101, 3111 and 3112 are training seeds (docs/phantom.md)."""

    bodies: tuple[Bodies, ...]
    steps: int
    batch: int
    trunk_rate: float
    head_rate: float
    warm_up: int
    cut: bool  # whether patches' margins are cut at random


def _in_turn(sources: Sequence[Bodies]) -> tuple[Bodies, ...]:
    """Return a portion of each source in turn."""
    turns = zip_longest(*(source.portions(PORTION) for source in sources))
    return tuple(portion for turn in turns for portion in turn if portion is not None)


# With a limit on time the shares stay as they are, since small portions are rendered in turn.
_LARGE = (
    Bodies(2000, 3111, "hard", visits=2, of_type=2),
    Bodies(2000, 3112, "hard", visits=2),
    Bodies(2000, 3112, "plain", visits=2),
)
BUDGETS = {
    "cpu": Budget(
        _in_turn((Bodies(250, 31, "plain"), Bodies(350, 33, "plain"), Bodies(250, 3101, "hard"))),
        steps=800, batch=64, trunk_rate=3e-4, head_rate=1e-3, warm_up=30, cut=False,
    ),
    "gpu": Budget(
        _in_turn(_LARGE), steps=20_000, batch=512, trunk_rate=5e-4, head_rate=1.5e-3, warm_up=100, cut=True
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Weights:
    """What each term counts beside the contrast of types, and how strong the scanner's changes are."""

    type: float = 0.5
    instance: float = 0.0
    scanner: float = 1.0


@dataclass
class Learner:
    """Network, lesions and random numbers of one training."""

    lesions: DeviceLesions
    draw: Draw
    trunk: Trunk
    head: LesionEmbedder
    classifier: nn.Linear
    weights: Weights
    rng: np.random.Generator
    cut: bool = False

    def loss(self, batch: int) -> Tensor:
        """Contrast of types and of instances in a type, ratios of places and sizes in a type, the types."""
        rows = self.draw.rows(batch)
        sent = torch.from_numpy(rows).to(self.lesions.device)
        told, types = self.lesions.places[sent], self.lesions.types[sent]
        vectors = self.head(self._maps(rows), blurred_places(told, self.rng.random() < BLIND_SHARE))
        loss = supervised_contrastive_loss(vectors, types)
        loss = loss + PLACE_WEIGHT * log_ratio_loss(vectors, told[:, :3], types)
        loss = loss + SIZE_WEIGHT * log_ratio_loss(vectors, told[:, 3:].log() / 4, types)
        loss = loss + self.weights.type * functional.cross_entropy(self.classifier(12 * vectors), types)
        if self.weights.instance:
            same = supervised_contrastive_loss(vectors, self.lesions.instances[sent], among=types)
            loss = loss + self.weights.instance * same
        return loss

    def _maps(self, rows: np.ndarray) -> list[Tensor]:
        """Pooled maps of the lesions' patches, each through another scanner, boxed by another hand."""
        plan = in_chunks(self.lesions, rows)
        pieces = []
        for positions in plan:
            chosen = rows[positions]
            batch = self.lesions.batch(chosen, draw_cut(self.lesions, chosen, self.rng) if self.cut else None)
            hu = through_another_scanner(batch.hu, self.weights.scanner)
            batch = replace(batch, hu=hu, boxes=boxed_by_another_hand(batch.boxes))
            with torch.autocast(hu.device.type, torch.bfloat16):
                pieces.append(pool_batch(self.trunk, batch, RECIPE.roi_size, choose_pool(RECIPE.pool)))
        order = torch.from_numpy(np.argsort(np.concatenate(plan))).to(self.lesions.device)
        return [torch.cat([piece[scale].float() for piece in pieces])[order] for scale in range(4)]


def started(name: str) -> Trunk:
    """Return the lesion trunk as it starts: a packaged trunk, its first layer shared by both windows."""
    state = dict(load_trunk(name).state_dict())
    windows = STARTS[name].inputs // 3
    first = state["features.0.weight"]
    state["features.0.weight"] = torch.cat([first / windows] * windows, dim=1)
    trunk = Trunk(STARTS[name])
    trunk.load_state_dict(state)
    return trunk


def train(learner: Learner, budget: Budget, until: float | None = None) -> int:
    """Run AdamW until the steps or the time are used up, the rate falling with what is used; count steps.

    `until` is a time of the monotonic clock.
    """
    trunk, head = list(learner.trunk.parameters()), list(learner.head.parameters())
    groups = [
        {"params": trunk, "rate": budget.trunk_rate},
        {"params": [*head, *learner.classifier.parameters()], "rate": budget.head_rate},
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.03)
    started = reported = time.monotonic()
    step, used = 0, 0.0
    while used < 1:
        for group in optimiser.param_groups:
            group["lr"] = group["rate"] * rate_share(used, step, budget.warm_up)
        loss = learner.loss(budget.batch)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*trunk, *head], 5.0)
        optimiser.step()
        step += 1
        now = time.monotonic()
        used = step / budget.steps
        if until is not None:
            used = max(used, (now - started) / max(until - started, 1e-3))
        if now - reported > REPORT_EVERY_S or used >= 1:
            reported = now
            print(f"step {step}/{budget.steps} loss {loss.item():.3f} {now - started:.0f} s", flush=True)
    return step


def rate_share(used: float, step: int, warm_up: int) -> float:
    """Share of the learning rate: a warm-up by steps, a cosine over the share of steps or time used."""
    return min(1.0, (step + 1) / warm_up) * (0.01 + 0.495 * (1 + math.cos(math.pi * min(1.0, used))))


def save(model: TrainedEmbedder, out: Path, told: dict[str, object]) -> None:
    """Write the trunk and the head that names it."""
    trunk_path = out / "lesion_trunk.safetensors"
    state = {name: value.half().contiguous() for name, value in model.trunk.state_dict().items()}
    began = f"{told['start']} trunk (ImageNet, distilled)"
    origin = f"{began} trained on phantom lesions by tools/train_embedder.py"
    write_safetensors(trunk_path, state, {"origin": origin, "training": json.dumps(told, sort_keys=True)})
    recipe = replace(model.recipe, train_trunk=False)
    packaged = TrainedEmbedder(model.trunk, model.head, recipe, trunk_sha256=file_sha256(trunk_path))
    packaged.trunk.origin = f"packaged lesion trunk: {origin}"
    packaged.save(out / "embedder.safetensors", half=True)


def judge(model: TrainedEmbedder, held_out: Sequence[str], folder: Path) -> dict[str, object]:
    """Return what the model makes of bodies held out."""
    return {name: measures(model, load(HELD_OUT[name], folder)) for name in held_out}


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--budget", choices=list(BUDGETS), default="cpu")
    parser.add_argument("--start", choices=list(STARTS), default="narrow", help="the trunk to begin with")
    parser.add_argument("--device", default=choose_device().type, help="cuda, cpu")
    parser.add_argument("--steps", type=int, help="instead of the budget's")
    parser.add_argument("--batch", type=int, help="instead of the budget's")
    parser.add_argument("--portions", type=int, help="only so many of the budget's portions of bodies")
    parser.add_argument("--workers", type=int, default=1, help="processes that render")
    parser.add_argument("--render-limit-s", type=float, help="begin no portion after so many seconds")
    parser.add_argument(
        "--time-limit-s",
        type=float,
        help="end the training, annealed, so many seconds after the last body is rendered",
    )
    parser.add_argument("--instance-weight", type=float, default=Weights.instance)
    parser.add_argument("--type-weight", type=float, default=Weights.type)
    parser.add_argument("--scanner", type=float, default=Weights.scanner)
    parser.add_argument("--fc-width", type=int, default=RECIPE.fc_width)
    parser.add_argument("--place-width", type=int, default=RECIPE.place_width)
    parser.add_argument("--held-out", nargs="*", choices=list(HELD_OUT), default=list(HELD_OUT))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, default=Path(".scratch/embedder"))
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--render-only", action="store_true")
    only.add_argument("--no-render", action="store_true", help="train on what --cache holds")
    only.add_argument("--judge-packaged", action="store_true", help="train nothing: the packaged embedder")
    options = parser.parse_args()
    if STARTS[options.start] is not LESION and options.out == WEIGHTS:
        parser.error(f"--start {options.start}: the package holds {LESION.name}'s widths; give another --out")
    return options


def learn(options: argparse.Namespace, budget: Budget, bodies: Sequence[Bodies]) -> None:
    """Train on rendered bodies, judge, save."""
    until = None if options.time_limit_s is None else time.monotonic() + options.time_limit_s
    device = torch.device(options.device)
    weights = Weights(options.type_weight, options.instance_weight, options.scanner)
    recipe = replace(RECIPE, fc_width=options.fc_width, place_width=options.place_width)
    lesions = load(bodies, options.cache)
    rng = np.random.default_rng(options.seed)
    learner = Learner(
        DeviceLesions(lesions, device),
        Draw(lesions, rng),
        started(options.start).to(device),
        LesionEmbedder.from_recipe(STARTS[options.start].channels, recipe).to(device),
        nn.Linear(RECIPE.embedding_width, len(LESION_TYPES)).to(device),
        weights, rng, budget.cut,
    )  # fmt: skip
    count, shown = len(lesions.types), len(set(lesions.instances))
    del lesions
    told = {"lesions": shown, "views": count, "bodies": sum(drawn.bodies for drawn in bodies)}
    print(f"{json.dumps(told)} on {device_name()}", flush=True)
    steps = train(learner, budget, until)
    model = TrainedEmbedder(learner.trunk.eval(), learner.head.eval(), replace(recipe, train_trunk=True))
    told |= {
        "start": options.start, "steps": steps, "batch": budget.batch, "seed": options.seed,
        "budget": options.budget, "time_limit_s": options.time_limit_s,
        "machine": device_name() if device.type == "cuda" else "CPU",
        "weights": {"type": weights.type, "instance": weights.instance, "scanner": weights.scanner},
        "seeds": sorted({f"{drawn.difficulty} {drawn.rng_seed}" for drawn in bodies}),
    }  # fmt: skip
    options.out.mkdir(parents=True, exist_ok=True)
    save(model, options.out, told)  # before it is judged: what was learnt is not lost should that fail
    judged = judge(model, options.held_out, options.cache)
    save(model, options.out, told | {"held_out": judged})
    print(json.dumps(judged), flush=True)


def main() -> None:
    """Render, train, judge, save."""
    options = parse()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    budget = BUDGETS[options.budget]
    budget = replace(budget, steps=options.steps or budget.steps, batch=options.batch or budget.batch)
    held_out = [portion for name in options.held_out for portion in HELD_OUT[name]]
    wanted = [] if options.judge_packaged else budget.bodies[: options.portions]
    limit_s = 0.0 if options.no_render else options.render_limit_s
    order = [*wanted[:FIRST_PORTIONS], *held_out, *wanted[FIRST_PORTIONS:]]
    rendered = render(order, options.cache, options.workers, limit_s)
    bodies = [drawn for drawn in wanted if drawn in rendered]
    if missing := [drawn.name for drawn in held_out if drawn not in rendered]:
        raise SystemExit(f"bodies held out: {len(missing)} portions not rendered in time, e.g. {missing[0]}")
    if options.judge_packaged:
        print(json.dumps(judge(load_packaged_embedder(), options.held_out, options.cache)))
        return
    print(f"{sum(drawn.bodies for drawn in bodies)} bodies rendered", flush=True)
    if not options.render_only:
        learn(options, budget, bodies)


if __name__ == "__main__":
    main()
