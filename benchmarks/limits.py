"""How far matching limits chosen on a few patients hold on others: best F1, averaged, pulled to usual ones.

    python benchmarks/limits.py [--data ../shared/data] [--deals 10]
    python benchmarks/limits.py -w W --truth truth.csv

On real pairs of DLS by location and size (data and truth as in dls_matching.py), or on a workspace's marks of
known identity by all cues; its test patients take no part, so that what is chosen here can be scored on them.
Some patients are drawn at random, spreads and limits are chosen on them by each rule, and the pairs of all
others are counted. Not a goal: which matcher is best (matchers.py, dls_matchers.py).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from dls_matchers import read
from lesiongraph.errors import NotEnoughDataError
from lesiongraph.evaluation import Run, choose_limits, limit_curve, pair_counts
from lesiongraph.evaluation.limit_choice import PULL, SMOOTHING_STEPS
from lesiongraph.pipeline.matchers import (
    default_setting,
    measured_weights,
    merge_limits_to_try,
    runner,
    typical_cost,
    usual_limits,
)
from lesiongraph.pipeline.truth import read_instances, true_lesions
from lesiongraph.pipeline.vectors import Vectors, read_vectors
from lesiongraph.workspace import Workspace
from matchers import Part
from provenance import add_data_argument, print_header, skip_without

MATCHER = "exclusive"
DRAWN = (8, 16, 27)  # patients that choose
# Usual limits that are tried, in units of the cost of a typical true pair.
USUAL = ((0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 1.0), (1.2, 1.5, 1.7, 2.0))
# Over how many steps the F1 of neighbouring limits counts, and what the usual limits weigh.
BEFORE = "best F1"
RULES = {
    "pulled alone": (0.0, PULL),
    "averaged alone": (SMOOTHING_STEPS, 0.0),
    "averaged and pulled": (SMOOTHING_STEPS, PULL),
}


def of_dls(data: Path) -> Part:
    """Real lesions in the order of a catalogue; their places stand where a workspace has embeddings."""
    folder = data / "deeplesion"
    skip_without(folder / "dls_valid.json", folder / "lesions_train_val.csv.gz")
    cues, patients, studies, instances = read(folder)
    places, sizes = np.asarray(cues.locations), np.asarray(cues.sizes_mm)
    numbered = [f"{study:06d}" for study in studies]  # in the order of time
    lesions = pd.DataFrame({"patient_id": patients.astype(str), "study_date": numbered})
    lesions["study_instance_uid"] = lesions.study_date
    for axis, name in enumerate("xyz"):
        lesions[name] = lesions[f"{name}_stated"] = places[:, axis]
    lesions["z_sd"] = np.nan
    lesions[["long_mm", "short_mm"]] = sizes
    return Part(Vectors(places.astype(np.float32), lesions), instances)


def of_workspace(path: Path, truth: Path) -> Part:
    """Marks of known identity that no test patient has."""
    vectors = read_vectors(Workspace(path), "embedding")
    identity = true_lesions(vectors.lesions, read_instances(truth))
    rows = np.flatnonzero((identity != "") & (vectors.lesions.subset != "test"))
    return Part(vectors.take(rows), identity.iloc[rows].to_numpy(str))


def best_f1(run: Run, choosing: Part, cues: tuple[str, ...]) -> tuple[float, float]:
    """The rule before: best F1 at five merge limits and every edge, the first that reaches it."""
    best = (-1.0, 0.0, 0.0)
    for units in (0.0, 0.25, 0.5, 0.75, 1.0):
        merge_limit = units * typical_cost(cues)
        curve = limit_curve(run, choosing.patients, choosing.truth, merge_limit)
        step = int(curve.f1().argmax())
        if curve.f1()[step] > best[0]:
            best = float(curve.f1()[step]), merge_limit, float(curve.limits[step : step + 2].mean())
    return best[1:]


def f1_of_others(choosing: Part, others: Part, cues: tuple[str, ...], rule: str) -> float:
    """Choose by one rule, count by the pairs of the others."""
    weights = measured_weights(choosing.vectors, choosing.truth, cues)
    run = runner(MATCHER, choosing.vectors, cues, weights)
    if rule == BEFORE:
        limits = best_f1(run, choosing, cues)
    else:
        steps, pull = RULES[rule]
        chosen = choose_limits(
            run, choosing.patients, choosing.truth, merge_limits_to_try(cues),
            usual=usual_limits(choosing.vectors, MATCHER, cues), smoothing_steps=steps, pull=pull,
        )  # fmt: skip
        limits = (chosen.merge_limit, chosen.limit)
    found = runner(MATCHER, others.vectors, cues, weights)(*limits)
    return pair_counts(others.truth, found.groups).f1 or 0.0


def print_usual(part: Part, cues: tuple[str, ...]) -> None:
    """Print the pair F1 of all patients at limits that nothing here chose, in units of a true pair's cost."""
    setting = default_setting(part.vectors, MATCHER, "", cues)
    run = runner(MATCHER, part.vectors, cues, setting.weights)
    typical = typical_cost(cues)
    print(f"| merge limit, limit | {' | '.join(str(limit) for limit in USUAL[1])} |")
    print("|---" * (1 + len(USUAL[1])) + "|")
    for merge_limit in USUAL[0]:
        limits = np.array(USUAL[1]) * typical
        curve = limit_curve(run, part.patients, part.truth, merge_limit * typical, limits=limits)
        print(f"| {merge_limit} | {' | '.join(f'{f1:.3f}' for f1 in curve.f1())} |", flush=True)


def told(name: str, values: list[float]) -> str:
    return (
        f"| {name} | {np.mean(values):.3f} | {np.std(values):.3f} | {np.percentile(values, 10):.3f} "
        f"| {np.min(values):.3f} |"
    )


def print_table(part: Part, cues: tuple[str, ...], deals: int) -> None:
    patients = np.unique(part.patients)
    print(f"{len(part.truth)} marks of {len(patients)} patients, {part.true_pairs()} true pairs; {cues}")
    setting = default_setting(part.vectors, MATCHER, "", cues)
    print(
        f"usual limits {setting.t1} / {setting.t2}, nothing chosen: pair F1 of all "
        f"{pair_counts(part.truth, setting.run(part.vectors).groups).f1:.3f}"
    )
    print_usual(part, cues)
    print("| patients that choose, rule | mean F1 of others | deviation | tenth percentile | least |")
    print("|---|---|---|---|---|", flush=True)
    for count in DRAWN:
        if count >= len(patients):
            print(f"| {count} | fewer patients than that | | | |")
            continue
        found: dict[str, list[float]] = {rule: [] for rule in (BEFORE, *RULES)}
        for deal in range(deals):
            drawn = np.random.default_rng([count, deal]).choice(patients, count, replace=False)
            chooses = np.isin(part.patients, drawn)
            choosing, others = part.take(chooses), part.take(~chooses)
            try:
                scores = {rule: f1_of_others(choosing, others, cues, rule) for rule in found}
            except NotEnoughDataError:  # no lesion of theirs is marked in two studies
                continue
            for rule, score in scores.items():
                found[rule].append(score)
        if len(found[BEFORE]) < deals:
            print(f"| {count}: {deals - len(found[BEFORE])} deals without a true pair left out | | | | |")
        for rule, values in found.items():
            print(told(f"{count}, {rule}", values), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_argument(parser)
    parser.add_argument("-w", "--workspace", type=Path)
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--deals", type=int, default=5)
    options = parser.parse_args()
    print_header(numpy=np.__version__)
    if options.workspace is None or options.truth is None:
        print_table(of_dls(options.data), ("location", "size"), options.deals)
    else:
        part = of_workspace(options.workspace, options.truth)
        print_table(part, ("appearance", "location", "size"), options.deals)


if __name__ == "__main__":
    main()
