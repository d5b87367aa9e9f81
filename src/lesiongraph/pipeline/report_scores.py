"""Report sections about how well the embedding works: Table 1, Fig. 3, 7, 8."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lesiongraph.errors import LesionGraphError
from lesiongraph.evaluation import classify, confusion_matrix
from lesiongraph.figures import (
    TILE_LEGEND,
    Picture,
    Section,
    Table,
    confusion_figure,
    curve_figure,
    loss_figure,
    sequence_figure,
)
from lesiongraph.lesion import LESION_TYPES
from lesiongraph.pipeline.evaluate import (
    evaluate,
    feature_vectors,
    matching_curve,
    refuse_dealt_anew,
    scored_rows,
)
from lesiongraph.pipeline.paper_table1 import PAPER_LESIONS, PAPER_TABLE1
from lesiongraph.pipeline.report_context import ReportContext
from lesiongraph.recipe import MatchingRecipe

FEATURE_NAMES = {
    "initial": "multi-scale trunk feature (before training)",
    "location": "location feature",
    "embedding": "triplet with type + location + size",
}
SCORES = {
    "type_are": "type ARE",
    "location_are": "location ARE",
    "size_are": "size ARE",
    "purity": "purity",
    "nmi": "NMI",
    "accuracy": "accuracy",
}
PAPER_DATA = "paper, DeepLesion test set"
PAPER_ROWS = {  # row of the paper → its name here
    "imagenet": "multi-scale ImageNet feature",
    "location-feature": "location feature",
    "all": "triplet with type + location + size",
}
_SEQUENCES = 6


def table1(context: ReportContext) -> Section:
    """The rows of Table 1 that this workspace can compute, each way of counting, beside the paper's."""
    own: list[dict[str, object]] = []
    causes: dict[str, None] = {}
    for split in ("test", "val"):
        for others in (False, True):
            for feature in FEATURE_NAMES:
                try:
                    own.append(_scores(context, feature, split, others))
                except LesionGraphError as error:
                    causes[str(error)] = None
    text = (
        "Average retrieval error (ARE) of the five nearest lesions in type, location and size (lower is "
        "better), K-means into eight clusters against the types, and a softmax classifier learned from the "
        "seeds (higher is better); all in percent. Hits: all lesions of the split, or those of other "
        "patients only.\nRows in italics are the paper's own figures on DeepLesion's test set. They are "
        "other lesions than this workspace's: read them as a scale, not as a comparison."
    )
    if not own:
        return Section("", text, missing=" ".join(causes))
    rows = pd.DataFrame([*own, *_paper_rows()])
    paper = frozenset(range(len(own), len(rows)))
    return Section(
        "", text, tables=[Table("Scores", rows, reference=paper)], missing=" ".join(causes),
    )  # fmt: skip


def _scores(context: ReportContext, feature: str, split: str, others: bool) -> dict[str, object]:
    result = evaluate(
        context.workspace, feature=feature, split=split, other_patients=others, rng_seed=context.rng_seed
    )
    return {
        "data": f"this workspace, {split}",
        "hits": "other patients" if others else "all",
        "feature": _feature_name(context, feature),
        **{name: result[key] for key, name in SCORES.items()},
        "n": result["n"],
    }


def _feature_name(context: ReportContext, feature: str) -> str:
    if feature == "embedding" and not context.workspace.has("model"):
        return "packaged embedder (nothing trained here)"
    return FEATURE_NAMES[feature]


def _paper_rows() -> list[dict[str, object]]:
    return [
        {
            "data": PAPER_DATA,
            "hits": "all",
            "feature": feature,
            **dict(zip(SCORES.values(), (mean for mean, _ in PAPER_TABLE1[row]), strict=True)),
            "n": PAPER_LESIONS,
        }
        for row, feature in PAPER_ROWS.items()
    ]


def sequences(context: ReportContext) -> Section:
    """Some training sequences, and the loss."""
    folder = context.workspace.open("model", "train", "trained model")
    drawn = folder.read_table("sequences").head(_SEQUENCES)
    labels = folder.read_table("pseudo_labels").set_index("lesion_id").type
    by_id = context.kept.set_index("lesion_id", drop=False)
    tiles = []
    for sequence in drawn.itertuples(index=False):
        lesions = [by_id.loc[lesion].copy() for lesion in sequence if lesion]  # "": a letter not used
        for lesion in lesions:
            lesion["type"] = labels[lesion.lesion_id]  # the type that training saw
        tiles.append([context.described_tile(lesion) for lesion in lesions])
    about = folder.read_json("about")
    frozen = ", ".join(about["frozen"]) or "nothing"
    refinements = f"{about['refinements']} refinement" + ("s" if about["refinements"] != 1 else "")
    alt = f"{len(tiles)} rows of five CT pictures: anchor, and lesions ever less like it"
    return Section(
        "",
        "Each row is one training sequence: A and B are alike in type, location and size; C differs in "
        "size, D in location too, E in type. Types are pseudo-labels. "
        f"Trunk {about['trunk']}, frozen: {frozen}; {about['steps']} steps in all, {refinements}.",
        figures=[
            Picture(f"Sequences A–E. {TILE_LEGEND}", sequence_figure(tiles), alt),
            Picture(
                "Training loss", loss_figure(folder.read_array("history"), about["recipe"]["steps"]),
                "Loss against training step",
            ),
        ],
    )  # fmt: skip


def confusion(context: ReportContext) -> Section:
    """Confusion matrix of the softmax classifier learned from the seeds."""
    vectors = context.vectors
    seeds, tested = scored_rows(vectors.lesions, "val", "seed"), scored_rows(vectors.lesions, "test")
    if context.feature == "embedding":
        refuse_dealt_anew(context.workspace, vectors.lesions.iloc[tested])
    types = vectors.lesions.type.to_numpy(str)
    result = classify(vectors.matrix[seeds], types[seeds], vectors.matrix[tested], types[tested])
    if result is None:
        return Section("", "", missing="the workspace has no typed seeds, or no typed test lesions")
    table = confusion_matrix(types[tested], result.predicted)
    right = f"{100 * result.accuracy:.1f} % right"
    return Section(
        "",
        f"Softmax classifier on the {context.feature_name}, learned from {len(seeds)} seeds, applied to "
        f"{len(tested)} test lesions: {right}.",
        figures=[
            Picture(
                "Percent of each true type, with counts", confusion_figure(table, LESION_TYPES),
                f"Confusion matrix of eight lesion types, {right}",
            )
        ],
    )  # fmt: skip


def matching(context: ReportContext) -> Section:
    """Precision and recall of Algorithm 1 as T2 varies, for each feature."""
    if context.instances is None:
        return Section("", "", missing="the true lesion identities are not known (--truth)")
    curves: dict[str, tuple[np.ndarray, np.ndarray, float]] = {}
    rows = []
    for feature, name in FEATURE_NAMES.items():
        try:
            curve = matching_curve(feature_vectors(context.workspace, feature), context.instances)
        except LesionGraphError:  # a feature that was not made has no curve; Table 1 says why
            continue
        curves[name] = (curve.precision, curve.recall, curve.area)
        f1, t2 = curve.best_f1
        rows.append(
            {"feature": name, "area": f"{curve.area:.3f}", "best F1": f"{f1:.3f}", "at T2": f"{t2:.3g}"}
        )
    if not curves:
        return Section("", "", missing="no feature has been made for lesions whose identity is known")
    areas = ", ".join(f"{row['feature']} {row['area']}" for row in rows)
    return Section(
        "",
        "Pairs of marks put into one group by Algorithm 1, against the true lesion identities, as the "
        f"inter-study threshold T2 varies (T1 = {MatchingRecipe().t1}). All patients of the hospital.",
        figures=[Picture("Precision–recall (Fig. 8)", curve_figure(curves), f"Areas: {areas}")],
        tables=[Table("Areas", pd.DataFrame(rows))],
    )
