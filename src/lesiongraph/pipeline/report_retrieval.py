"""Report sections that show neighbours: the map of all lesions (Fig. 5) and retrieval (Fig. 6, 12)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lesiongraph.figures import (
    TILE_LEGEND,
    Hit,
    Picture,
    RetrievalRow,
    Section,
    Table,
    retrieval_figure,
    sample_clusters,
    tsne_figure,
    tsne_positions,
)
from lesiongraph.index import ExactIndex
from lesiongraph.pipeline.evaluate import scored_rows
from lesiongraph.pipeline.report_context import ReportContext
from lesiongraph.recipe import EvaluationRecipe

_QUERIES = 6
_HITS = 9  # Fig. 6
_SAMPLED_CLUSTERS = 12  # Fig. 5
_FEWEST_ON_A_MAP = 40  # fewer test lesions: all lesions are drawn instead


def tsne(context: ReportContext) -> Section:
    """t-SNE of the test lesions with samples of twelve K-means clusters."""
    vectors = context.vectors
    rows, which = scored_rows(vectors.lesions, "test"), "typed test lesions"
    if len(rows) < _FEWEST_ON_A_MAP:
        rows, which = np.arange(len(vectors.lesions)), "lesions (too few typed test lesions)"
    if len(rows) < _SAMPLED_CLUSTERS:
        found = f"a map needs at least {_SAMPLED_CLUSTERS} lesions with an image, found {len(rows)}"
        return Section("", "", missing=found)
    matrix, lesions = vectors.matrix[rows], vectors.lesions.iloc[rows]
    positions = tsne_positions(matrix, context.rng_seed)
    wanted = EvaluationRecipe().tsne_clusters
    clusters = sample_clusters(matrix, wanted, _SAMPLED_CLUSTERS, context.rng_seed)
    samples = [(members, [context.described_tile(lesions.iloc[i]) for i in members]) for members in clusters]
    made = min(wanted, len(rows) // 4)
    return Section(
        "",
        f"Barnes-Hut t-SNE of the {context.feature_name} of {len(rows)} {which}, coloured by type. The "
        f"letters are the largest {len(samples)} of {made} K-means clusters"
        + (f" (the paper makes {wanted} of 4,927 lesions)" if made < wanted else "")
        + ", three random lesions of each beside the map.",
        figures=[
            Picture(
                f"t-SNE. {TILE_LEGEND}", tsne_figure(positions, lesions.type.tolist(), samples),
                f"Scatter of {len(rows)} lesions by similarity, with CT pictures of {len(samples)} clusters",
            )
        ],
    )  # fmt: skip


def retrieval(context: ReportContext) -> Section:
    """Queries with their nearest lesions: all patients (Fig. 6), other patients only (Fig. 12)."""
    queries = _one_query_a_type(context)
    figures, tables = [], []
    for others, caption, name in (
        (False, "All patients: blue dashed frame = another patient, red = another type (Fig. 6)", "all"),
        (True, "Other patients only: red dashed frame = another type (Fig. 12)", "other patients only"),
    ):
        found = [(query, *_search(context, query, other_patients=others)) for query in queries]
        rows = [_retrieval_row(context, *hits) for hits in found]
        alt = f"{len(rows)} rows: a query and its {_HITS} nearest lesions; the table below lists them"
        picture = retrieval_figure(rows, mark_other_patients=not others)
        figures.append(Picture(f"{caption}. {TILE_LEGEND}", picture, alt))
        table = pd.concat([_hit_table(context, *hits) for hits in found], ignore_index=True)
        tables.append(Table(f"These hits as a table ({name})", table, folded=True))
    return Section(
        "",
        f"The first picture of a row is the query, named above it; the next {_HITS} are the nearest lesions "
        f"by the {context.feature_name}, d is their distance. A hit without a type is never framed in red.",
        figures=figures,
        tables=tables,
    )


def _one_query_a_type(context: ReportContext) -> list[int]:
    """Draw one query of each of the commonest types: of the test lesions, else of all that there are."""
    lesions = context.vectors.lesions
    choices = (
        scored_rows(lesions, "test"),
        np.flatnonzero((lesions.type != "").to_numpy()),
        np.arange(len(lesions)),
    )
    rows = next((rows for rows in choices if len(rows)), choices[-1])
    types = lesions.type.iloc[rows]
    rng = context.rng
    return [
        int(rng.choice(rows[(types == lesion_type).to_numpy()]))
        for lesion_type in types.value_counts(sort=True).index[:_QUERIES]
    ]


def _search(context: ReportContext, query: int, *, other_patients: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return distances and rows of the nearest lesions, the query left out."""
    vectors = context.vectors
    patients = vectors.lesions.patient_id
    allowed = np.arange(len(patients)) != query
    if other_patients:
        allowed &= (patients != patients[query]).to_numpy()
    distances, found = ExactIndex(vectors.matrix).search(
        vectors.matrix[query : query + 1], _HITS, allowed=allowed
    )
    real = found[0] >= 0
    return distances[0][real], found[0][real]


def _retrieval_row(
    context: ReportContext, query: int, distances: np.ndarray, found: np.ndarray
) -> RetrievalRow:
    lesions = context.vectors.lesions
    own = lesions.iloc[query]
    hits = []
    for distance, i in zip(distances, found, strict=True):
        row = lesions.iloc[int(i)]
        hits.append(
            Hit(
                tile=context.described_tile(row, f"d {distance:.2f}"),
                wrong_type=bool(row.type and own.type and row.type != own.type),
                other_patient=row.patient_id != own.patient_id,
            )
        )
    title = f"query {own.lesion_id} of patient {own.patient_id}"
    return RetrievalRow(context.described_tile(own), hits, title)


def _hit_table(context: ReportContext, query: int, distances: np.ndarray, found: np.ndarray) -> pd.DataFrame:
    lesions = context.vectors.lesions
    hits = lesions.iloc[found]
    return pd.DataFrame(
        {
            "query": lesions.lesion_id[query],
            "rank": np.arange(1, len(found) + 1),
            "lesion": hits.lesion_id.to_numpy(str),
            "patient": hits.patient_id.to_numpy(str),
            "type": hits.type.replace("", "no type").to_numpy(str),
            "distance": [f"{distance:.3f}" for distance in distances],
        }
    )
