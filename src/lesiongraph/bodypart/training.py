"""Volumes -> a trained regressor: equidistant slices, random crops, a second pass on the hard volumes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lesiongraph.bodypart.augment import augmented
from lesiongraph.bodypart.loss import physical_loss, ssbr_loss
from lesiongraph.bodypart.model import SsbrModel, ZMap, score_slices
from lesiongraph.bodypart.network import NetworkName, SsbrNetwork, seeded_network
from lesiongraph.bodypart.slices import SliceMode
from lesiongraph.errors import NotEnoughDataError
from lesiongraph.recipe import SsbrRecipe

MIN_VOLUMES = 4  # fewer volumes teach their own look, not the body's order
Progress = Callable[[int, int, float], None]


@dataclass(frozen=True)
class TrainingVolume:
    """One volume to learn from.

    `slices` (n, 128, 128) uint8 from `slice_input`, head to foot; `interval_mm` between neighbours, NaN if
    unknown; `name` for reports; `weight` says how often to draw it beside the others.
    """

    slices: NDArray[np.uint8]
    interval_mm: float
    name: str
    weight: float = 1.0


def training_volumes(
    slices: NDArray[np.uint8], position_mm: NDArray[np.float64], name: str
) -> list[TrainingVolume]:
    """Cut a series into volumes of equidistant slices, which Eq. 2 asks for.

    A gap of more than 2.1 times the usual interval ends a volume (DeepLesion's series are pieces); within
    one, where slices were thinned out unevenly, those nearest to a grid of the widest gap are taken.

    Parameters
    ----------
    slices : ndarray, shape (n, 128, 128), uint8
        Head to foot.
    position_mm : ndarray, shape (n,)
        Growing towards the feet; any NaN: the interval is unknown and taken as constant.
    name : str
    """
    if len(slices) < 2 or not np.isfinite(position_mm).all():
        return [TrainingVolume(slices, float("nan"), name)]
    gaps = np.diff(position_mm)
    breaks = np.flatnonzero(gaps > 2.1 * np.median(gaps)) + 1
    volumes = []
    for run in np.split(np.arange(len(slices)), breaks):
        step = float(np.diff(position_mm[run]).max()) if len(run) > 1 else 0.0
        if step <= 0:
            continue
        start, end = position_mm[run[0]], position_mm[run[-1]]
        grid = np.arange(start, end + 0.5 * step, step)  # (grid points,)
        nearest = np.abs(position_mm[run][None, :] - grid[:, None]).argmin(axis=1)
        volumes.append(TrainingVolume(slices[run[np.unique(nearest)]], step, name))
    return volumes


@dataclass(frozen=True)
class SsbrDesign:
    """What may differ from the paper's regressor; `PAPER_DESIGN` differs in nothing."""

    name: str
    network: NetworkName
    slice_mode: SliceMode
    physical_weight: float  # weight of `physical_loss` beside Eq. 2
    optimiser: Literal["sgd", "adam"]
    learning_rate: float | None  # None: the recipe's
    volumes_per_batch: int | None  # None: the recipe's
    augment: bool  # zoom, shift, flip, HU and noise; crops are the paper's own
    restart: bool  # the second training starts from new weights


PAPER_DESIGN = SsbrDesign("paper", "paper", "frame", 0.0, "sgd", None, None, False, True)
COMPACT_DESIGN = SsbrDesign("compact", "compact", "body", 4.0, "adam", 2.5e-3, 12, True, False)
DESIGNS = {design.name: design for design in (PAPER_DESIGN, COMPACT_DESIGN)}


def train_ssbr(
    volumes: Sequence[TrainingVolume],
    recipe: SsbrRecipe,
    rng_seed: int,
    *,
    steps: int | None = None,
    progress: Progress | None = None,
    design: SsbrDesign = COMPACT_DESIGN,
) -> SsbrModel:
    """Train twice: on all volumes, then with hard volumes (low r) oversampled.

    Parameters
    ----------
    volumes : sequence of TrainingVolume
        Volumes with fewer than m slices cannot give a sample and are left out.
    recipe : SsbrRecipe
        m, batch, learning rate, steps of each training.
    rng_seed : int
        Same seed, same volumes, same machine: same weights.
    steps : int, optional
        Steps of each of the two trainings; the recipe's if not given.
    progress : callable, optional
        Called as progress(step, steps of both, loss).
    design : SsbrDesign
        Network, input, losses.

    Returns
    -------
    SsbrModel
        Its z map spans the scores of the training volumes; its metadata holds r per volume.

    Raises
    ------
    NotEnoughDataError
        If fewer than four volumes have m slices.

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
    each = recipe.steps if steps is None else steps
    rng = np.random.default_rng(rng_seed)
    network = seeded_network(design.network, rng_seed)
    run = _Run(usable, recipe, design, rng, progress, each)
    share = np.array([volume.weight for volume in usable])
    run.train(network, share / share.sum(), done=0)
    r_first = volume_correlations(network, usable)
    if design.restart:
        network = seeded_network(design.network, rng_seed + 1)
    share = share * hardness_weights(r_first)
    run.train(network, share / share.sum(), done=each)
    return _finished(network, usable, design, recipe)


def volume_correlations(network: SsbrNetwork, volumes: Sequence[TrainingVolume]) -> NDArray[np.float64]:
    """Pearson r between slice index and score of each volume (Sec. 4.1); 0 where all scores are equal."""
    return np.array([_correlation(score_slices(network, volume.slices)) for volume in volumes])


def hardness_weights(r: NDArray[np.float64], most: float = 4.0) -> NDArray[np.float64]:
    """How often to draw each volume in the second training: up to `most` times for the lowest r.

    The paper oversamples volumes of low r without saying by how much; the factor here grows linearly from
    1 at the best r to `most` at the worst, and stays 1 where all volumes are equally good (within 0.01).
    """
    shortfall = r.max() - r
    factor = 1 + (most - 1) * shortfall / max(float(shortfall.max()), 0.01)
    return np.asarray(factor / factor.sum())


def sample_indices(n: int, m: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], int]:
    """Draw j, j+k, ..., j+k(m-1): k uniform in 1..n//m, j biased to both ends of the volume.

    Source: Eq. 2; facts, section 1 ("start biased to both ends"): j is drawn from a range wider by a fifth
    on either side and clipped, so that first and last slices are seen as often as middle ones.
    """
    k = int(rng.integers(1, n // m + 1))
    last = n - 1 - k * (m - 1)
    j = int(np.clip(np.rint(rng.uniform(-0.2 * n, last + 0.2 * n)), 0, last))
    return j + k * np.arange(m), k


@dataclass
class _Run:
    volumes: Sequence[TrainingVolume]
    recipe: SsbrRecipe
    design: SsbrDesign
    rng: np.random.Generator
    progress: Progress | None
    steps: int

    def train(self, network: SsbrNetwork, weights: NDArray[np.float64], done: int) -> None:
        """Run `steps` steps, drawing volumes by `weights`; `done` steps were made before."""
        optimiser, schedule = self._optimiser(network)
        network.train()
        for step in range(self.steps):
            batch, step_mm = self._batch(weights)
            scores = network(batch).reshape(-1, self.recipe.slices_per_volume)
            order, distance = ssbr_loss(scores)
            loss = order + distance  # 1:1, Eq. 2
            if self.design.physical_weight:
                loss = loss + self.design.physical_weight * physical_loss(scores, step_mm)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
            optimiser.step()
            schedule.step()
            if self.progress is not None:
                self.progress(done + step + 1, 2 * self.steps, float(loss.detach()))
        network.eval()

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
        optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=1e-3)
        return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, self._warm_cosine)

    def _warm_cosine(self, step: int) -> float:
        warm = min(1.0, (step + 1) / 20)
        return warm * (0.02 + 0.49 * (1 + math.cos(math.pi * step / max(1, self.steps))))

    def _batch(self, weights: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        """Slices (B * m, 1, size, size) in grey levels, and the mm between neighbours of each row (B,)."""
        count = self.design.volumes_per_batch or self.recipe.volumes_per_batch
        rows, step_mm = [], []
        for choice in self.rng.choice(len(self.volumes), count, p=weights):
            volume = self.volumes[choice]
            indices, k = sample_indices(len(volume.slices), self.recipe.slices_per_volume, self.rng)
            rows.append(volume.slices[indices])
            step_mm.append(k * volume.interval_mm)
        batch = torch.from_numpy(np.stack(rows)).float()  # (B, m, size, size)
        batch = augmented(batch, self.recipe.crop_min_fraction, self.design.augment, self.rng)
        return batch.flatten(0, 1)[:, None], torch.tensor(step_mm, dtype=torch.float32)


def _correlation(scores: NDArray[np.float64]) -> float:
    if len(scores) < 2 or np.ptp(scores) == 0:
        return 0.0
    return float(np.corrcoef(np.arange(len(scores)), scores)[0, 1])


def _finished(
    network: SsbrNetwork, volumes: Sequence[TrainingVolume], design: SsbrDesign, recipe: SsbrRecipe
) -> SsbrModel:
    scores = [score_slices(network, volume.slices) for volume in volumes]
    r = [_correlation(volume_scores) for volume_scores in scores]
    slopes = [
        float(np.polyfit(np.arange(len(s)) * volume.interval_mm, s, 1)[0])
        for s, volume in zip(scores, volumes, strict=True)
        if np.isfinite(volume.interval_mm) and volume.interval_mm > 0
    ]
    low, high = np.quantile(np.concatenate(scores), [0.01, 0.99])
    return SsbrModel(
        network,
        ZMap.spanning(float(low), float(high)),
        slice_mode=design.slice_mode,
        score_per_mm=float(np.median(slopes)) if slopes else float("nan"),
        notes={
            "design": design.name,
            "volumes": str(len(volumes)),
            "slices": str(sum(len(s) for s in scores)),
            "r_mean": f"{np.mean(r):.4f}",
            "r_worst": f"{np.min(r):.4f}",
            "window_hu": f"{recipe.window_low_hu:g} {recipe.window_high_hu:g}",
        },
    )
