"""Features + types → one row of Table 1, and the matching curve of Fig. 8 where the truth is known."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lesiongraph.errors import NotEnoughDataError, StageMissingError, UsageError
from lesiongraph.evaluation import (
    PrecisionRecallCurve,
    RetrievalErrors,
    ScoredLesions,
    classify,
    precision_recall_curve,
    score_features,
    score_retrieval,
)
from lesiongraph.pipeline.catalogue import kept_lesions
from lesiongraph.pipeline.truth import read_instances
from lesiongraph.pipeline.type_figures import type_figures
from lesiongraph.pipeline.vectors import FEATURES, Vectors, read_vectors
from lesiongraph.recipe import EvaluationRecipe, MatchingRecipe
from lesiongraph.workspace import RunReport, Workspace

SPLITS = ("train", "val", "test")
SUBSETS = ("pool", "seed", "validation", "test")


def evaluate(
    workspace: Workspace,
    *,
    feature: str = "embedding",
    split: str = "test",
    subset: str | None = None,
    other_patients: bool = False,
    k: int = 5,
    location: str = "stated",
    truth: Path | None = None,
    rng_seed: int = 0,
) -> dict[str, Any]:
    """Score a feature on the typed lesions of a split that are not possibly noisy.

    Returns
    -------
    dict
        The keys of Table 1 (type_are, location_are, size_are, purity, nmi, accuracy: percent or None;
        n; k), those of `type_figures`, what was scored, the run report, and `matching` where `truth` is
        given.

    Raises
    ------
    UsageError
        If an option's value is unknown.
    NotEnoughDataError
        If the split holds no typed lesion with that feature.
    StageMissingError
        If the embedding was trained on patients who are scored here as another subset.
    """
    _check_options(feature=feature, split=split, subset=subset, location=location)
    report = RunReport("evaluate", rng_seed=rng_seed)
    vectors = feature_vectors(workspace, feature, location)
    rows = scored_rows(vectors.lesions, split, subset)
    if not len(rows):
        raise NotEnoughDataError(
            "Evaluation", f"typed lesions of split {split}" + (f", subset {subset}" if subset else ""), 0,
            "Choose another --split or --subset; `lesiongraph catalogue` shows which lesions have a type.",
        )  # fmt: skip
    if feature == "embedding":
        refuse_dealt_anew(workspace, vectors.lesions.iloc[rows])
    rows = with_cues(vectors.lesions, rows, report)
    scored = score_rows(vectors, rows, feature, k=k, other_patients=other_patients, rng_seed=rng_seed)
    result: dict[str, Any] = {"feature": feature, **scored.row().to_dict()}
    matrix = _scaled(vectors, rows, feature)
    result.update(type_figures(matrix, vectors.lesions, rows, other_patients=other_patients))
    result.update(split=split, subset=subset, other_patients=other_patients, location=location)
    if truth is not None:
        curve = matching_curve(vectors, read_instances(truth), split)
        f1, t2 = curve.best_f1
        result["matching"] = {"area": curve.area, "best_f1": f1, "best_t2": t2}
    result["run"] = report.finish().as_dict()
    return result


def score_rows(
    vectors: Vectors,
    rows: np.ndarray,
    feature: str,
    *,
    k: int = 5,
    other_patients: bool = False,
    rng_seed: int = 0,
) -> ScoredLesions:
    """Score the lesions of some rows; the softmax classifier learns from the seeds, wherever they are."""
    matrix = _scaled(vectors, rows, feature)
    lesions = vectors.lesions.iloc[rows]
    recipe = EvaluationRecipe()
    scored = score_features(
        matrix[rows],
        lesions.type.to_numpy(str),
        _complete(lesions[["lx", "ly", "lz"]]),
        _complete(lesions[["long_mm", "short_mm"]]),
        lesions.patient_id.to_numpy(str),
        k=k,
        other_patients=other_patients,
        rng_seed=rng_seed,
        clusters=recipe.clusters,
        kmeans_starts=recipe.kmeans_starts,
    )
    return dataclasses.replace(scored, predicted=_predicted(matrix, vectors.lesions, rows))


def errors_among_others(vectors: Vectors, rows: np.ndarray, feature: str, k: int = 5) -> RetrievalErrors:
    """Return the retrieval errors when hits of the query's own patient do not count."""
    lesions = vectors.lesions.iloc[rows]
    return score_retrieval(
        _scaled(vectors, rows, feature)[rows],
        lesions.type.to_numpy(str),
        _complete(lesions[["lx", "ly", "lz"]]),
        _complete(lesions[["long_mm", "short_mm"]]),
        k=k,
        patients=lesions.patient_id.to_numpy(str),
    )


def feature_vectors(workspace: Workspace, feature: str, location: str = "stated") -> Vectors:
    """Return the vectors that retrieval ranks by; location and size need no image.

    Location and size come unscaled here: each dimension is divided by its maximum over the rows scored.

    Raises
    ------
    StageMissingError
        If `embed` has not run, or, for the location, no lesion has one.
    """
    if feature in ("embedding", "initial"):
        return read_vectors(workspace, feature, location)
    lesions = kept_lesions(workspace, location)
    columns = ["lx", "ly", "lz"] if feature == "location" else ["long_mm", "short_mm"]
    known = lesions[columns].notna().all(axis=1)
    if feature == "location" and not known.any():
        raise StageMissingError("location of any lesion", "locate", workspace.path)
    lesions = lesions[known].reset_index(drop=True)
    return Vectors(lesions[columns].to_numpy(float), lesions)


def scored_rows(lesions: pd.DataFrame, split: str, subset: str | None = None) -> np.ndarray:
    """Return the rows (n,) of typed, not possibly noisy lesions of a split, or of one subset of it."""
    chosen = (lesions.type != "") & ~lesions.possibly_noisy & (lesions.split == split)
    if subset is not None:
        chosen &= lesions.subset == subset
    return np.flatnonzero(chosen)


def matching_curve(vectors: Vectors, instances: pd.Series, split: str | None = None) -> PrecisionRecallCurve:
    """Return Fig. 8's curve for the lesions whose identity is known, of one split or of all."""
    lesions = vectors.lesions
    known = lesions.tracking_uid.isin(instances.index)
    if split is not None:
        known &= lesions.split == split
    rows = np.flatnonzero(known)
    if not len(rows):
        raise NotEnoughDataError(
            "Matching curve", "lesions with a known identity", 0, "Is this the truth of this hospital?"
        )
    own = lesions.iloc[rows]
    return precision_recall_curve(
        vectors.matrix[rows], own.patient_id.to_numpy(str), own.study_instance_uid.to_numpy(str),
        instances.loc[own.tracking_uid].to_numpy(str), t1=MatchingRecipe().t1,
    )  # fmt: skip


def _check_options(*, feature: str, split: str, subset: str | None, location: str) -> None:
    for name, value, known in (
        ("feature", feature, FEATURES),
        ("split", split, SPLITS),
        ("subset", subset, (None, *SUBSETS)),
        ("location", location, ("stated", "ours")),
    ):
        if value not in known:
            raise UsageError(f"--{name} {value}: expected one of {', '.join(str(k) for k in known if k)}.")


def refuse_dealt_anew(workspace: Workspace, lesions: pd.DataFrame) -> None:
    """New sources deal the patients anew: what trained the model must not be scored as something else.

    The packaged embedder has learned from no patient of the workspace.
    """
    if not workspace.has("model"):
        return
    trained = workspace.open("model", "train").read_table("training_set")
    subset_then = lesions.patient_id.map(trained.set_index("patient_id").subset)
    moved = int((subset_then.notna() & (subset_then != lesions.subset)).sum())
    if moved:
        raise StageMissingError(
            f"embedding trained on the subsets as they are now ({moved} of {len(lesions)} lesions to score "
            "are of patients it learned from, who have been dealt to another subset since)",
            "train",
            workspace.path,
        )


def with_cues(lesions: pd.DataFrame, rows: np.ndarray, report: RunReport) -> np.ndarray:
    """Leave out, and count, rows that lack a location or size which others have."""
    for name, columns in (("location", ["lx", "ly", "lz"]), ("size", ["long_mm", "short_mm"])):
        known = lesions.iloc[rows][columns].notna().all(axis=1).to_numpy()
        if known.any() and not known.all():
            report.counts[f"left out for want of a {name}"] = int((~known).sum())
            rows = rows[known]
    return rows


def _scaled(vectors: Vectors, rows: np.ndarray, feature: str) -> np.ndarray:
    """Divide each dimension of location and size by its maximum over the rows scored (Sec. 6.1)."""
    if feature in ("location", "size"):
        top = vectors.matrix[rows].max(axis=0)
        return np.asarray(vectors.matrix / np.where(top > 0, top, 1.0))
    return vectors.matrix


def _predicted(matrix: np.ndarray, lesions: pd.DataFrame, rows: np.ndarray) -> np.ndarray | None:
    """Types (n,) by the softmax classifier of the seeds, empty for the rows that are seeds themselves."""
    seeds = scored_rows(lesions, "val", "seed")
    tested = np.setdiff1d(rows, seeds)
    if not len(seeds) or not len(tested):
        return None
    types = lesions.type.to_numpy(str)
    result = classify(matrix[seeds], types[seeds], matrix[tested], types[tested])
    if result is None:
        return None
    by_row: np.ndarray = np.full(len(lesions), "", dtype=object)
    by_row[tested] = result.predicted
    return np.asarray(by_row[rows], dtype=str)


def _complete(values: pd.DataFrame) -> np.ndarray | None:
    """Return the values (n, d), or None where one is missing: the figure then cannot be computed."""
    return values.to_numpy(float) if values.notna().all(axis=None) else None
