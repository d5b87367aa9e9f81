"""All layers of the student tuned together: Adam, a falling rate, an average of the weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn

from distilling.closed_form import regress
from distilling.crops import draw_box
from distilling.losses import Boxes, pool_scales, relation_losses
from distilling.teacher import TaughtCrops, half_precision
from lesiongraph.embedding import Trunk

BATCH = 12
BOXES_PER_CROP = 3
LEARNING_RATE = 1e-4  # the closed form is a good start: three times this throws it away
WARM_UP = 100
AVERAGED = 0.998  # decay of the average of the weights
FITTED_ON = 48  # crops that the linear heads are first fitted on
MAP_STEPS = (4, 2, 1, 1)  # the fine maps are compared on every fourth and second cell a side only
CONTEXT_SHARE = (0.5, 1.0)  # side of a context window by the crop's

TuningProgress = Callable[[int, dict[str, float]], None]


class Tuning:
    """Student, its linear heads, and the teacher's maps; the heads are thrown away in the end."""

    def __init__(self, student: Trunk, groups: list[TaughtCrops]) -> None:
        self.student = student.to(memory_format=torch.channels_last)
        self.groups = groups
        first = max(groups, key=len)
        rows = np.arange(min(FITTED_ON, len(first)))
        targets = first.targets(rows)
        self.variances = [one.var((0, 2, 3)).mean() for one in targets]
        with torch.no_grad():
            maps = student(first.hu[rows].float())
        self.map_heads = nn.ModuleList(
            fitted_head(ours, theirs) for ours, theirs in zip(maps, targets, strict=True)
        )
        self.pooled_heads = deepcopy(self.map_heads)

    def parameters(self) -> list[Tensor]:
        """Return what is tuned."""
        modules = (self.student, self.map_heads, self.pooled_heads)
        return [parameter for module in modules for parameter in module.parameters()]

    def losses(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """Return the losses of one batch of crops of one side, boxes drawn anew."""
        sizes = np.array([len(group) for group in self.groups])
        group = self.groups[int(rng.choice(len(sizes), p=sizes / sizes.sum()))]
        rows = np.sort(rng.choice(len(group), min(BATCH, len(group)), replace=False))
        theirs = group.targets(rows)
        with torch.autocast("cpu", torch.bfloat16, enabled=half_precision()):
            maps = self.student(group.hu[rows].float())
            by_map = self._map_loss(maps, theirs)
        maps = [one.float() for one in maps]
        boxes = draw_boxes(len(rows), group.side, rng)
        pooled, wanted = pool_scales(maps, boxes), pool_scales(theirs, boxes)
        return {
            "maps": by_map,
            "pooled": self._pooled_loss(pooled, wanted),
            "relations": relation_losses(pooled, wanted, boxes.owner),
        }

    def _map_loss(self, maps: list[Tensor], theirs: list[Tensor]) -> Tensor:
        """Squared difference of maps as a share of the teacher's variance."""
        parts = []
        for scale, (head, ours, wanted) in enumerate(zip(self.map_heads, maps, theirs, strict=True)):
            step = MAP_STEPS[scale]
            off = head(ours[:, :, ::step, ::step]).float() - wanted[:, :, ::step, ::step]
            parts.append(off.square().mean() / self.variances[scale])
        return torch.stack(parts).mean()

    def _pooled_loss(self, pooled: list[Tensor], wanted: list[Tensor]) -> Tensor:
        heads = [*self.pooled_heads, self.pooled_heads[-1]]
        parts = [
            (head(ours) - theirs).square().mean() / theirs.var((0, 2, 3)).mean()
            for head, ours, theirs in zip(heads, pooled, wanted, strict=True)
        ]
        return torch.stack(parts).mean()


@torch.no_grad()
def fitted_head(ours: Tensor, theirs: Tensor) -> nn.Conv2d:
    """Return a linear map from the student's channels to the teacher's, fitted on some maps."""
    head = nn.Conv2d(ours.shape[1], theirs.shape[1], 1)
    flat, wanted = (one.permute(0, 2, 3, 1).flatten(0, 2) for one in (ours, theirs))
    keep = torch.linspace(0, len(flat) - 1, min(len(flat), 20_000)).long()
    weights, bias = regress(flat[keep], wanted[keep])
    head.weight.copy_(weights[:, :, None, None])
    assert head.bias is not None
    head.bias.copy_(bias)
    return head


def draw_boxes(crops: int, side: int, rng: np.random.Generator) -> Boxes:
    """Draw boxes of lesions' sizes and windows of context for every crop."""
    shape = (BOXES_PER_CROP, crops, 4)
    lesions = [draw_box(side, rng) for _ in range(BOXES_PER_CROP * crops)]
    corners = np.array([[b.x0, b.y0, b.x1, b.y1] for b in lesions], dtype=np.float32)
    sides = rng.uniform(*CONTEXT_SHARE, (*shape[:2], 2)) * (side - 1)
    corner = rng.uniform(0, side - 1 - sides)
    context = np.concatenate([corner, corner + sides], axis=2).astype(np.float32)
    return Boxes(torch.from_numpy(corners.reshape(shape)), torch.from_numpy(context))


def tune(tuning: Tuning, steps: int, rng: np.random.Generator, progress: TuningProgress) -> Trunk:
    """Tune for some steps and return the averaged student."""
    parameters = tuning.parameters()
    optimiser = torch.optim.Adam(parameters, lr=LEARNING_RATE, fused=True)
    averaged = deepcopy(tuning.student).eval()
    for step in range(steps):
        warm = min(1.0, (step + 1) / WARM_UP)
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * warm * 0.5 * (1 + math.cos(math.pi * step / steps))
        losses = tuning.losses(rng)
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        _average(averaged, tuning.student, min(AVERAGED, (step + 1) / (step + 10)))
        progress(step, {name: float(value.detach()) for name, value in losses.items()})
    return averaged


@torch.no_grad()
def _average(averaged: Trunk, student: Trunk, decay: float) -> None:
    for old, new in zip(averaged.parameters(), student.parameters(), strict=True):
        old.lerp_(new, 1 - decay)
