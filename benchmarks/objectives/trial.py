"""Trains a method on an archive with one random seed and scores it as `evaluate` does."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from lesiongraph.cues import PseudoLabels, SequenceSampler, TypeClassifier
from lesiongraph.embedding import log_ratio_loss, sequence_loss, supervised_contrastive_loss
from lesiongraph.evaluation import evaluate_features
from lesiongraph.lesion import LESION_TYPES
from lesiongraph.recipe import preset
from objectives.archive import Archive, Ints
from objectives.heads import Head
from objectives.losses import multi_similarity, proxy_anchor
from objectives.methods import Method
from objectives.mining import REFRESH, Miner
from objectives.views import PLAIN, View

FIGURES = ("type_are", "location_are", "size_are", "purity", "nmi", "accuracy")
BATCH, EACH = 120, 15  # as many lesions as 24 sequences hold; of each type drawn
CODES = {name: code for code, name in enumerate(LESION_TYPES)}
TrialRow = tuple[str, list[dict[str, float]], list[dict[str, float]]]  # label, every hit, other owners
Types = NDArray[np.str_]


@dataclass(frozen=True)
class Trial:
    """What one training came to."""

    method: Method
    rng_seed: int
    every_hit: dict[str, float]
    other_owners: dict[str, float]
    labels_right: float  # of the pseudo-labels that were learned from last; NaN without the truth
    seconds: float


def run_trials(archive: Archive, methods: Sequence[Method], rng_seed: int) -> list[Trial]:
    """Label, train, relabel by what was learned, train on (one refinement), embed, score.

    One training serves all methods: their `training` is the same.
    """
    method, *others = methods
    if any(other.training != method.training for other in others):
        raise ValueError(f"expected methods of one training, got {[one.label for one in methods]}")
    started = time.monotonic()
    learner = _Learner(archive, method, rng_seed)
    first = learner.embed() if method.start == "packaged" else archive.maps.initial(method.sight)
    if method.steps:
        learner.train(learner.labels_by(first), method.steps, decay=True)
        learner.train(learner.labels_by(learner.embed()), method.steps // 4, decay=False)
    seconds = time.monotonic() - started
    found = [(one, learner.mean_over(one.looks)) for one in methods]
    return [
        Trial(
            one,
            rng_seed,
            score(archive, vectors, other_owners=False),
            score(archive, vectors, other_owners=True),
            learner.labels_right,
            seconds,
        )
        for one, vectors in found
    ]


def score(archive: Archive, vectors: NDArray[np.floating], *, other_owners: bool) -> dict[str, float]:
    """Score vectors (N, D) on the test lesions; accuracy learns from the seeds."""
    test, seeds = archive.rows("test"), archive.rows("seed")
    row = evaluate_features(
        vectors[test], archive.types[test], archive.locations[test], archive.sizes_mm[test],
        archive.owners[test], other_patients=other_owners,
        seed_features=vectors[seeds], seed_types=archive.types[seeds],
    )  # fmt: skip
    return {name: float(value) for name, value in row.to_dict().items() if value is not None}


class _Learner:
    def __init__(self, archive: Archive, method: Method, rng_seed: int) -> None:
        self.archive, self.method = archive, method
        self.rng = np.random.default_rng(rng_seed)
        torch.manual_seed(rng_seed)
        self.pool, self.seeds = archive.rows("pool"), archive.rows("seed")
        self.learning = np.concatenate([self.pool, self.seeds]) if method.seeds_learn else self.pool
        channels = [one.shape[1] for one in archive.maps.seen(method.sight)]
        place_width = method.fc_width if method.place_input else 0
        self.head = (
            Head.packaged(method.dropout)
            if method.start == "packaged"
            else Head.fresh(channels, method.fc_width, 1024, place_width, method.dropout)
        )
        self.cue_head = nn.Linear(1024, len(CODES) + 5)
        self.proxies = nn.Parameter(torch.randn(len(CODES), 1024))
        self.told = torch.from_numpy(np.concatenate([archive.locations, archive.sizes_mm], axis=1)).float()
        self.places = torch.from_numpy(archive.places).float()
        self.sizes = torch.from_numpy(archive.sizes).float()
        self.labels_right = float("nan")

    def labels_by(self, features: NDArray[np.floating]) -> Types:
        """Pseudo-labels of the learning rows, the seeds' own types where they learn; "" for the unsure."""
        types = self.archive.types
        given = TypeClassifier().fit(features[self.seeds], types[self.seeds]).predict(features[self.pool])
        labels = _surest(given, self.method.sure_share)
        if self.archive.true_types is not None:
            known = self.archive.true_types[self.pool]
            judged = (known != "") & (labels != "")
            self.labels_right = float(np.mean(labels[judged] == known[judged]))
        return np.concatenate([labels, types[self.seeds]]) if self.method.seeds_learn else labels

    def train(self, labels: Types, steps: int, *, decay: bool) -> None:
        """Train on these labels; with `decay` from the full rate, else on at a tenth of it."""
        draw, maps = self._drawer(labels), self.archive.maps.seen(self.method.sight)
        codes = torch.tensor([CODES.get(name, -1) for name in labels])
        rate = self.method.learning_rate * (1 if decay else 0.1)
        optimiser = self._optimiser(rate)
        self.head.train()
        for step in range(steps):
            if decay and step == int(0.75 * steps):
                for group in optimiser.param_groups:
                    group["lr"] *= 0.1
            rows = draw(step)
            unique, where = np.unique(rows, return_inverse=True)
            vectors = self.head(*self._inputs(maps, self.learning[unique]))
            places = torch.from_numpy(where.reshape(rows.shape))
            loss = self._loss(vectors, places, codes[unique], self.learning[unique])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    def embed(self, view: View = PLAIN) -> NDArray[np.float32]:
        """Vectors (N, 1024) of every lesion, looked at as `view` says."""
        learns, maps = self.head.training, self.archive.maps.seen(self.method.sight, view)
        self.head.eval()
        count = len(self.archive.types)
        with torch.inference_mode():
            parts = np.array_split(np.arange(count), 1 + count // 512)
            vectors = np.concatenate([self.head(*self._inputs(maps, rows)).numpy() for rows in parts])
        self.head.train(learns)
        return vectors

    def mean_over(self, views: Sequence[View]) -> NDArray[np.float32]:
        """Unit vectors (N, 1024): the mean of each lesion's embeddings over views."""
        mean = np.mean([self.embed(view) for view in views], axis=0)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)

    def _drawer(self, labels: Types) -> Callable[[int], Ints]:
        """What draws a step's rows: sequences, or as many lesions of each type."""
        if self.method.objective == "sequences":
            recipe = preset("demo").embedding
            sampler = SequenceSampler(
                labels, self.places[self.learning], self.sizes[self.learning],
                recipe.t_low, recipe.t_high, relax=True,
            )  # fmt: skip
            if self.method.mining == "random":
                return lambda _step: sampler.sample(BATCH // 5, self.rng)
            places = self.places[self.learning].numpy()
            return self._mining(sampler, Miner(sampler, places, recipe.margins, self.method.mining))
        of_type = [np.flatnonzero(labels == name) for name in np.unique(labels) if name]
        return lambda _step: np.concatenate([self.rng.choice(rows, EACH) for rows in of_type])

    def _mining(self, sampler: SequenceSampler, miner: Miner) -> Callable[[int], Ints]:
        vectors = np.empty(0, dtype=np.float32)

        def draw(step: int) -> Ints:
            nonlocal vectors
            if step % REFRESH == 0:
                vectors = self.embed()[self.learning]
            return miner.redraw(sampler.sample(BATCH // 5, self.rng), vectors, self.rng)

        return draw

    def _loss(self, vectors: Tensor, where: Tensor, types: Tensor, rows: Ints) -> Tensor:
        method, places, sizes = self.method, self.places[rows], self.sizes[rows]
        if method.objective == "sequences":
            loss = sequence_loss(vectors[where], preset("demo").embedding.margins)
        elif method.objective == "contrastive":
            loss = supervised_contrastive_loss(vectors, types)
        elif method.objective == "multi-similarity":
            loss = multi_similarity(vectors, types)
        else:
            loss = proxy_anchor(vectors, types, self.proxies)
        if method.place_pull:
            loss = loss + method.place_pull * log_ratio_loss(vectors, places, types)
        if method.size_pull:
            loss = loss + method.size_pull * log_ratio_loss(vectors, sizes, types)
        if method.cue_head:
            guessed = self.cue_head(10 * vectors)
            numbers = functional.smooth_l1_loss(guessed[:, -5:], torch.cat([places, sizes], 1))
            loss = loss + method.cue_head * (functional.cross_entropy(guessed[:, :-5], types) + 10 * numbers)
        return loss

    def _optimiser(self, rate: float) -> torch.optim.Optimizer:
        weights = [*self.head.parameters(), *self.cue_head.parameters()]
        groups = [{"params": weights, "lr": rate}, {"params": [self.proxies], "lr": 100 * rate}]
        if self.method.optimiser == "sgd":
            return torch.optim.SGD(groups, momentum=0.9, weight_decay=self.method.weight_decay)
        return torch.optim.AdamW(groups, weight_decay=self.method.weight_decay)

    def _inputs(self, maps: Sequence[Tensor], rows: Ints) -> tuple[list[Tensor], Tensor]:
        told = self.told[torch.from_numpy(rows)].clone()
        if self.head.training and self.method.jitter:
            told[:, :3] += self.method.jitter * torch.randn(len(rows), 3)
        return [one[rows].float() for one in maps], told


def _surest(given: PseudoLabels, share: float) -> Types:
    """Return the labels, "" where a lesion is not among the surest `share` of those labelled so."""
    labels = given.types.copy()
    for name in np.unique(labels):
        rows = np.flatnonzero(labels == name)
        labels[rows[np.argsort(-given.confidence[rows])][int(np.ceil(share * len(rows))) :]] = ""
    return labels


def print_trials(title: str, rows: Sequence[TrialRow]) -> None:
    """Print mean ± standard deviation, hits of the own patient counted and not, as Markdown."""
    print(f"\n### {title}\n")
    print("| method | " + " | ".join(FIGURES) + " | others: type | location | size |")
    print("|---" * (len(FIGURES) + 4) + "|")
    for label, every, others in rows:
        cells = [_spread([one.get(name, np.nan) for one in every]) for name in FIGURES]
        cells += [_spread([one.get(name, np.nan) for one in others]) for name in FIGURES[:3]]
        print(f"| {label} | " + " | ".join(cells) + " |", flush=True)


def less(row: TrialRow, base: TrialRow) -> TrialRow:
    """Return a row of the differences from `base`, random seed by random seed."""
    every, others = (
        [{name: one[name] - start[name] for name in one} for one, start in zip(here, there, strict=True)]
        for here, there in ((row[1], base[1]), (row[2], base[2]))
    )
    return f"{row[0]}, less the first row's", every, others


def _spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.1f}" + (f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else "")
