"""Seeds → pseudo-labels → sequences → triplet network → one refinement (Sec. 4.2, 4.3, 6.1)."""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from lesiongraph.cues import PseudoLabels, SequenceSampler, TypeClassifier, location_vectors, size_vectors
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
from lesiongraph.errors import NotEnoughDataError, StageMissingError
from lesiongraph.imaging import PatchStore
from lesiongraph.pipeline.catalogue import kept_lesions
from lesiongraph.pipeline.embed import PatchRows, embed_with
from lesiongraph.pipeline.features import Features, ensure_features, open_trunk
from lesiongraph.pipeline.patches import ensure_patches
from lesiongraph.pipeline.progress import Progress, silent
from lesiongraph.recipe import Recipe
from lesiongraph.workspace import RunReport, Workspace, fingerprint

SEQUENCES_KEPT = 12  # drawn in the report (Fig. 3)


@dataclass(frozen=True)
class TrainingSet:
    """Who takes part: rows are rows of the feature arrays."""

    lesions: pd.DataFrame  # catalogue rows, one a feature row
    seeds: np.ndarray  # (n,) rows with a manual type, never in the triplet network
    pool: np.ndarray  # (m,) rows that the triplet network learns from
    locations: np.ndarray  # (m, 3) divided by their maximum over the pool
    sizes: np.ndarray  # (m, 2)


def train(
    workspace: Workspace,
    recipe: Recipe,
    *,
    vgg16: Path | None = None,
    init: str = "imagenet",
    rng_seed: int = 0,
    progress: Progress = silent,
) -> RunReport:
    """Train the lesion embedding on the workspace's pool; a killed run is taken up where it stopped.

    Raises
    ------
    NotEnoughDataError
        If there are no typed seeds, too few pool lesions, or no lesion can be an anchor.
    StageMissingError
        If nothing was mined or located, or lesions were mined since.
    WeightsError
        If the trunk's weights are absent.
    """
    report = RunReport("train", rng_seed=rng_seed)
    with workspace.lock():
        _check_located(workspace)
        patches = ensure_patches(workspace, recipe.imaging, report, progress)
        trunk = open_trunk(recipe.embedding.trunk, report, vgg16=vgg16, init=init)
        key = fingerprint(
            [workspace.key(stage) for stage in ("patches", "locations")],
            dataclasses.asdict(recipe), trunk.sha256, init, rng_seed,
        )  # fmt: skip
        report.already_done = workspace.is_current("model", key)
        if not report.already_done:
            features = ensure_features(
                workspace, patches, trunk, recipe.embedding.roi_size, progress, pool=recipe.embedding.pool
            )
            run = _Run(
                recipe, _training_set(workspace, features.lesion_ids), patches, features, report, progress
            )
            checkpoint = Checkpointing(workspace.scratch(f"training-{key}"))
            checkpoint.folder.mkdir(exist_ok=True)
            # numpy's BLAS threads would spin against torch's: ten times slower on two cores
            with threadpool_limits(limits=1, user_api="blas"):
                model = run.train(trunk, rng_seed, checkpoint)
            _save(workspace, key, model, run)
            # also what trainings with other options left when they were killed
            for left in checkpoint.folder.parent.glob("training-*"):
                shutil.rmtree(left)
        report.details.update(workspace.open("model", "train").read_json("about"))
        workspace.write_run_report("train", report.finish().as_dict())
    return report


@dataclass
class _Run:
    """One training: its data, and the labels and sequences it learned from last."""

    recipe: Recipe
    data: TrainingSet
    patches: PatchStore
    features: Features
    report: RunReport
    progress: Progress
    labels: PseudoLabels | None = None
    sampler: SequenceSampler | None = None

    def train(self, trunk: TrunkLike, rng_seed: int, checkpoint: Checkpointing) -> TrainedEmbedder:
        """Train on the initial pseudo-labels, then refine on those of the learned embedding."""
        recipe = self.recipe.embedding
        inputs: LesionInputs = (
            PatchLesions(
                _Chosen(PatchRows(self.patches), self.data.pool), trunk, recipe.roi_size, recipe.pool
            )
            if recipe.train_trunk
            else CachedLesions(self.features.maps, self.data.pool)
        )
        model = train_embedder(
            inputs, self._label(self.features.initial, "initial feature"), trunk, recipe,
            rng_seed=rng_seed, checkpoint=checkpoint,
            progress=lambda step, steps, _loss: self.progress("train", step, steps),
        )  # fmt: skip
        for _ in range(recipe.refinements):
            vectors = embed_with(model, self.patches, None if recipe.train_trunk else self.features)
            refine(
                model, inputs, self._label(vectors, "embedding"), checkpoint=checkpoint,
                progress=lambda step, steps, _loss: self.progress("refine", step, steps),
            )  # fmt: skip
        return model

    def _label(self, features: np.ndarray, feature: str) -> SequenceSampler:
        """Pseudo-label the pool from the seeds, and draw sequences A–E from these labels."""
        data, recipe = self.data, self.recipe.embedding
        seed_types = data.lesions.type.to_numpy(str)[data.seeds]
        labels = TypeClassifier().fit(features[data.seeds], seed_types).predict(features[data.pool])
        if self.labels is not None:
            changed = int(np.sum(labels.types != self.labels.types))
            self.report.counts["pseudo-labels changed by refinement"] = changed
        self.labels = labels
        self.sampler = SequenceSampler(
            labels.types, data.locations, data.sizes, recipe.t_low, recipe.t_high,
            relax=recipe.relax_sequences,
        )  # fmt: skip
        self.report.counts["seeds"] = len(data.seeds)
        self.report.counts["pool"] = len(data.pool)
        pool = data.lesions.iloc[data.pool]
        remarks = (pool.z_flag.fillna("") != "") & pool.z_stated.isna()
        self.report.counts["pool lesions with a remark on their location (used)"] = int(remarks.sum())
        self.report.details[f"sequences from {feature}"] = dict(self.sampler.counts)
        return self.sampler


class _Chosen:
    """Some of the patches, renumbered from 0."""

    def __init__(self, patches: PatchRows, rows: np.ndarray) -> None:
        self._patches, self._rows = patches, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int, /) -> PatchLike:
        return self._patches[int(self._rows[row])]


def _check_located(workspace: Workspace) -> None:
    """A lesion added since `locate` would otherwise be left out of the pool without a word."""
    located = workspace.open("locations", "locate", "locations of the lesions").read_table("locations")
    added = int((~kept_lesions(workspace).lesion_id.isin(located.lesion_id)).sum())
    if added:
        raise StageMissingError(f"location of {added} lesions mined since", "locate", workspace.path)


def _training_set(workspace: Workspace, lesion_ids: list[str]) -> TrainingSet:
    lesions = kept_lesions(workspace).set_index("lesion_id", drop=False).loc[lesion_ids]
    lesions = lesions.reset_index(drop=True)
    usable = ~lesions.possibly_noisy & lesions[["lx", "ly", "lz", "long_mm", "short_mm"]].notna().all(axis=1)
    seeds = np.flatnonzero((lesions.subset == "seed") & (lesions.type != "") & ~lesions.possibly_noisy)
    pool = np.flatnonzero((lesions.subset == "pool") & usable)
    if lesions.type.iloc[seeds].nunique() < 2:
        raise NotEnoughDataError(
            "Training", "seed lesions of at least two types", f"{len(seeds)} seeds",
            "Mine a source whose marks carry a type (a coded finding site, or DeepLesion split 2).",
        )  # fmt: skip
    if len(pool) < 5:
        raise NotEnoughDataError("Training", "at least 5 pool lesions", len(pool), "Mine more sources.")
    return TrainingSet(
        lesions=lesions,
        seeds=seeds,
        pool=pool,
        locations=location_vectors(lesions[["lx", "ly", "lz"]].to_numpy(float)[pool]),
        sizes=size_vectors(lesions[["long_mm", "short_mm"]].to_numpy(float)[pool]),
    )


def _save(workspace: Workspace, key: str, model: TrainedEmbedder, run: _Run) -> None:
    assert run.labels is not None
    assert run.sampler is not None
    ids = run.data.lesions.lesion_id.to_numpy(str)[run.data.pool]
    took_part = run.data.lesions.iloc[np.concatenate([run.data.seeds, run.data.pool])]
    drawn = run.sampler.sample(SEQUENCES_KEPT, np.random.default_rng(model.rng_seed))
    labels = pd.DataFrame({"lesion_id": ids, "type": run.labels.types, "confidence": run.labels.confidence})
    with workspace.write("model", key) as folder:
        model.save(folder.path / "embedder.safetensors")
        # `embed` must cut its patches as training did
        folder.write_json("about", {**model.describe(), "imaging": dataclasses.asdict(run.recipe.imaging)})
        folder.write_array("history", np.array(model.history))
        folder.write_table("pseudo_labels", labels)
        folder.write_table("training_set", took_part[["patient_id", "subset"]].drop_duplicates())
        folder.write_table("sequences", pd.DataFrame(ids[drawn], columns=list("ABCDE")))
