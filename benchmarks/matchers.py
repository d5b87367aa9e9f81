"""Matchers and cues on any workspace whose truth is known, limits chosen on its validation patients.

    python benchmarks/matchers.py -w W --truth truth.csv [--all]

Validation patients choose the spreads of the cost, both limits and the probabilities; test patients are
counted. Pair F1, its gain over Algorithm 1 with the paper's T_1, and the area of Fig. 8's curve over test
patients, 95 % intervals by resampling them with the choices held fixed; Brier score and ECE of the kept
edges' probabilities on test patients. Without a workspace there is nothing to score; dls_matchers.py scores
real pairs.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from lesiongraph.errors import StageMissingError
from lesiongraph.evaluation import (
    LIMIT_RATIO,
    ChosenLimits,
    LimitCurve,
    area_under_curve,
    choose_limits,
    labelled_edges,
    limit_curve,
    patient_bootstrap,
)
from lesiongraph.graph import (
    between_patients_threshold,
    brier_score,
    expected_calibration_error,
)
from lesiongraph.pipeline.matchers import (
    ALGORITHM_1,
    BY_COST,
    choose_on,
    default_setting,
    measured_weights,
    runner,
    study_names,
    usual_limits,
)
from lesiongraph.pipeline.truth import read_instances, true_lesions
from lesiongraph.pipeline.vectors import Vectors, read_vectors
from lesiongraph.recipe import MatchingRecipe
from lesiongraph.workspace import Workspace
from provenance import print_header

CUE_SETS = (
    ("appearance",),
    ("location",),
    ("size",),
    ("location", "size"),
    ("appearance", "location"),
    ("appearance", "location", "size"),
)
_BASELINE: dict[str, LimitCurve] = {}
T1_UNITS = tuple(0.05 * LIMIT_RATIO**step for step in range(29))  # of Algorithm 1's T_1, of T_2 by ADR 6


@dataclasses.dataclass(frozen=True)
class Part:
    """The lesions of some patients, all of known identity."""

    vectors: Vectors
    truth: np.ndarray

    @property
    def patients(self) -> np.ndarray:
        """Patient of each lesion."""
        return self.vectors.lesions.patient_id.to_numpy(str)

    def take(self, rows: np.ndarray) -> Part:
        """Return some rows, by number or by mask."""
        return Part(self.vectors.take(rows), self.truth[rows])

    def true_pairs(self) -> int:
        """Pairs of marks of one lesion."""
        return int(sum(n * (n - 1) // 2 for n in Counter(self.truth).values()))


def read_parts(workspace: Workspace, truth: Path, feature: str) -> tuple[Part, Part]:
    vectors = read_vectors(workspace, feature)
    identity = true_lesions(vectors.lesions, read_instances(truth))
    parts = []
    for subset in ("validation", "test"):
        rows = np.flatnonzero((identity != "") & (vectors.lesions.subset == subset))
        parts.append(Part(vectors.take(rows), identity.iloc[rows].to_numpy(str)))
        count = len(np.unique(parts[-1].patients))
        pairs = parts[-1].true_pairs()
        print(
            f"{feature}, {subset}: {len(rows)} marks of known identity, {count} patients, {pairs} true pairs"
        )
    return parts[0], parts[1]


def interval(curve: LimitCurve, statistic, sign: str = "") -> str:
    found = patient_bootstrap(statistic, np.arange(len(curve.counts)), rng=np.random.default_rng(0))
    return f"{found.estimate:{sign}.3f} [{found.low:{sign}.3f}, {found.high:{sign}.3f}]"


def area(curve: LimitCurve, rows: np.ndarray) -> float:
    return area_under_curve(*curve.precision_recall(rows))


def score(
    name: str, validation: Part, test: Part, matcher: str, cues: Sequence[str], chosen, run
) -> np.ndarray:
    """Print a row; return the groups of the test patients."""
    nested = matcher != "optimal"
    at = limit_curve(run, test.patients, test.truth, chosen.merge_limit, limits=[chosen.limit], nested=False)
    curve = limit_curve(run, test.patients, test.truth, chosen.merge_limit, nested=nested)
    precision, recall = (float(value[0]) for value in at.precision_recall())
    result = run(chosen.merge_limit, chosen.limit)
    lengths, same = labelled_edges(result, test.truth)
    baseline = _BASELINE.setdefault("algorithm1", at)  # the first row of the run
    told = "–"
    if chosen.calibration is not None and len(same):
        chance = chosen.calibration.probability(lengths)
        told = f"{brier_score(chance, same):.3f} / {expected_calibration_error(chance, same):.3f}"
    print(
        f"| {name} | {', '.join(cues)} | {chosen.merge_limit:.3g} / {chosen.limit:.3g} | {chosen.f1:.3f} "
        f"| {precision:.3f} | {recall:.3f} | {interval(at, lambda rows: float(at.f1(rows)[0]))} "
        f"| {interval(at, lambda rows: float(at.f1(rows)[0] - baseline.f1(rows)[0]), '+')} "
        f"| {interval(curve, lambda rows: area(curve, rows))} | {told} |",
        flush=True,
    )
    return result.groups


def together(validation: Part, test: Part) -> Vectors:
    """Return the vectors of both: what the limits that serve without a truth are taken from."""
    parts = (validation.vectors, test.vectors)
    return Vectors(np.concatenate([p.matrix for p in parts]), pd.concat([p.lesions for p in parts]))


def by_truth(validation: Part, test: Part, matcher: str, cues: Sequence[str], name: str) -> np.ndarray:
    limits = usual_limits(together(validation, test), matcher, cues)
    chosen, weights = choose_on(validation.vectors, validation.truth, matcher, cues, limits)
    return score(name, validation, test, matcher, cues, chosen, runner(matcher, test.vectors, cues, weights))


def by_default(validation: Part, test: Part, matcher: str, feature: str, cues: Sequence[str]) -> None:
    """Score what `match` does without a truth: nothing is chosen here."""
    setting = default_setting(test.vectors, matcher, feature, cues)
    here, there = (runner(matcher, part.vectors, cues, setting.weights) for part in (test, validation))
    at = limit_curve(
        there, validation.patients, validation.truth, setting.t1, limits=[setting.t2], nested=False
    )
    pairs = validation.true_pairs()
    fixed = ChosenLimits(setting.t1, setting.t2, np.nan, np.nan, float(at.f1()[0]), pairs, None, 0, 0)
    score(f"{matcher}, no truth", validation, test, matcher, cues, fixed, here)


def choose_t1(validation: Part, test: Part) -> ChosenLimits:
    """Choose both limits of Algorithm 1 in the feature's own measure.

    The usual T_1 is what matching by cost takes of the appearance alone, not the paper's 0.1: features differ
    in scale.
    """
    recipe = MatchingRecipe()
    both = together(validation, test)
    between = between_patients_threshold(both.matrix, both.lesions.patient_id)
    assert between is not None
    run = runner(ALGORITHM_1, validation.vectors, ("appearance",), None)
    tried = [units * between for units in T1_UNITS]
    limits = (recipe.merge_units * recipe.appearance_units * between, between)
    return choose_limits(run, validation.patients, validation.truth, tried, usual=limits)


def fitted_t1(validation: Part, test: Part) -> np.ndarray:
    """Algorithm 1 with T_1 chosen too."""
    chosen = choose_t1(validation, test)
    of_test = runner(ALGORITHM_1, test.vectors, ("appearance",), None)
    return score("algorithm1, T1 chosen", validation, test, ALGORITHM_1, ("appearance",), chosen, of_test)


def explain(test: Part, groups: np.ndarray, name: str) -> None:
    """Say of what kind the wrong and missing pairs are."""
    studies, lesions = study_names(test.vectors.lesions), test.vectors.lesions
    kinds: Counter[str] = Counter()
    rows_of = pd.Series(range(len(groups))).groupby(lesions.patient_id.to_numpy()).indices
    for rows in rows_of.values():
        for i, j in combinations(rows.tolist(), 2):
            same, together = test.truth[i] == test.truth[j], groups[i] == groups[j]
            if same == together:
                continue
            where = "one study" if studies[i] == studies[j] else "two studies"
            if not same and studies[i] != studies[j]:
                inside = pd.Series(studies[rows[groups[rows] == groups[i]]])
                where += ", group chained over one study" if inside.duplicated().any() else ""
            kinds[f"{'missed' if same else 'wrong'}, {where}"] += 1
    print(f"{name}: " + ("; ".join(f"{kind}: {n}" for kind, n in kinds.most_common()) or "no wrong pair"))


def spread_of_appearance(part: Part, name: str) -> None:
    """Print what `MatchingRecipe.appearance_units` stands for, as it shows here."""
    between = between_patients_threshold(part.vectors.matrix, part.patients)
    spread = measured_weights(part.vectors, part.truth, ("appearance",)).appearance_sd
    if between:
        print(
            f"{name}: appearance of true pairs {spread:.3f}, "
            f"{spread / between:.2f} of the distance to the nearest lesion of another patient ({between:.3f})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-w", "--workspace", type=Path)
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--features", nargs="+", default=["embedding", "initial"])
    parser.add_argument("--all", action="store_true", help="every matcher with every set of cues")
    options = parser.parse_args()
    print_header(numpy=np.__version__)
    if options.workspace is None or options.truth is None:
        print("skipped: give -w WORKSPACE and --truth CSV")
        sys.exit(0)
    print("matcher, T1 / T2 chosen, F1 on validation; the rest of test patients")
    for feature in options.features:
        try:
            validation, test = read_parts(Workspace(options.workspace), options.truth, feature)
        except StageMissingError as error:
            print(f"skipped, {feature}: {error}")
            continue
        for name, part in (("validation", validation), ("test", test)):
            spread_of_appearance(part, f"{feature}, {name}")
        print("| matcher | cues | T1 / T2 | F1 val | precision | recall | F1 | gain | area | Brier / ECE |")
        print("|---|---|---|---|---|---|---|---|---|---|")
        one = ("appearance",)
        explained = {"algorithm1": by_truth(validation, test, ALGORITHM_1, one, "algorithm1")}
        explained["algorithm1, T1 chosen"] = fitted_t1(validation, test)
        for cues in CUE_SETS:
            if "appearance" not in cues and feature != options.features[0]:
                continue  # the same whatever the feature
            for matcher in BY_COST:
                if options.all or matcher == "exclusive" or cues == CUE_SETS[-1]:
                    groups = by_truth(validation, test, matcher, cues, matcher)
                    if cues == CUE_SETS[-1]:
                        explained[f"{matcher}, all cues"] = groups
        by_default(validation, test, "exclusive", feature, CUE_SETS[-1])
        by_default(validation, test, ALGORITHM_1, feature, one)
        for name, groups in explained.items():
            explain(test, groups, name)


if __name__ == "__main__":
    main()
