"""Seeds → pseudo-labels of the pool, and how wrong they are where known (Sec. 4.1, 4.3, ADR 8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lesiongraph.cues import (
    AbstainingLabeller,
    LabelNoise,
    PseudoLabels,
    TypeClassifier,
    count_seeds,
    measure_noise,
    measure_refinement,
)
from lesiongraph.pipeline.training_set import TrainingSet
from lesiongraph.recipe import EmbeddingRecipe
from lesiongraph.workspace import Workspace, fingerprint

LABELS = "initial_labels"  # the stage that keeps the labels by the initial feature


@dataclass(frozen=True)
class PoolLabels:
    """Labels of the pool, in its order, and what the labeller says about them."""

    labels: PseudoLabels
    facts: dict[str, Any]


def label_pool(data: TrainingSet, features: np.ndarray, recipe: EmbeddingRecipe) -> PoolLabels:
    """Label the pool by the recipe's labeller, learned from the seeds.

    Parameters
    ----------
    data : TrainingSet
    features : (N, D) array
        Of all lesions: rows as in `data.lesions`.
    recipe : EmbeddingRecipe
        Its `labeller` and `abstain`.

    Raises
    ------
    NotEnoughDataError
        If no threshold reaches the wanted precision, or the seeds are too few to tell.
    """
    seeds, pool = features[data.seeds], features[data.pool]
    facts: dict[str, Any] = {"labeller": recipe.labeller, "seeds of each type": count_seeds(data.seed_types)}
    if recipe.abstain is None:
        labels = _classifier(recipe).fit(seeds, data.seed_types).predict(pool)
    else:
        labeller = AbstainingLabeller(lambda: _classifier(recipe), recipe.abstain)
        labels = labeller.fit(seeds, data.seed_types, patients=data.seed_patients).predict(pool)
        facts["abstains below"] = labeller.threshold
        facts["on the seeds: precision, coverage"] = [labeller.seed_precision, labeller.seed_coverage]
        facts["types that no label has left"] = list(labeller.silent_types)
    facts["without a label"] = int((labels.types == "").sum())
    return PoolLabels(labels, facts)


def ensure_initial_labels(
    workspace: Workspace, data: TrainingSet, vectors: np.ndarray, recipe: EmbeddingRecipe
) -> PoolLabels:
    """Return the labels by the initial feature or the packaged embedding: made once a workspace.

    No random seed changes them.
    """
    key = fingerprint(
        [workspace.key(stage) for stage in ("initial", "locations")],
        recipe.labeller, recipe.abstain, recipe.start,
    )  # fmt: skip
    if not workspace.is_current(LABELS, key):
        made = label_pool(data, vectors, recipe)
        with workspace.write(LABELS, key) as folder:
            folder.write_table("labels", labels_table(data, made.labels))
            folder.write_json("facts", made.facts)
    folder = workspace.open(LABELS, "train")
    table = folder.read_table("labels")
    labels = PseudoLabels(table.type.to_numpy(str), table.confidence.to_numpy(float))
    return PoolLabels(labels, folder.read_json("facts"))


def labels_table(data: TrainingSet, labels: PseudoLabels | None) -> pd.DataFrame:
    """Return lesion_id, type, confidence of the pool; no types where the type is no cue."""
    ids = data.lesions.lesion_id.to_numpy(str)[data.pool]
    types: Any = "" if labels is None else labels.types
    confidence: Any = np.nan if labels is None else labels.confidence
    return pd.DataFrame({"lesion_id": ids, "type": types, "confidence": confidence})


def label_noise(
    table: pd.DataFrame, lesions: pd.DataFrame, true_types: pd.Series | None
) -> dict[str, Any] | None:
    """Say how wrong the pseudo-labels were before and after refinement; None where no truth is known.

    Parameters
    ----------
    table : DataFrame
        lesion_id, type (the last labels), type_before (by the initial feature).
    lesions : DataFrame
        Catalogue rows; a type stated there is taken as true.
    true_types : Series, optional
        Type by tracking UID, from a truth file; it comes first.
    """
    rows = lesions.set_index("lesion_id").loc[table.lesion_id]
    truth = rows.type.to_numpy(str)
    if true_types is not None:
        given = rows.tracking_uid.map(true_types).fillna("").to_numpy(str)
        truth = np.where(given != "", given, truth)
    if not (truth != "").any() or not (table.type_before != "").any():
        return None
    before, after = table.type_before.to_numpy(str), table.type.to_numpy(str)
    effect = measure_refinement(truth, before, after)
    return {
        "pool lesions of known type": effect.before.n,
        "before refinement": _noise(measure_noise(truth, before)),
        "after refinement": _noise(effect.after),
        "labels changed": effect.changed,
        "mended": effect.mended,
        "spoilt": effect.spoilt,
    }


def _noise(noise: LabelNoise) -> dict[str, float]:
    return {
        "labelled": noise.coverage,
        "right of those labelled": noise.precision,
        "mean recall of the types": noise.balanced_accuracy,
    }


def _classifier(recipe: EmbeddingRecipe) -> TypeClassifier:
    return TypeClassifier(balanced=recipe.labeller == "balanced")
