"""One row and one random seed → a saved training and its scores, each kept so that neither is done twice."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lesiongraph.embedding import Checkpointing, TrunkLike
from lesiongraph.errors import NotEnoughDataError
from lesiongraph.imaging import PatchStore
from lesiongraph.pipeline.catalogue import kept_lesions
from lesiongraph.pipeline.evaluate import (
    errors_among_others,
    feature_vectors,
    matching_curve,
    score_rows,
    scored_rows,
    with_cues,
)
from lesiongraph.pipeline.features import Features, ensure_features, open_trunk
from lesiongraph.pipeline.labelling import label_noise
from lesiongraph.pipeline.made_by import made_by
from lesiongraph.pipeline.patches import ensure_patches
from lesiongraph.pipeline.progress import Progress
from lesiongraph.pipeline.reproduce_rows import TableRow
from lesiongraph.pipeline.train import start_run
from lesiongraph.pipeline.truth import read_instances, read_true_types
from lesiongraph.pipeline.vectors import Vectors
from lesiongraph.recipe import EmbeddingRecipe, EvaluationRecipe, Recipe
from lesiongraph.workspace import RunReport, Workspace, fingerprint

SPLIT = "test"  # Table 1 is counted on the test split
SCRATCH = "reproduce-"
COUNTINGS = ("", "_others")  # all hits; hits of other patients only
ATTRIBUTES = ("type", "location", "size")
KMEANS_SEED = 0  # the same for every row, as in `evaluate`


@dataclass
class Experiment:
    """What all rows share: the workspace, the recipe they start from, the trunk and its cached maps."""

    workspace: Workspace
    recipe: Recipe
    progress: Progress
    report: RunReport
    vgg16: Path | None = None
    init: str = "imagenet"
    truth: Path | None = None
    runs_done: int = field(default=0, init=False)  # trainings this call did itself

    @cached_property
    def trunk(self) -> TrunkLike:
        """The trunk before any training."""
        return open_trunk(self.recipe.embedding.trunk, self.report, vgg16=self.vgg16, init=self.init)

    @cached_property
    def patches(self) -> PatchStore:
        """All patches."""
        return ensure_patches(self.workspace, self.recipe.imaging, self.report, self.progress)

    @cached_property
    def features(self) -> Features:
        """Pooled maps and initial features, computed once for all rows and seeds."""
        recipe = self.recipe.embedding
        return ensure_features(
            self.workspace, self.patches, self.trunk, recipe.roi_size, self.progress, pool=recipe.pool
        )

    @cached_property
    def instances(self) -> pd.Series | None:
        """True lesion of each mark, where given."""
        return None if self.truth is None else read_instances(self.truth)

    @cached_property
    def true_types(self) -> pd.Series | None:
        """True type of each mark, where given."""
        return None if self.truth is None else read_true_types(self.truth)

    @cached_property
    def inputs_key(self) -> str:
        """Everything a training or a score depends on beside its recipe and its random seed."""
        assert self.patches is not None
        return fingerprint(
            [self.workspace.key(stage) for stage in ("patches", "locations")],
            dataclasses.asdict(self.recipe.imaging), self.trunk.sha256, self.init,
        )  # fmt: skip

    @cached_property
    def scoring_key(self) -> str:
        """Everything a score depends on beside the vectors."""
        truth = "" if self.truth is None else hashlib.sha256(self.truth.read_bytes()).hexdigest()
        return fingerprint("scores-2", truth, dataclasses.asdict(EvaluationRecipe()), SPLIT)

    def stage(self, kind: str, row: TableRow, rng_seed: int) -> str:
        """Return the name of the stage that keeps one row's result of one random seed."""
        return f"{kind}_{self.recipe.name}_{row.slug}_{rng_seed}"

    def fresh_trunk(self, recipe: EmbeddingRecipe) -> TrunkLike:
        """Return the trunk to train with: one that learns must not be the one the others start from."""
        if not recipe.train_trunk:
            return self.trunk
        again = RunReport(self.report.verb)  # its weights are in the report once already
        return open_trunk(recipe.trunk, again, vgg16=self.vgg16, init=self.init)


def run_key(experiment: Experiment, row: TableRow, rng_seed: int) -> str:
    """Return the key of one training, or of a feature that needs none."""
    recipe = dataclasses.asdict(row.recipe(experiment.recipe)) if row.trained else row.feature
    return fingerprint("run-1", experiment.inputs_key, recipe, rng_seed)


def ensure_run(experiment: Experiment, row: TableRow, rng_seed: int) -> str:
    """Train one row with one random seed unless that is done; return the stage that keeps it."""
    workspace, stage = experiment.workspace, experiment.stage("run", row, rng_seed)
    key = run_key(experiment, row, rng_seed)
    if workspace.is_current(stage, key):
        return stage
    recipe = row.recipe(experiment.recipe)
    run = start_run(workspace, recipe, experiment.patches, experiment.features, experiment.progress)
    checkpoint = Checkpointing(workspace.scratch(SCRATCH + key))
    checkpoint.folder.mkdir(exist_ok=True)
    began = time.perf_counter()
    model = run.train(experiment.fresh_trunk(recipe), rng_seed, checkpoint)
    seconds = round(time.perf_counter() - began, 1)
    lesions, vectors = run.data.lesions, run.vectors(model)
    kept = np.flatnonzero(lesions.subset != "pool")  # the pool is trained on, never scored
    with workspace.write(stage, key) as folder:
        run.save(folder, model)
        folder.write_table("ids", lesions[["lesion_id"]].iloc[kept])
        folder.write_array("vectors", vectors[kept])
        about = {**model.describe(), **made_by(), "seconds": seconds}
        folder.write_json("about", {**about, "counts": dict(run.counts), **run.details})
    shutil.rmtree(checkpoint.folder)
    experiment.runs_done += 1
    return stage


def ensure_scores(experiment: Experiment, row: TableRow, rng_seed: int) -> str:
    """Score one row and random seed on the test split unless that is done; return the stage that keeps it."""
    workspace, stage = experiment.workspace, experiment.stage("scores", row, rng_seed)
    key = fingerprint(run_key(experiment, row, rng_seed), experiment.scoring_key)
    if workspace.is_current(stage, key):
        return stage
    run = ensure_run(experiment, row, rng_seed) if row.trained else None
    vectors, about = _vectors(experiment, row, run)
    scores, counts = _score(vectors, row.feature)
    matching = None
    if experiment.instances is not None:
        curve = matching_curve(vectors, experiment.instances, SPLIT)
        f1, t2 = curve.best_f1
        matching = {"area": curve.area, "best_f1": f1, "best_t2": t2}
    with workspace.write(stage, key) as folder:
        folder.write_table("scores", scores)
        if matching is not None:
            points = {"t2": curve.t2, "precision": curve.precision, "recall": curve.recall}
            folder.write_table("curve", pd.DataFrame(points))
        noise = _noise(experiment, run) if run else None
        stated = {"run": about, "counts": counts, "matching": matching, "noise": noise}
        folder.write_json("about", stated)
    return stage


def _vectors(experiment: Experiment, row: TableRow, run: str | None) -> tuple[Vectors, dict[str, Any]]:
    """Return what a row retrieves by, with the lesions it knows."""
    workspace = experiment.workspace
    if row.feature == "location":
        return feature_vectors(workspace, "location"), made_by()
    lesions = kept_lesions(workspace).set_index("lesion_id", drop=False)
    if run is None:
        ids: Any = experiment.features.lesion_ids
        matrix, about = np.asarray(experiment.features.initial, np.float32), made_by()
    else:
        folder = workspace.open(run, "reproduce")
        ids, matrix = folder.read_table("ids").lesion_id, np.asarray(folder.read_array("vectors"), np.float32)
        about = folder.read_json("about")
    return Vectors(matrix, lesions.loc[ids].reset_index(drop=True)), about


def _score(vectors: Vectors, feature: str) -> tuple[pd.DataFrame, dict[str, int]]:
    """Score the typed lesions of the test split: one line a lesion, errors with and without own patients."""
    report = RunReport("reproduce")
    rows = scored_rows(vectors.lesions, SPLIT)
    if not len(rows):
        raise NotEnoughDataError(
            "Table 1", f"typed lesions in the {SPLIT} split", 0,
            "Mine a source that has them; `lesiongraph catalogue` shows which lesions have a type.",
        )  # fmt: skip
    rows = with_cues(vectors.lesions, rows, report)
    scored = score_rows(vectors, rows, feature, k=EvaluationRecipe().k, rng_seed=KMEANS_SEED)
    table = vectors.lesions[["lesion_id", "patient_id", "type"]].iloc[rows].reset_index(drop=True)
    others = errors_among_others(vectors, rows, feature, EvaluationRecipe().k)
    for counting, errors in zip(COUNTINGS, (scored.errors, others), strict=True):
        for name in ATTRIBUTES:
            values = getattr(errors, name)
            table[f"{name}_error{counting}"] = np.nan if values is None else values
        table[f"retrieved{counting}"] = errors.retrieved
    table["cluster"] = -1 if scored.clusters is None else scored.clusters
    table["predicted"] = "" if scored.predicted is None else scored.predicted
    return table, dict(report.counts)


def _noise(experiment: Experiment, run: str) -> dict[str, Any] | None:
    table = experiment.workspace.open(run, "reproduce").read_table("pseudo_labels")
    return label_noise(table, kept_lesions(experiment.workspace), experiment.true_types)
