"""One training: pseudo-labels → sequences → triplet network → refinement (Sec. 4.2, 4.3, 6.1)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from lesiongraph.cues import SequenceSampler
from lesiongraph.embedding import (
    CachedLesions,
    Checkpointing,
    LesionInputs,
    PatchLesions,
    PatchLike,
    TrainedEmbedder,
    TrunkLike,
    refine,
    train_embedder,
)
from lesiongraph.imaging import PatchStore
from lesiongraph.pipeline.embed import PatchRows, embed_with
from lesiongraph.pipeline.features import Features
from lesiongraph.pipeline.labelling import PoolLabels, label_pool, labels_table
from lesiongraph.pipeline.progress import Progress
from lesiongraph.pipeline.training_set import TrainingSet
from lesiongraph.recipe import EmbeddingRecipe
from lesiongraph.workspace import StageFolder

SEQUENCES_KEPT = 12  # drawn in the report (Fig. 3)
ANCHORS = "pool lesions that a sequence can start from"
FEW_ANCHORS = 0.1  # share of the pool below which a run says so


@dataclass
class TrainingRun:
    """One training: what it learns from, and the labels and sequences it learned from last.

    `initial_labels` are None where the type is no cue: nothing then looks at a pseudo-label, and the
    refinement, which has no labels to mend, goes on with the same sequences (ADR 10).
    """

    recipe: EmbeddingRecipe
    data: TrainingSet
    patches: PatchStore
    features: Features
    initial_labels: PoolLabels | None
    progress: Progress
    start: TrainedEmbedder | None = None  # the embedder whose head this one goes on from
    labels: PoolLabels | None = None
    sampler: SequenceSampler | None = None
    counts: Counter[str] = field(default_factory=Counter)
    details: dict[str, Any] = field(default_factory=dict)

    def train(self, trunk: TrunkLike, rng_seed: int, checkpoint: Checkpointing) -> TrainedEmbedder:
        """Train on the initial pseudo-labels, then refine on those of the learned embedding."""
        # numpy's BLAS threads would spin against torch's: ten times slower on two cores
        with threadpool_limits(limits=1, user_api="blas"):
            return self._train(trunk, rng_seed, checkpoint)

    def vectors(self, model: TrainedEmbedder) -> np.ndarray:
        """Embed all lesions (N, D), rows as in `data.lesions`."""
        features = None if self.recipe.train_trunk else self.features
        return embed_with(model, self.patches, features, self.data.places)

    @property
    def labelled_by(self) -> str:
        """The vectors that the first pseudo-labels come from, in words."""
        return "packaged embedding" if self.start else "initial feature"

    def save(self, folder: StageFolder, model: TrainedEmbedder) -> None:
        """Write the embedder and what it learned from."""
        assert self.sampler is not None
        took_part = self.data.lesions.iloc[np.concatenate([self.data.seeds, self.data.pool])]
        drawn = self.sampler.sample(SEQUENCES_KEPT, np.random.default_rng(model.rng_seed))
        ids = np.append(
            self.data.lesions.lesion_id.to_numpy(str)[self.data.pool], ""
        )  # −1: a letter not used
        labels = labels_table(self.data, self.labels.labels if self.labels else None)
        before = labels_table(self.data, self.initial_labels.labels if self.initial_labels else None)
        model.save(folder.path / "embedder.safetensors")
        folder.write_array("history", np.array(model.history))
        folder.write_table("pseudo_labels", labels.assign(type_before=before.type))
        folder.write_table("training_set", took_part[["patient_id", "subset"]].drop_duplicates())
        folder.write_table("sequences", pd.DataFrame(ids[drawn], columns=list("ABCDE")))

    def _train(self, trunk: TrunkLike, rng_seed: int, checkpoint: Checkpointing) -> TrainedEmbedder:
        self.counts.update(self.data.counts())
        inputs = self._inputs(trunk)
        model = train_embedder(
            inputs, self._sample(self.initial_labels, self.labelled_by), trunk, self.recipe,
            rng_seed=rng_seed, checkpoint=checkpoint, start=self.start.head if self.start else None,
            progress=lambda step, steps, _loss: self.progress("train", step, steps),
        )  # fmt: skip
        for _ in range(self.recipe.refinements):
            refine(
                model, inputs, self._relabel(model), checkpoint=checkpoint,
                progress=lambda step, steps, _loss: self.progress("refine", step, steps),
            )  # fmt: skip
        return model

    def _inputs(self, trunk: TrunkLike) -> LesionInputs:
        if not self.recipe.train_trunk:
            return CachedLesions(self.features.maps, self.data.pool, self.data.places)
        chosen = _Chosen(PatchRows(self.patches), self.data.pool)
        places = self.data.places[self.data.pool]
        return PatchLesions(chosen, trunk, self.recipe.roi_size, self.recipe.pool, places=places)

    def _relabel(self, model: TrainedEmbedder) -> SequenceSampler:
        """Label the pool again by the learned embedding."""
        assert self.sampler is not None
        if self.labels is None:
            return self.sampler
        before = self.labels.labels.types
        labels = label_pool(self.data, self.vectors(model), self.recipe)
        self.counts["pseudo-labels changed by refinement"] = int(np.sum(labels.labels.types != before))
        return self._sample(labels, "embedding")

    def _sample(self, labels: PoolLabels | None, feature: str) -> SequenceSampler:
        """Draw sequences of the recipe's cues from these labels."""
        self.labels = labels
        if labels is not None:
            self.details[f"pseudo-labels from {feature}"] = labels.facts
            self.counts["pool lesions without a pseudo-label (left out)"] = labels.facts["without a label"]
        types = np.full(len(self.data.pool), "") if labels is None else labels.labels.types
        self.sampler = SequenceSampler(
            types, self.data.locations, self.data.sizes, self.recipe.t_low, self.recipe.t_high,
            cues=self.recipe.cues, relax=self.recipe.relax_sequences,
        )  # fmt: skip
        self.details[f"sequences from {feature}"] = dict(self.sampler.counts)
        self.counts.setdefault(ANCHORS, self.sampler.counts["anchors"])  # those of the first training
        return self.sampler

    def notes(self) -> list[str]:
        """Return what a reader of the run should know: that few lesions can start a sequence, if so."""
        counts = self.details[f"sequences from {self.labelled_by}"]
        if counts["anchors"] >= FEW_ANCHORS * counts["lesions"]:
            return []
        lacking = ", ".join(
            f"{counts[key]} have no {key[-1].upper()}" for key in sorted(counts) if key.startswith("without_")
        )
        relax = "" if self.recipe.relax_sequences else ", a larger t_low or relax_sequences=true"
        return [
            f"a sequence can start from {counts['anchors']} of {counts['lesions']} pool lesions "
            f"({counts['left_out']} take no part, {lacking}; t_low = {self.recipe.t_low}, t_high = "
            f"{self.recipe.t_high}). What is learned leans on these few. More lesions{relax} would help."
        ]


class _Chosen:
    """Some of the patches, renumbered from 0."""

    def __init__(self, patches: PatchRows, rows: np.ndarray) -> None:
        self._patches, self._rows = patches, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int, /) -> PatchLike:
        return self._patches[int(self._rows[row])]
