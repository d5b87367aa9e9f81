"""Report sections about how well the embedding works: Table 1, Fig. 3, 5, 6, 7, 8, 12."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lesiongraph.errors import LesionGraphError
from lesiongraph.evaluation import classify, confusion_matrix
from lesiongraph.figures import (
    Hit,
    RetrievalRow,
    Section,
    confusion_figure,
    curve_figure,
    loss_figure,
    retrieval_figure,
    sample_clusters,
    sequence_figure,
    tsne_figure,
    tsne_positions,
)
from lesiongraph.index import ExactIndex
from lesiongraph.lesion import LESION_TYPES
from lesiongraph.pipeline.evaluate import evaluate, feature_vectors, matching_curve, scored_rows
from lesiongraph.pipeline.report_context import ReportContext
from lesiongraph.recipe import EvaluationRecipe

FEATURE_NAMES = {
    "initial": "multi-scale trunk feature (before training)",
    "location": "location feature",
    "embedding": "triplet with type + location + size",
}
_SEQUENCES = 6
_QUERIES = 6
_HITS = 9
_SAMPLED_CLUSTERS = 12  # Fig. 5


def table1(context: ReportContext) -> Section:
    """The rows of Table 1 that this workspace can compute, each split and both ways of counting."""
    rows = []
    missing = ""
    for split in ("test", "val"):
        for feature, name in FEATURE_NAMES.items():
            for others in (False, True):
                try:
                    result = evaluate(
                        context.workspace, feature=feature, split=split, other_patients=others,
                        rng_seed=context.rng_seed,
                    )  # fmt: skip
                except LesionGraphError as error:
                    missing = str(error)
                    continue
                rows.append(
                    {
                        "split": split,
                        "feature": name,
                        "hits": "other patients" if others else "all",
                        "type ARE": result["type_are"],
                        "location ARE": result["location_are"],
                        "size ARE": result["size_are"],
                        "purity": result["purity"],
                        "NMI": result["nmi"],
                        "accuracy": result["accuracy"],
                        "n": result["n"],
                    }
                )
    text = (
        "Average retrieval error of the five nearest lesions in type, location and size (lower is better), "
        "K-means into eight clusters against the types, and a softmax classifier learned from the seeds "
        "(higher is better); all in percent."
    )
    if not rows:
        return Section("", text, missing=missing)
    return Section("", text, tables=[("Scores", pd.DataFrame(rows))])


def sequences(context: ReportContext) -> Section:
    """Some training sequences, and the loss."""
    folder = context.workspace.open("model", f"train -w {context.workspace.path}", "trained model")
    drawn = folder.read_table("sequences").head(_SEQUENCES)
    labels = folder.read_table("pseudo_labels").set_index("lesion_id").type
    by_id = context.kept.set_index("lesion_id")
    tiles = [
        [
            context.tile(
                lesion, f"{labels[lesion]}, {by_id.long_mm[lesion]:.0f} mm, z {by_id.lz[lesion]:.2f}"
            )
            for lesion in row
        ]
        for row in drawn.itertuples(index=False)
    ]
    about = folder.read_json("about")
    frozen = ", ".join(about["frozen"]) or "nothing"
    return Section(
        "",
        f"Each row is one training sequence; types are pseudo-labels. Trunk {about['trunk']}, "
        f"frozen: {frozen}; {about['steps']} steps in all, {about['refinements']} refinement.",
        figures=[
            ("Sequences A–E", sequence_figure(tiles)),
            ("Training loss", loss_figure(folder.read_array("history"), about["recipe"]["steps"])),
        ],
    )


def tsne(context: ReportContext) -> Section:
    """t-SNE of the test lesions with samples of twelve K-means clusters."""
    vectors = context.vectors
    rows = scored_rows(vectors.lesions, "test")
    if len(rows) < 12:
        rows = np.arange(len(vectors.lesions))
    if len(rows) < 12:
        return Section("", "", missing=f"a map needs at least 12 lesions with an image, found {len(rows)}")
    matrix, lesions = vectors.matrix[rows], vectors.lesions.iloc[rows]
    positions = tsne_positions(matrix, context.rng_seed)
    clusters = sample_clusters(matrix, EvaluationRecipe().tsne_clusters, _SAMPLED_CLUSTERS, context.rng_seed)
    samples = [
        (
            members,
            [context.tile(lesions.lesion_id.iloc[i], context.describe(lesions.iloc[i])) for i in members],
        )
        for members in clusters
    ]
    return Section(
        "",
        f"Barnes-Hut t-SNE of the {context.feature} of {len(rows)} lesions, coloured by type. The letters "
        "are K-means clusters, three random lesions of each beside the map.",
        figures=[("t-SNE", tsne_figure(positions, lesions.type.tolist(), samples))],
    )


def retrieval(context: ReportContext) -> Section:
    """Queries with their nearest lesions: all patients (Fig. 6), other patients only (Fig. 12)."""
    vectors = context.vectors
    typed = np.flatnonzero((vectors.lesions.type != "").to_numpy())
    rows = scored_rows(vectors.lesions, "test")
    queries = _one_query_a_type(
        context, rows if len(rows) else (typed if len(typed) else np.arange(len(vectors.lesions)))
    )
    figures = [
        (
            "All patients: a blue dashed frame is another patient, a red one another type (Fig. 6)",
            retrieval_figure(
                [_retrieval_row(context, q, other_patients=False) for q in queries], mark_other_patients=True
            ),
        ),
        (
            "Other patients only: a red dashed frame is another type (Fig. 12)",
            retrieval_figure(
                [_retrieval_row(context, q, other_patients=True) for q in queries], mark_other_patients=False
            ),
        ),
    ]
    return Section(
        "",
        f"The first picture of a row is the query; the next {_HITS} are the nearest lesions by the "
        f"{context.feature}, with their distance. A hit without a type is never framed in red.",
        figures=figures,
    )


def confusion(context: ReportContext) -> Section:
    """Confusion matrix of the softmax classifier learned from the seeds."""
    vectors = context.vectors
    seeds, tested = scored_rows(vectors.lesions, "val", "seed"), scored_rows(vectors.lesions, "test")
    types = vectors.lesions.type.to_numpy(str)
    result = classify(vectors.matrix[seeds], types[seeds], vectors.matrix[tested], types[tested])
    if result is None:
        return Section("", "", missing="the workspace has no typed seeds, or no typed test lesions")
    table = confusion_matrix(types[tested], result.predicted)
    return Section(
        "",
        f"Softmax classifier on the {context.feature}, learned from {len(seeds)} seeds, applied to "
        f"{len(tested)} test lesions: {100 * result.accuracy:.1f} % right.",
        figures=[("Percent of each true type, with counts", confusion_figure(table, LESION_TYPES))],
    )


def matching(context: ReportContext) -> Section:
    """Precision and recall of Algorithm 1 as T2 varies, for each feature."""
    if context.instances is None:
        return Section("", "", missing="the true lesion identities are not known (--truth)")
    curves = {}
    for feature, name in FEATURE_NAMES.items():
        try:
            vectors = feature_vectors(context.workspace, feature)
        except LesionGraphError:
            continue
        curve = matching_curve(vectors, context.instances)
        curves[name] = (curve.precision, curve.recall, curve.area)
    return Section(
        "",
        "Pairs of marks put into one group by Algorithm 1, against the true lesion identities, as the "
        "inter-study threshold T2 varies (T1 = 0.1). All patients of the hospital.",
        figures=[("Precision–recall (Fig. 8)", curve_figure(curves))],
    )


def _first_filled(*choices: np.ndarray) -> np.ndarray:
    return next(rows for rows in choices if len(rows))


def _one_query_a_type(context: ReportContext, rows: np.ndarray) -> list[int]:
    """Draw one query of each of the commonest types."""
    types = context.vectors.lesions.type.iloc[rows]
    chosen = []
    for lesion_type in types.value_counts().index[:_QUERIES]:
        of_type = rows[(types == lesion_type).to_numpy()]
        chosen.append(int(context.rng.choice(of_type)))
    return chosen


def _retrieval_row(context: ReportContext, query: int, *, other_patients: bool) -> RetrievalRow:
    vectors = context.vectors
    lesions = vectors.lesions
    allowed = np.arange(len(lesions)) != query
    if other_patients:
        allowed &= (lesions.patient_id != lesions.patient_id[query]).to_numpy()
    distances, found = ExactIndex(vectors.matrix).search(
        vectors.matrix[query : query + 1], _HITS, allowed=allowed
    )
    hits = []
    for distance, i in zip(distances[0], found[0], strict=True):
        if i < 0:
            continue
        row = lesions.iloc[int(i)]
        hits.append(
            Hit(
                tile=context.tile(row.lesion_id, f"{context.describe(row)}\nd {distance:.2f}"),
                wrong_type=bool(row.type and lesions.type[query] and row.type != lesions.type[query]),
                other_patient=row.patient_id != lesions.patient_id[query],
            )
        )
    own = lesions.iloc[query]
    return RetrievalRow(context.described_tile(own), hits)
