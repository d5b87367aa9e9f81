"""Matchers on real lesion pairs, limits chosen on other patients: Algorithm 1 against matching by cost.

    python benchmarks/dls_matchers.py [--data ../shared/data]

Data and truth as in dls_matching.py. Five folds by patient: T_1 and T_2, or the spreads of the cost, its
merge limit and its limit, are chosen on four and counted on the fifth. Intervals resample patients with the
choices held fixed. Not a goal: how well a trained embedding matches; x, y, z and two axes are all there is.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dls_matching import ABOVE_T1, IMAGE_PX, T1_VALUES, join, patient_counts, read_pairs
from lesiongraph.evaluation import pair_counts_by_patient, patient_bootstrap
from lesiongraph.graph import (
    CostWeights,
    ExclusiveLinkage,
    LesionCues,
    Matcher,
    MatchResult,
    MutualNearest,
    OptimalAssignment,
    brier_score,
    choose_limit,
    cross_fitted_probabilities,
    expected_calibration_error,
    extract,
    match_by_cost,
    patient_folds,
)
from provenance import add_data_argument, print_header, skip_without

FOLDS = 5
MERGE_LIMITS = (0.5, 1.0)
LIMITS = np.arange(2.0, 8.5, 0.5)
Counts = NDArray[np.int64]  # true positives, false positives, false negatives in the last axis
Lesions = tuple[LesionCues, Counts, Counts, Counts]  # cues, patients, studies, instances


def read(folder: Path) -> Lesions:
    known = pd.read_csv(folder / "lesions_train_val.csv.gz", low_memory=False)
    marks, pairs = read_pairs(folder / "dls_valid.json")
    rows, _ = join(marks, known)
    entered = known.iloc[rows[rows >= 0]]
    centres = entered[["x0", "y0"]].to_numpy() + entered[["x1", "y1"]].to_numpy()
    cues = LesionCues(
        locations=np.column_stack([centres / 2 / IMAGE_PX, entered.z_norm]),
        sizes_mm=entered[["long_mm", "short_mm"]].to_numpy(),
    )
    patients = np.unique(entered.File_name.str[:6], return_inverse=True)[1]
    studies = np.unique(entered.File_name.str[:9], return_inverse=True)[1]  # in the order of time
    return cues, patients, studies, extract(pairs, len(marks))[rows >= 0]


def f1(counts: Counts) -> NDArray[np.float64]:
    right, wrong, missed = np.moveaxis(counts, -1, 0)
    return 2 * right / np.maximum(2 * right + wrong + missed, 1)


def counted(lesions: Lesions, groups: Counts) -> Counts:
    """Count each patient's pairs, (patients, 3)."""
    _, patients, _, instances = lesions
    return pair_counts_by_patient(patients, instances, groups)


def true_pairs(lesions: Lesions, among: NDArray[np.bool_]) -> Counts:
    """Pairs of one instance in two studies, of the patients in `among`."""
    _, patients, studies, instances = lesions
    found = []
    for instance in np.unique(instances[among[patients]]):
        members = np.flatnonzero(instances == instance)
        found += [(i, j) for i, j in combinations(members, 2) if studies[i] != studies[j]]
    return np.array(found)


def by_cost(lesions: Lesions, matcher: Matcher, weights: CostWeights) -> Counts:
    """Count at every merge limit and limit, (patients, settings, 3)."""
    cues, patients, studies, _ = lesions

    def run(merge_limit: float, limit: float) -> MatchResult:
        return match_by_cost(
            cues, patients, studies, matcher, limit, merge_limit=merge_limit, weights=weights
        )

    found = []
    for merge_limit in MERGE_LIMITS:
        # An assignment changes with the limit; the others only lose their dearer edges.
        full = None if isinstance(matcher, OptimalAssignment) else run(merge_limit, np.inf)
        for limit in LIMITS:
            if full is None:
                groups = run(merge_limit, limit).groups
            else:
                kept = full.node_edges[full.distances <= limit]
                groups = extract(kept, full.nodes.max() + 1)[full.nodes]
            found.append(counted(lesions, groups))
    return np.stack(found, axis=1)


def cross_validate(folds, counts_for) -> Counts:
    """Counts (patients, 3) of each patient, at the setting that is best on the other folds' patients."""
    chosen = np.zeros((len(folds[0]), 3), dtype=np.int64)
    for held_out in folds:
        counts = counts_for(~held_out)
        best = f1(counts[~held_out].sum(axis=0)).argmax()
        chosen[held_out] = counts[held_out, best]
    return chosen


def print_row(name: str, counts: Counts, baseline: Counts) -> None:
    def interval(statistic):
        return patient_bootstrap(statistic, np.arange(len(counts)), rng=np.random.default_rng(0))

    own = interval(lambda rows: float(f1(counts[rows].sum(axis=0))))
    gain = interval(lambda rows: float(f1(counts[rows].sum(axis=0)) - f1(baseline[rows].sum(axis=0))))
    right, wrong, missed = counts.sum(axis=0)
    print(
        f"| {name} | {right / (right + wrong):.3f} | {right / (right + missed):.3f} "
        f"| {own.estimate:.3f} [{own.low:.3f}, {own.high:.3f}] "
        f"| {gain.estimate:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}] |",
        flush=True,
    )


def print_calibration(lesions: Lesions, folds, name: str, matcher: Matcher) -> None:
    """Limit and probabilities on the edges that the matcher keeps without a limit."""
    cues, patients, studies, instances = lesions
    everyone = np.ones(patients.max() + 1, dtype=bool)
    weights = CostWeights.measured_on(cues, true_pairs(lesions, everyone))
    result = match_by_cost(cues, patients, studies, matcher, np.inf, weights=weights)
    first, second = result.node_edges.T  # nothing merged: nodes are lesions
    same = instances[first] == instances[second]
    print(f"{name}: {len(same)} edges without a limit, {same.sum()} true; {weights}")
    for wanted in (None, 0.9):
        chosen = choose_limit(result.distances, same, wanted_precision=wanted)
        print(f"  limit for {'best F1' if wanted is None else f'precision {wanted}'} of edges: {chosen}")
    for method in ("isotonic", "platt"):
        stated = cross_fitted_probabilities(
            result.distances, same, patients[first], rng=np.random.default_rng(0), method=method
        )
        print(
            f"  {method}, cross-fitted: Brier {brier_score(stated, same):.3f} "
            f"(share alone {same.mean() * (1 - same.mean()):.3f}), "
            f"ECE {expected_calibration_error(stated, same):.3f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_argument(parser)
    folder = parser.parse_args().data / "deeplesion"
    print_header(numpy=np.__version__)
    skip_without(folder / "dls_valid.json", folder / "lesions_train_val.csv.gz")
    lesions = read(folder)
    cues, patients, studies, instances = lesions
    folds = patient_folds(np.arange(patients.max() + 1), FOLDS, np.random.default_rng(0))
    plain = (cues.locations, patients, studies, instances)
    all_t = np.concatenate([patient_counts(plain, t1, False) for t1 in T1_VALUES], axis=1)
    baseline = cross_validate(folds, lambda _: all_t)
    settings = len(ABOVE_T1) * len(T1_VALUES)
    print(f"{len(cues)} lesions, {len(folds[0])} patients, {settings} settings of T_1, T_2")
    print("| matcher | precision | recall | pair F1 | gain over Algorithm 1 |\n|---|---|---|---|---|")
    print_row("Algorithm 1, Euclidean x, y, z", baseline, baseline)
    matchers: dict[str, Matcher] = {
        "mutual nearest, all studies": MutualNearest(),
        "mutual nearest, neighbours in time": MutualNearest(consecutive=True),
        "optimal assignment, all studies": OptimalAssignment(consecutive=False),
        "optimal assignment, neighbours in time": OptimalAssignment(),
        "exclusive linkage": ExclusiveLinkage(),
    }
    for size in (0.0, 1.0):
        for name, matcher in matchers.items():
            if not size and isinstance(matcher, OptimalAssignment):
                continue  # minutes for a question that the other matchers answer

            def counts_for(among, matcher=matcher, size=size):
                weights = replace(CostWeights.measured_on(cues, true_pairs(lesions, among)), size=size)
                return by_cost(lesions, matcher, weights)

            label = f"{name}; location{' + size' if size else ''}"
            print_row(label, cross_validate(folds, counts_for), baseline)
    print_calibration(lesions, folds, "exclusive linkage", ExclusiveLinkage())


if __name__ == "__main__":
    main()
