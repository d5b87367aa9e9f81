"""Algorithm 1 by location alone on real lesion pairs: edges between studies only, or the complete graph?

    python benchmarks/dls_matching.py [--data ../shared/data]

Data: the validation pairs of DLS (the tracking benchmark on DeepLesion), joined with DeepLesion's rebuilt
metadata: x, y are the box centre divided by 512 (image-relative), z is the authors'. The true instances are
the connected components of the pairs. Not a goal: how well a trained embedding matches.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesiongraph.evaluation import pair_counts, patient_bootstrap, precision_recall_curve
from lesiongraph.graph import extract, match_patients
from provenance import add_data_argument, print_header, skip_without

T1_VALUES = (0.01, 0.02, 0.05, 0.1)
ABOVE_T1 = np.arange(0, 0.15, 0.001)  # T_2 − T_1 for the intervals; the F1 is of every step of the curve
IMAGE_PX = 512
BOX_TOLERANCE_PX = 10.0  # DLS boxes are rounded and one pixel larger
Counts = NDArray[np.int64]
Data = tuple[NDArray[np.float64], Counts, Counts, Counts]  # vectors, patients, studies, instances


def read_pairs(path: Path) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Read the marks in the pairs (one row each, numbered) and the pairs as (P, 2) such numbers."""
    pairs = json.loads(path.read_text())
    numbers: dict[tuple[object, ...], int] = {}
    ends = [
        [
            numbers.setdefault(
                (pair[f"{end} recist slice"].replace("/", "_"), *pair[f"{end} recist box"]), len(numbers)
            )
            for end in ("source", "target")
        ]
        for pair in pairs.values()
    ]
    marks = pd.DataFrame(list(numbers), columns=["File_name", "x0", "y0", "width", "height"])
    return marks, np.array(ends, dtype=np.int64)


def join(marks: pd.DataFrame, known: pd.DataFrame) -> tuple[NDArray[np.int64], dict[str, int]]:
    """Return the row of `known` for each mark, −1 where there is none, and why marks have none."""
    rows = np.full(len(marks), -1, dtype=np.int64)
    reasons = {"no such slice": 0, "no such box": 0, "no z": 0}
    of_slice = known.groupby("File_name").indices
    for number, mark in enumerate(marks.itertuples()):
        candidates = of_slice.get(mark.File_name)
        if candidates is None:
            reasons["no such slice"] += 1
            continue
        wanted = np.array([mark.x0, mark.y0, mark.x0 + mark.width, mark.y0 + mark.height])
        apart = np.abs(known[["x0", "y0", "x1", "y1"]].to_numpy()[candidates] - wanted).max(axis=1)
        row = int(candidates[apart.argmin()])
        if apart.min() > BOX_TOLERANCE_PX:
            reasons["no such box"] += 1
        elif not np.isfinite(known.z_norm.iloc[row]):
            reasons["no z"] += 1
        else:
            rows[number] = row
    if len(np.unique(rows[rows >= 0])) < (rows >= 0).sum():
        raise SystemExit("two marks of DLS found the same DeepLesion lesion")
    return rows, reasons


def print_counts(known: pd.DataFrame, entered: pd.DataFrame, reasons: dict[str, int]) -> None:
    """Print how many lesions entered and why the others did not."""
    validation = known[known.split == 2]
    out = validation[~validation.index.isin(entered.index)]
    same = out.patient.isin(entered.patient)
    print(f"lesions of the metadata: {len(known)}; entered: {len(entered)}")
    print(f"left out: {len(known) - len(validation)} not of split 2 (DLS's validation part)")
    print(f"left out: {int(same.sum())} of split 2 in no pair, of patients who have pairs")
    print(f"left out: {int((~same).sum())} of split 2 of patients without a pair")
    print("marks of DLS without a row: " + ", ".join(f"{reason} {n}" for reason, n in reasons.items()))


def patient_counts(data: Data, t1: float, same_study_edges: bool) -> Counts:
    """Count true positives, false positives and false negatives, (patients, T_2 values, 3)."""
    vectors, patients, studies, instances = data
    # Exclusion before Threshold gives the same groups: see `precision_recall_curve`.
    full = match_patients(vectors, patients, studies, t1, np.inf, same_study_edges=same_study_edges)
    rows_of = [np.flatnonzero(patients == patient) for patient in np.unique(patients)]
    counts = np.zeros((len(rows_of), len(ABOVE_T1), 3), dtype=np.int64)
    for column, t2 in enumerate(t1 + ABOVE_T1):
        groups = extract(full.node_edges[full.distances <= t2], full.nodes.max() + 1)[full.nodes]
        for row, lesions in enumerate(rows_of):
            one = pair_counts(instances[lesions], groups[lesions])
            counts[row, column] = one.true_positives, one.false_positives, one.false_negatives
    return counts


def best_f1(counts: Counts) -> float:
    """Return the best F1 over T_2 of counts (patients, T_2 values, 3)."""
    right, wrong, missed = counts.sum(axis=0).T
    return float((2 * right / np.maximum(2 * right + wrong + missed, 1)).max())


def print_row(data: Data, t1: float) -> None:
    """Print best F1 and its T_2 for both graphs, and the difference with its interval."""
    between, complete = (
        precision_recall_curve(*data, t1=t1, same_study_edges=same).best_f1 for same in (False, True)
    )
    counts = [patient_counts(data, t1, same) for same in (False, True)]
    gain = patient_bootstrap(
        lambda rows: best_f1(counts[0][rows]) - best_f1(counts[1][rows]),
        np.arange(len(counts[0])),
        rng=np.random.default_rng(0),
    )
    print(
        f"| {t1} | {between[0]:.3f} ({between[1]:.3f}) | {complete[0]:.3f} ({complete[1]:.3f}) "
        f"| {between[0] - complete[0]:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}] |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_argument(parser)
    folder = parser.parse_args().data / "deeplesion"
    print_header(numpy=np.__version__)
    skip_without(folder / "dls_valid.json", folder / "lesions_train_val.csv.gz")
    known = pd.read_csv(folder / "lesions_train_val.csv.gz", low_memory=False)
    known["patient"] = known.File_name.str[:6]
    marks, pairs = read_pairs(folder / "dls_valid.json")
    rows, reasons = join(marks, known)
    entered = known.iloc[rows[rows >= 0]]
    print_counts(known, entered, reasons)
    instances = extract(pairs, len(marks))[rows >= 0]
    centres = entered[["x0", "y0"]].to_numpy() + entered[["x1", "y1"]].to_numpy()
    vectors = np.column_stack([centres / 2 / IMAGE_PX, entered.z_norm])
    patients = np.unique(entered.patient, return_inverse=True)[1]
    studies = np.unique(entered.File_name.str[:9], return_inverse=True)[1]  # patient_study
    print(
        f"{len(pairs)} directed pairs: {len(entered)} lesions, {len(np.unique(instances))} instances, "
        f"{patients.max() + 1} patients, {studies.max() + 1} studies"
    )
    print("best F1 over T_2 (at T_2); difference with 95 % interval by patient, 1000 resamples:")
    print("| T_1 | between studies only | complete graph | difference |\n|---|---|---|---|")
    for t1 in T1_VALUES:
        print_row((vectors, patients, studies, instances), t1)


if __name__ == "__main__":
    main()
