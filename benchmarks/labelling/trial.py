"""Seeds and pool dealt by patient, a few times; each method on the same deals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelling.joined import join_features
from labelling.rivals import METHODS
from lesiongraph.cues import (
    AbstainingLabeller,
    PseudoLabels,
    TypeLabeller,
    count_seeds,
    coverage_curve,
    measure_noise,
)
from lesiongraph.errors import NotEnoughDataError

COVERAGE = 0.8
Make = Callable[[], TypeLabeller]


@dataclass(frozen=True)
class Data:
    """Lesions of known type. `features`: name → blocks of (N, D), each with its weight."""

    name: str
    types: NDArray[np.str_]
    patients: NDArray[np.str_]
    features: dict[str, list[tuple[np.ndarray, float]]]

    def matrix(self, feature: str, seeds: NDArray[np.bool_]) -> np.ndarray:
        """One block as it comes, several joined by the scale of the seeds."""
        blocks = self.features[feature]
        if len(blocks) == 1:
            return blocks[0][0]
        return join_features(
            [block for block, _ in blocks], np.flatnonzero(seeds), [weight for _, weight in blocks]
        )

    def deals(self, share: float, random_seeds: int) -> Iterator[NDArray[np.bool_]]:
        """Masks of the seeds' rows: whole patients, at random."""
        names = np.unique(self.patients)
        taken = max(2, round(share * len(names)))
        for random_seed in range(random_seeds):
            drawn = np.random.default_rng(random_seed).permutation(names)[:taken]
            yield np.isin(self.patients, drawn)

    def leave_one_patient_out(self) -> list[NDArray[np.bool_]]:
        """Masks of the seeds' rows: all patients but one, each in turn."""
        return [self.patients != name for name in np.unique(self.patients)]


def print_trial(data: Data, share: float | None, random_seeds: int) -> None:
    """Print accuracy, accuracy of the surest 80 %, mean recall: mean ± standard deviation over the deals.

    Δ is the difference to the first method on the same deals. Without `share`, each patient is left out once
    and the results are pooled: no spread then.
    """
    deals = list(data.deals(share, random_seeds)) if share else data.leave_one_patient_out()
    _print_head(data, share, deals)
    print("| feature | method | accuracy | surest 80 % | mean recall | Δ accuracy | Δ surest | Δ recall |")
    print("|---|---|---|---|---|---|---|---|")
    for feature in data.features:
        reference: NDArray[np.float64] | None = None
        for method, make in METHODS.items():
            labels = [_label(data, feature, seeds, make) for seeds in deals]
            if share:
                scores = np.array(
                    [_scores(data.types[~s], one) for s, one in zip(deals, labels, strict=True)]
                )
            else:
                scores = _scores(*_pooled(data, deals, labels))[None]
            reference = scores if reference is None else reference
            differences = [_cell((scores - reference)[:, i], sign=True) for i in range(3)]
            cells = [_cell(scores[:, i]) for i in range(3)] + differences
            print(f"| {feature} | {method} | {' | '.join(cells)} |", flush=True)


def print_abstention(data: Data, share: float, random_seeds: int, wanted: float, methods: list[str]) -> None:
    """Print what a threshold chosen on the seeds reaches on the pool, and the types missing in some deal."""
    deals = list(data.deals(share, random_seeds))
    _print_head(data, share, deals)
    print(f"wanted precision {wanted:.0%}, threshold by cross-validation on the seeds by patient")
    print("| feature | method | reached in | right, seeds | right, pool | labelled | too sure by | missing |")
    print("|---|---|---|---|---|---|---|---|")
    for feature in data.features:
        for method in methods:
            rows = [_abstain(data, feature, seeds, METHODS[method], wanted) for seeds in deals]
            reached = [row for row in rows if row is not None]
            if not reached:
                print(f"| {feature} | {method} | 0 of {len(rows)} | | | | | |")
                continue
            table = np.array([row[:4] for row in reached])
            silent = sorted({name for row in reached for name in row[4]})
            cells = [_cell(table[:, i]) for i in range(4)] + [", ".join(silent) or "–"]
            print(
                f"| {feature} | {method} | {len(reached)} of {len(rows)} | {' | '.join(cells)} |", flush=True
            )


def _abstain(
    data: Data, feature: str, seeds: NDArray[np.bool_], make: Make, wanted: float
) -> tuple[float, float, float, float, tuple[str, ...]] | None:
    matrix, labeller = data.matrix(feature, seeds), AbstainingLabeller(make, wanted)
    try:
        labeller.fit(matrix[seeds], data.types[seeds], patients=data.patients[seeds])
    except NotEnoughDataError:
        return None
    labels = labeller.predict(matrix[~seeds])
    noise = measure_noise(data.types[~seeds], labels.types)
    every = labeller.predict_all(matrix[~seeds])
    right = every.types == data.types[~seeds]
    # mean probability stated, less the share that is right: above 0 is too sure
    bias = float(every.confidence.mean() - right.mean())
    return labeller.seed_precision, noise.precision, noise.coverage, bias, labeller.silent_types


def _label(data: Data, feature: str, seeds: NDArray[np.bool_], make: Make) -> PseudoLabels:
    matrix = data.matrix(feature, seeds)
    return make().fit(matrix[seeds], data.types[seeds]).predict(matrix[~seeds])


def _pooled(
    data: Data, deals: list[NDArray[np.bool_]], labels: list[PseudoLabels]
) -> tuple[NDArray[np.str_], PseudoLabels]:
    truth = np.concatenate([data.types[~seeds] for seeds in deals])
    types = np.concatenate([one.types for one in labels])
    return truth, PseudoLabels(types, np.concatenate([one.confidence for one in labels]))


def _scores(truth: NDArray[np.str_], labels: PseudoLabels) -> NDArray[np.float64]:
    noise = measure_noise(truth, labels.types)
    surest = coverage_curve(truth, labels).precision_at(COVERAGE)
    return np.array([noise.precision, surest, noise.balanced_accuracy])


def _print_head(data: Data, share: float | None, deals: list[NDArray[np.bool_]]) -> None:
    sizes = [int(seeds.sum()) for seeds in deals]
    without = sorted({name for s in deals for name, n in count_seeds(data.types[s]).items() if not n})
    dealt = f"{share:.0%} of the patients are seeds" if share else "each patient left out once"
    print(
        f"\n{data.name}: {len(data.types)} lesions, {len(np.unique(data.patients))} patients, {dealt}: "
        f"{min(sizes)}–{max(sizes)} seeds, {len(deals)} deals; without seeds in some deal: "
        f"{', '.join(without) or 'none'}"
    )


def _cell(values: NDArray[np.float64], *, sign: bool = False) -> str:
    values = values[np.isfinite(values)]  # a pool without any label has no share that is right
    if not len(values):
        return "–"
    mean = f"{100 * values.mean():{'+' if sign else ''}.1f}"
    spread = values.std(ddof=1) if len(values) > 1 else math.nan
    return mean if math.isnan(spread) else f"{mean} ± {100 * spread:.1f}"
