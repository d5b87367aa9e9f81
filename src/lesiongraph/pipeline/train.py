"""Seeds → pseudo-labels → sequences → triplet network → one refinement (Sec. 4.2, 4.3, 6.1)."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pandas as pd

from lesiongraph.embedding import Checkpointing, load_packaged_embedder, packaged_embedder_info
from lesiongraph.errors import UsageError
from lesiongraph.imaging import PatchStore
from lesiongraph.pipeline.catalogue import kept_lesions
from lesiongraph.pipeline.embed import embed_with
from lesiongraph.pipeline.features import Features, ensure_features, open_trunk
from lesiongraph.pipeline.labelling import ensure_initial_labels, label_noise
from lesiongraph.pipeline.patches import ensure_patches
from lesiongraph.pipeline.progress import Progress, silent
from lesiongraph.pipeline.training_run import TrainingRun
from lesiongraph.pipeline.training_set import check_located, training_set
from lesiongraph.pipeline.truth import read_true_types
from lesiongraph.recipe import EmbeddingRecipe, Recipe
from lesiongraph.workspace import RunReport, Workspace, fingerprint


def train(
    workspace: Workspace,
    recipe: Recipe,
    *,
    vgg16: Path | None = None,
    init: str = "imagenet",
    truth: Path | None = None,
    rng_seed: int = 0,
    progress: Progress = silent,
) -> RunReport:
    """Train the lesion embedding on the workspace's pool; a killed run is taken up where it stopped.

    The noise of the pseudo-labels is reported for pool lesions whose true type the catalogue or `truth`
    knows; training never sees it.

    Raises
    ------
    NotEnoughDataError
        If there are no typed seeds, too few pool lesions, or no lesion can be an anchor.
    StageMissingError
        If nothing was mined or located, or lesions were mined since.
    WeightsError
        If the trunk's weights are absent.
    TableSchemaError
        If the truth file cannot be read.
    """
    report = RunReport("train", rng_seed=rng_seed)
    true_types = None if truth is None else read_true_types(truth)
    with workspace.lock():
        check_located(workspace)
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
            run = start_run(workspace, recipe.embedding, patches, features, progress)
            checkpoint = Checkpointing(workspace.scratch(f"training-{key}"))
            checkpoint.folder.mkdir(exist_ok=True)
            model = run.train(trunk, rng_seed, checkpoint)
            with workspace.write("model", key) as folder:
                run.save(folder, model)
                # `embed` must cut its patches as training did
                imaging = dataclasses.asdict(recipe.imaging)
                folder.write_json("about", {**model.describe(), "imaging": imaging})
            report.counts.update(run.counts)
            report.details.update(run.details)
            report.notes += run.notes()
            # also what trainings with other options left when they were killed
            for left in checkpoint.folder.parent.glob("training-*"):
                shutil.rmtree(left)
        report.details.update(workspace.open("model", "train").read_json("about"))
        add_noise(report, workspace, "model", true_types)
        workspace.write_run_report("train", report.finish().as_dict())
    return report


def start_run(
    workspace: Workspace,
    recipe: EmbeddingRecipe,
    patches: PatchStore,
    features: Features,
    progress: Progress = silent,
) -> TrainingRun:
    """Return a training of the workspace's pool, ready to run."""
    data = training_set(workspace, features.lesion_ids)
    check_start(recipe)
    start = None if recipe.start == "fresh" else load_packaged_embedder()
    labels = None
    if "type" in recipe.cues:
        vectors = features.initial if start is None else embed_with(start, patches, features, data.places)
        labels = ensure_initial_labels(workspace, data, vectors, recipe)
    return TrainingRun(recipe, data, patches, features, labels, progress, start)


def check_start(recipe: EmbeddingRecipe) -> None:
    """Refuse a recipe that asks to go on from the packaged embedder with another network.

    Raises
    ------
    UsageError
        If the recipe's network is not the packaged embedder's.
    """
    if recipe.start == "fresh":
        return
    packaged = EmbeddingRecipe.from_stated(packaged_embedder_info()[0]["recipe"])
    for name in ("trunk", "maps", "roi_size", "pool", "fc_width", "embedding_width", "place_width"):
        if getattr(recipe, name) != getattr(packaged, name):
            raise UsageError(
                f"start=packaged: the packaged embedder has {name}={getattr(packaged, name)}, the recipe "
                f"{getattr(recipe, name)}. Leave {name} as it is, or --set start=fresh."
            )


def add_noise(report: RunReport, workspace: Workspace, stage: str, true_types: pd.Series | None) -> None:
    """Put the noise of a training's pseudo-labels into the report, where the truth is known."""
    table = workspace.open(stage, "train").read_table("pseudo_labels")
    if "type_before" not in table:  # trained by an earlier version
        return
    noise = label_noise(table, kept_lesions(workspace), true_types)
    if noise is not None:
        report.details["noise of the pseudo-labels"] = noise
