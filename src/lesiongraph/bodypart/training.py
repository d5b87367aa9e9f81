"""Volumes -> a trained regressor: equidistant slices, then again with hard volumes drawn more often."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lesiongraph.bodypart.augment import USUAL, Variation, paper_crops, random_views
from lesiongraph.bodypart.loss import physical_loss, ssbr_loss
from lesiongraph.bodypart.model import SsbrModel, ZMap, score_slices
from lesiongraph.bodypart.network import (
    CompactNetwork,
    NetworkName,
    SsbrNetwork,
    seeded_network,
)
from lesiongraph.bodypart.slices import SliceMode
from lesiongraph.bodypart.volumes import TrainingVolume, hardness_weights, sample_indices
from lesiongraph.errors import NotEnoughDataError
from lesiongraph.recipe import SsbrRecipe

MIN_VOLUMES = 4  # fewer volumes teach their own look, not the body's order
Progress = Callable[[int, int, float], None]


@dataclass(frozen=True)
class SsbrDesign:
    """What may differ from the paper's regressor; `PAPER_DESIGN` differs in nothing."""

    name: str
    network: NetworkName
    slice_mode: SliceMode
    views: Literal["crops", "random views"]  # crops: the paper's, of a whole sample
    order_weight: float  # of Eq. 2's two terms …
    distance_weight: float
    physical_weight: float  # … and of `physical_loss`
    optimiser: Literal["sgd", "adam"]
    learning_rate: float | None  # None: the recipe's
    volumes_per_batch: int | None  # None: the recipe's
    steps: int | None  # of each training; None: the recipe's
    trainings: int  # 2: once more from new weights, with hard volumes drawn more often
    variation: Variation = USUAL  # of random views


PAPER_DESIGN = SsbrDesign(
    "paper", "paper", "frame", "crops", 1.0, 1.0, 0.0, "sgd", None, None, None, trainings=2
)
COMPACT_DESIGN = SsbrDesign(
    "compact", "compact", "body", "random views", 0.3, 0.0, 4.0, "adam", 1.5e-3, 10, 450, trainings=1
)
DESIGNS = {design.name: design for design in (PAPER_DESIGN, COMPACT_DESIGN)}
_JUDGED_SLICES = 32  # of a volume, at most, when its r is measured
_TRUNK_RATE = 0.2  # of the learning rate: a pretrained trunk moves slowly
_ALIKE_SHARE = 0.3  # of the batches whose samples are each seen in one view, as the paper's are


def train_ssbr(
    volumes: Sequence[TrainingVolume],
    recipe: SsbrRecipe,
    rng_seed: int,
    *,
    steps: int | None = None,
    progress: Progress | None = None,
    design: SsbrDesign = COMPACT_DESIGN,
    start: SsbrNetwork | None = None,
    device: torch.device | str = "cpu",
) -> SsbrModel:
    """Train on all volumes and, if the design says so, anew with hard volumes (low r) drawn more often.

    The compact design does not: its hardest volumes are crops and the oddest phantoms, and more of those made
    it worse on patients left out.

    Parameters
    ----------
    volumes : sequence of TrainingVolume
        Volumes with fewer than m slices cannot give a sample and are left out.
    recipe : SsbrRecipe
        m, batch, learning rate, steps.
    rng_seed : int
        Same seed, same volumes, same machine: same weights. On a GPU the draws are the same, but its sums
        are not made in one order.
    steps : int, optional
        Steps of each training; the design's or the recipe's if not given.
    progress : callable, optional
        Called as progress(step, steps of all trainings, loss).
    design : SsbrDesign
        Network, input, losses.
    start : CompactNetwork, optional
        Whose trunk the compact design starts from; the packaged one if not given. The paper's network is
        trained from scratch.
    device : torch.device or str
        Where to train; the model comes back on the CPU.

    Returns
    -------
    SsbrModel
        Its z map spans the scores of the training volumes; its notes hold r of the training volumes.

    Raises
    ------
    NotEnoughDataError
        If fewer than four volumes have m slices.
    ValueError
        If the compact design is given volumes without frames.

    Source: Sec. 4.1, 8.2; sampling as in the authors' code.
    """
    usable = [volume for volume in volumes if len(volume.slices) >= recipe.slices_per_volume]
    if len(usable) < MIN_VOLUMES:
        raise NotEnoughDataError(
            f"SSBR training ({len(volumes)} volumes given)",
            f"{MIN_VOLUMES} volumes of at least {recipe.slices_per_volume} slices",
            len(usable),
            "Use the packaged model (without --fit), or mine more series.",
        )
    for volume in usable:
        if design.views == "random views" and (volume.frames is None or volume.boxes is None):
            raise ValueError(f"{volume.name}: this design learns from random views; give frames and boxes")
    each = steps or design.steps or recipe.steps
    run = _Run(usable, recipe, design, np.random.default_rng(rng_seed), progress, each, torch.device(device))
    network = _fresh(design, rng_seed, start).to(run.device)
    share = np.array([volume.weight for volume in usable])
    run.train(network, share / share.sum(), done=0)
    for again in range(1, design.trainings):
        r = volume_correlations(network, map(_thinned, usable))
        network = _fresh(design, rng_seed + again, start).to(run.device)
        harder = share * hardness_weights(r)
        run.train(network, harder / harder.sum(), done=again * each)
    _round_to_half(network)
    return _finished(network, usable, design, recipe)


def volume_correlations(network: SsbrNetwork, volumes: Iterable[TrainingVolume]) -> NDArray[np.float64]:
    """Pearson r between slice index and score of each volume (Sec. 4.1); 0 where all scores are equal."""
    return np.array([_correlation(score_slices(network, volume.slices)) for volume in volumes])


def _thinned(volume: TrainingVolume) -> TrainingVolume:
    """Every few slices: r and the slope need no more, and scoring all would cost as much as training."""
    step = math.ceil(len(volume.slices) / _JUDGED_SLICES)
    indices = np.arange(0, len(volume.slices), step)
    return replace(volume, frames=None, boxes=None).chosen(indices, step * volume.interval_mm)


def _fresh(design: SsbrDesign, rng_seed: int, start: SsbrNetwork | None) -> SsbrNetwork:
    network = seeded_network(design.network, rng_seed)
    if isinstance(network, CompactNetwork):
        given = start or SsbrModel.load().network
        if not isinstance(given, CompactNetwork):
            raise ValueError(f"start: expected a compact network, got {given.name!r}")
        network.trunk.load_state_dict(given.trunk.state_dict())
    return network


def _round_to_half(network: SsbrNetwork) -> None:
    """Make the file half the size, and what is judged the same as what is saved."""
    network.load_state_dict({key: value.half().float() for key, value in network.state_dict().items()})


@dataclass
class _Run:
    volumes: Sequence[TrainingVolume]
    recipe: SsbrRecipe
    design: SsbrDesign
    rng: np.random.Generator
    progress: Progress | None
    steps: int
    device: torch.device

    def train(self, network: SsbrNetwork, weights: NDArray[np.float64], done: int) -> None:
        """Run `steps` steps, drawing volumes by `weights`; `done` steps were made before."""
        if isinstance(network, CompactNetwork):
            with torch.no_grad():
                batches = [self._batch(weights)[0] for _ in range(8)]
                network.committee.standardise(torch.cat([network.encode(batch) for batch in batches]))
        optimiser, schedule = self._optimiser(network)
        network.train()
        # dropout draws from torch's state: tie it to this run, and leave it as it was
        with torch.random.fork_rng(devices=[] if self.device.type == "cpu" else [self.device]):
            torch.manual_seed(int(self.rng.integers(2**31)))
            for step in range(self.steps):
                batch, step_mm = self._batch(weights)
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self._half_precision):
                    scores = network.heads(batch).float()
                loss = self._loss(scores, step_mm)
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
                optimiser.step()
                schedule.step()
                if self.progress is not None:
                    self.progress(done + step + 1, self.design.trainings * self.steps, float(loss.detach()))
        network.eval()

    @property
    def _half_precision(self) -> bool:
        """Whether convolutions may be read in bfloat16: several times faster where the machine knows it."""
        if self.device.type == "cuda":
            return bool(torch.cuda.is_bf16_supported())
        return self.design.network == "compact" and torch.ops.mkldnn._is_mkldnn_bf16_supported()

    def _loss(self, scores: Tensor, step_mm: Tensor) -> Tensor:
        """Weighted terms, each head judged alone; scores (heads, B * m)."""
        rows = scores.reshape(-1, self.recipe.slices_per_volume)  # (heads * B, m)
        order, distance = ssbr_loss(rows)
        loss = self.design.order_weight * order + self.design.distance_weight * distance
        if self.design.physical_weight:
            loss = loss + self.design.physical_weight * physical_loss(rows, step_mm.repeat(len(scores)))
        return loss

    def _optimiser(
        self, network: SsbrNetwork
    ) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        rate = self.design.learning_rate or self.recipe.learning_rate
        optimiser: torch.optim.Optimizer
        if self.design.optimiser == "sgd":
            optimiser = torch.optim.SGD(
                network.parameters(), rate, self.recipe.momentum, weight_decay=self.recipe.weight_decay
            )
            return optimiser, torch.optim.lr_scheduler.ConstantLR(optimiser, 1.0, 0)
        slow = [w for name, w in network.named_parameters() if name.startswith("trunk.") and w.requires_grad]
        fast = [w for name, w in network.named_parameters() if not name.startswith("trunk.")]
        groups: list[dict[str, object]] = [{"params": slow, "lr": _TRUNK_RATE * rate}, {"params": fast}]
        optimiser = torch.optim.AdamW(groups, rate, weight_decay=0.02)
        return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, self._warm_cosine)

    def _warm_cosine(self, step: int) -> float:
        warm = min(1.0, (step + 1) / 30)
        return warm * (0.01 + 0.495 * (1 + math.cos(math.pi * step / max(1, self.steps))))

    def _batch(self, weights: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        """Pictures (B * m, 1, size, size) in grey levels, and the mm between neighbours of each row (B,).

        The pictures lie on the device, the mm on the CPU.
        """
        m = self.recipe.slices_per_volume
        count = self.design.volumes_per_batch or self.recipe.volumes_per_batch
        samples, step_mm = [], []
        for choice in self.rng.choice(len(self.volumes), count, p=weights):
            volume = self.volumes[choice]
            indices, k = sample_indices(len(volume.slices), m, self.rng)
            samples.append(volume.chosen(indices, k * volume.interval_mm))
            step_mm.append(k * volume.interval_mm)
        return self._pictures(samples), torch.tensor(step_mm, dtype=torch.float32)

    def _pictures(self, samples: Sequence[TrainingVolume]) -> Tensor:
        if self.design.views == "crops":
            rows = torch.from_numpy(np.stack([sample.slices for sample in samples])).float()
            cropped = paper_crops(rows, self.recipe.crop_min_fraction, self.rng, self.device)
            return cropped.flatten(0, 1)[:, None]
        frames = np.concatenate([sample.frames for sample in samples if sample.frames is not None])
        boxes = np.concatenate([sample.boxes for sample in samples if sample.boxes is not None])
        alike = self.recipe.slices_per_volume if self.rng.random() < _ALIKE_SHARE else 1
        return random_views(
            frames,
            boxes,
            samples[0].slices.shape[-1],
            self.rng,
            alike=alike,
            variation=self.design.variation,
            device=self.device,
        )


def _correlation(scores: NDArray[np.float64]) -> float:
    if len(scores) < 2 or np.ptp(scores) == 0:
        return 0.0
    return float(np.corrcoef(np.arange(len(scores)), scores)[0, 1])


def _finished(
    network: SsbrNetwork, volumes: Sequence[TrainingVolume], design: SsbrDesign, recipe: SsbrRecipe
) -> SsbrModel:
    intervals_mm, scores = [], []
    for volume in map(_thinned, volumes):  # one at a time: thinned slices are copies
        intervals_mm.append(volume.interval_mm)
        scores.append(score_slices(network, volume.slices))
    r = [_correlation(volume_scores) for volume_scores in scores]
    slopes = [
        float(np.polyfit(np.arange(len(s)) * interval_mm, s, 1)[0])
        for s, interval_mm in zip(scores, intervals_mm, strict=True)
        if np.isfinite(interval_mm) and interval_mm > 0
    ]
    low, high = np.quantile(np.concatenate(scores), [0.01, 0.99])
    return SsbrModel(
        network.cpu(),
        ZMap.spanning(float(low), float(high)),
        slice_mode=design.slice_mode,
        score_per_mm=float(np.median(slopes)) if slopes else float("nan"),
        notes={
            "design": design.name,
            "volumes": str(len(volumes)),
            "r_mean": f"{np.mean(r):.4f}",
            "r_worst": f"{np.min(r):.4f}",
            "window_hu": f"{recipe.window_low_hu:g} {recipe.window_high_hu:g}",
        },
    )
