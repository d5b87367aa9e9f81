"""Retrieval on a cohort of grafted lesions, hits of the same real patient left out.

    python benchmarks/implanted.py -w WORKSPACE --truth H/truth/truth.csv [--features initial embedding]

Queries and gallery are the kept, typed-by-truth lesions of the catalogue with that feature; a query never
retrieves a lesion whose virtual patient was made from the same real one (`background`). A type that one real
patient alone offers has no right answer there: its lesions stay in the gallery and are no queries. Prints the
average retrieval error (Eq. 4) in type, location and size with intervals by resampling real patients, and the
type error of each type. Location: the packaged SSBR's z and the body mask's x, y, all over their maximum.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lesiongraph.cues import location_vectors, size_vectors
from lesiongraph.errors import StageMissingError
from lesiongraph.evaluation import patient_bootstrap, retrieval_errors, retrieve
from lesiongraph.lesion import LESION_TYPES
from lesiongraph.phantom.grafting import background_of, read_grafted_truth
from lesiongraph.pipeline.evaluate import feature_vectors
from lesiongraph.pipeline.vectors import Vectors
from lesiongraph.workspace import Workspace
from provenance import print_header

FEATURES = ("location", "size", "initial", "embedding")
LEAST_BACKGROUNDS = 2


def main() -> None:
    """Print one block a feature."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-w", "--workspace", type=Path)
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--features", nargs="+", choices=FEATURES, default=list(FEATURES))
    parser.add_argument("--subset", help="only queries and gallery of this subset (pool, seed, …)")
    parser.add_argument("-k", type=int, default=5)
    given = parser.parse_args()
    if given.workspace is None or given.truth is None:
        print("skipped: needs a mined cohort of `lesiongraph implant`; give -w WORKSPACE and --truth FILE")
        return
    print_header(workspace=given.workspace.name, truth=given.truth.parent.parent.name, k=given.k)
    truth = read_grafted_truth(given.truth)
    for feature in given.features:
        try:
            vectors = feature_vectors(Workspace(given.workspace), feature, "ours")
        except StageMissingError as missing:
            print(f"\n{feature}: not there ({missing})")
            continue
        report(feature, *known_lesions(vectors, truth, given.subset), given.k)


def known_lesions(
    vectors: Vectors, truth: pd.DataFrame, subset: str | None = None
) -> tuple[np.ndarray, pd.DataFrame]:
    """Return the rows that the truth knows, with their true `type` and `background`."""
    marks = truth[truth["marked"] & (truth["wrong_on_purpose"] == "") & (truth["tracking_uid"] != "")]
    type_of = marks.drop_duplicates("tracking_uid").set_index("tracking_uid")["type"]
    lesions = vectors.lesions.assign(
        type=vectors.lesions["tracking_uid"].map(type_of),
        background=vectors.lesions["patient_id"].map(background_of(truth)),
    )
    known = lesions["type"].notna() & lesions[["lx", "ly", "lz", "long_mm"]].notna().all(axis=1)
    if subset is not None:
        known &= lesions["subset"] == subset
    rows = np.flatnonzero(known)
    return vectors.matrix[rows], lesions.iloc[rows].reset_index(drop=True)


def report(feature: str, matrix: np.ndarray, lesions: pd.DataFrame, k: int) -> None:
    """Print the errors of one feature."""
    if feature in ("location", "size"):
        matrix = matrix / matrix.max(axis=0)
    hits = retrieve(matrix, k, lesions["background"].to_numpy(str))
    types = lesions["type"].to_numpy(str)
    errors = retrieval_errors(
        hits,
        types,
        location_vectors(lesions[["lx", "ly", "lz"]].to_numpy(float)),
        size_vectors(lesions[["long_mm", "short_mm"]].to_numpy(float)),
    )
    offering = lesions.groupby("type")["background"].nunique()
    alone = sorted(offering.index[offering < LEAST_BACKGROUNDS])
    queries = np.flatnonzero(~np.isin(types, alone))
    backgrounds = lesions["background"].to_numpy(str)
    print(
        f"\n{feature}: {len(lesions)} lesions, {len(queries)} queries, {lesions.patient_id.nunique()} "
        f"virtual patients of {len(set(backgrounds))} real ones; no queries, one real patient only: "
        f"{', '.join(alone) or 'none'}"
    )
    for name in ("type", "location", "size"):
        print(f"  {name + ' ARE':14s}{interval(getattr(errors, name), backgrounds, queries)}")
    for kind in LESION_TYPES:
        own = queries[types[queries] == kind]
        if len(own):
            real = len(set(backgrounds[own]))
            error = interval(errors.type, backgrounds, own)
            print(f"    {kind:12s} n {len(own):4d} of {real} real  {error}")


def interval(values: np.ndarray | None, backgrounds: np.ndarray, rows: Sequence[int] | np.ndarray) -> str:
    """Return the mean in percent with its 95 % interval over real patients."""
    assert values is not None
    own, of = values[rows], backgrounds[rows]
    found = patient_bootstrap(
        lambda drawn: float(np.nanmean(own[drawn])), of, rng=np.random.default_rng(0), repeats=1000
    )
    return f"{100 * found.estimate:5.1f} ({100 * found.low:.1f}-{100 * found.high:.1f}) %"


if __name__ == "__main__":
    main()
