"""Which matcher, which cues, which limits: from the caller, from validation patients, or by default."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from lesiongraph.errors import NotEnoughDataError, UsageError
from lesiongraph.evaluation import LIMIT_RATIO, ChosenLimits, Run, choose_limits
from lesiongraph.graph import (
    CostCalibration,
    CostWeights,
    ExclusiveLinkage,
    LesionCues,
    Links,
    Matcher,
    MatchResult,
    MutualNearest,
    OptimalAssignment,
    between_patients_threshold,
    match_by_cost,
    match_patients,
)
from lesiongraph.pipeline.truth import true_lesions
from lesiongraph.pipeline.vectors import Vectors
from lesiongraph.recipe import MatchingRecipe

ALGORITHM_1 = "algorithm1"
BY_COST: dict[str, Matcher] = {
    "mutual-nearest": MutualNearest(),
    "optimal": OptimalAssignment(),
    "exclusive": ExclusiveLinkage(),
}
MATCHERS = (ALGORITHM_1, *BY_COST)
CUES = {"appearance": 1, "location": 3, "size": 1}  # terms of the cost


@dataclass(frozen=True)
class Setting:
    """Everything that a matching depends on beside the lesions.

    `t1` and `t2` are the intra-study and inter-study limits, in the matcher's own measure: Euclidean distance
    for Algorithm 1, cost for the others.
    """

    matcher: str
    feature: str
    cues: tuple[str, ...]
    weights: CostWeights
    t1: float
    t2: float
    calibration: CostCalibration | None = None
    origin: str = ""  # where the limits come from, in words

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        found = dataclasses.asdict(self)
        if self.calibration is not None:
            found["calibration"] |= {
                name: getattr(self.calibration, name).tolist() for name in ("costs", "probabilities")
            }
        return found

    def probability(self, distances: np.ndarray) -> np.ndarray:
        """Return the probability that each edge joins one lesion; NaN where nothing calibrates it."""
        if self.calibration is None:
            return np.full(len(distances), np.nan)
        found = np.full(len(distances), np.nan)
        known = np.isfinite(distances)
        found[known] = self.calibration.probability(distances[known])
        return found

    def masked_weights(self) -> CostWeights:
        """Return the weights with the cues that are not used at 0."""
        unused = {cue: 0.0 for cue in CUES if cue not in self.cues}
        return dataclasses.replace(self.weights, **unused)

    def run(self, vectors: Vectors, links: Links | None = None) -> MatchResult:
        """Match all lesions, keeping to what a person decided."""
        return runner(self.matcher, vectors, self.cues, self.weights, links)(self.t1, self.t2)


def study_names(lesions: pd.DataFrame) -> np.ndarray:
    """Return the study (N,) of each lesion as text that sorts in the order of time."""
    return np.asarray((lesions.study_date + " " + lesions.study_instance_uid).to_numpy(str))


def lesion_cues(vectors: Vectors, cues: Sequence[str]) -> LesionCues:
    """Return what is known of each lesion; our own location goes before a stated one.

    The stated location has no expected error, and what a study shows is known in our z alone.
    """
    lesions = vectors.lesions
    ours = lesions[["x", "y", "z"]].to_numpy(float)
    stated = lesions[["x_stated", "y_stated", "z_stated"]].to_numpy(float)
    sizes = lesions[["long_mm", "short_mm"]].to_numpy(float)
    located = "location" in cues
    return LesionCues(
        embeddings=vectors.matrix if "appearance" in cues else None,
        locations=np.where(np.isfinite(ours), ours, stated) if located else None,
        z_sd=np.where(np.isfinite(ours[:, 2]), lesions.z_sd, np.nan) if located else None,
        sizes_mm=np.where(sizes > 0, sizes, np.nan) if "size" in cues else None,
    )


def runner(
    matcher: str,
    vectors: Vectors,
    cues: Sequence[str],
    weights: CostWeights,
    links: Links | None = None,
) -> Run:
    """Return a function of the two limits that groups the lesions.

    Under links Algorithm 1 runs as matching by cost: its Threshold and Exclusion are mutual nearest at the
    Euclidean distance.
    """
    patients = vectors.lesions.patient_id.to_numpy(str)
    studies = study_names(vectors.lesions)
    if matcher == ALGORITHM_1 and not links:
        return lambda t1, t2: match_patients(vectors.matrix, patients, studies, t1, t2)
    chosen = MutualNearest() if matcher == ALGORITHM_1 else BY_COST[matcher]
    known = lesion_cues(vectors, ("appearance",) if matcher == ALGORITHM_1 else cues)
    return lambda t1, t2: match_by_cost(
        known, patients, studies, chosen, t2, merge_limit=t1, weights=weights, links=links
    )


def algorithm_1_weights() -> CostWeights:
    """Return weights under which a cost is the Euclidean distance of two embeddings."""
    return CostWeights(location=0.0, size=0.0, appearance_sd=1.0)


def check_names(matcher: str, cues: Sequence[str]) -> None:
    """Raise UsageError for a matcher or cue that is none."""
    if matcher not in MATCHERS:
        raise UsageError(f"--matcher {matcher}: expected one of {', '.join(MATCHERS)}.")
    if not cues or not set(cues) <= set(CUES):
        raise UsageError(f"--cues {','.join(cues)}: expected some of {', '.join(CUES)}.")


def typical_cost(cues: Sequence[str]) -> float:
    """Return what a true pair costs: each term counts one spread."""
    return float(np.sqrt(sum(CUES[cue] for cue in cues)))


def usual_limits(vectors: Vectors, matcher: str, cues: Sequence[str]) -> tuple[float, float]:
    """Return T1 and T2 that serve where no truth chooses them: ADR 6 for Algorithm 1, ADR 11 for a cost."""
    recipe = MatchingRecipe()
    if matcher != ALGORITHM_1:
        typical = typical_cost(cues)
        return round(recipe.merge_units * typical, 3), round(recipe.limit_units * typical, 3)
    between = between_patients_threshold(vectors.matrix, vectors.lesions.patient_id)
    t2 = recipe.t2 if recipe.t2 is not None else recipe.t2_alone if between is None else round(between, 4)
    return recipe.t1, max(t2, recipe.t1)


def default_setting(vectors: Vectors, matcher: str, feature: str, cues: Sequence[str]) -> Setting:
    """Return the setting where no truth chooses it."""
    recipe, limits = MatchingRecipe(), usual_limits(vectors, matcher, cues)
    alone = vectors.lesions.patient_id.nunique() < 2
    if matcher == ALGORITHM_1:
        origin = "T2 from the distances between patients (ADR 6)"
        if recipe.t2 is None and alone:
            origin = "one patient only: T2 cannot be chosen from the data; --t2 sets it"
        return Setting(matcher, feature, ("appearance",), algorithm_1_weights(), *limits, None, origin)
    between = between_patients_threshold(vectors.matrix, vectors.lesions.patient_id)
    weights = CostWeights(appearance_sd=round(recipe.appearance_units * (between or recipe.t2_alone), 4))
    origin = "default limits and spreads (ADR 11), not chosen on this archive: --truth chooses them"
    return Setting(matcher, feature, tuple(cues), weights, *limits, None, origin)


def chosen_setting(
    vectors: Vectors, matcher: str, feature: str, cues: Sequence[str], instances: pd.Series
) -> Setting:
    """Return the setting around which the pair F1 of the validation patients of known truth is best.

    Spreads of the cost, both limits and the calibration come from the same patients. Algorithm 1 keeps the
    paper's T_1. Marks whose identity is unknown take no part.

    Parameters
    ----------
    instances : Series
        From `read_instances`.

    Raises
    ------
    NotEnoughDataError
        If no validation patient has a lesion with two marks of known identity.
    """
    identity = true_lesions(vectors.lesions, instances)
    rows = np.flatnonzero((identity != "") & (vectors.lesions.subset == "validation"))
    if not len(rows):
        raise NotEnoughDataError(
            "Choosing limits", "validation patients whose truth is known", 0,
            "Is this the truth of this archive? Without --truth the default limits serve.",
        )  # fmt: skip
    own = vectors.take(rows)
    truth = identity.iloc[rows].to_numpy(str)
    usual = usual_limits(vectors, matcher, cues)
    chosen, weights = choose_on(own, truth, matcher, cues, usual)
    used = ("appearance",) if matcher == ALGORITHM_1 else tuple(cues)
    patients = own.lesions.patient_id.nunique()
    origin = (
        f"chosen on {patients} validation patients: {chosen.true_pairs} true pairs, pair F1 {chosen.f1:.3f} "
        f"(precision {chosen.precision:.3f}, recall {chosen.recall:.3f})"
    )
    limits = round(chosen.merge_limit, 6), round(chosen.limit, 6)
    return Setting(matcher, feature, used, weights, *limits, chosen.calibration, origin)


def choose_on(
    own: Vectors, truth: np.ndarray, matcher: str, cues: Sequence[str], usual: tuple[float, float]
) -> tuple[ChosenLimits, CostWeights]:
    """Choose limits and spreads on the lesions given, all of known identity `truth` (n,)."""
    weights, tried = algorithm_1_weights(), [MatchingRecipe().t1]
    if matcher != ALGORITHM_1:
        weights, tried = measured_weights(own, truth, cues), merge_limits_to_try(cues)
    run = runner(matcher, own, cues, weights)
    patients = own.lesions.patient_id.to_numpy(str)
    return choose_limits(run, patients, truth, tried, usual=usual, nested=matcher != "optimal"), weights


def merge_limits_to_try(cues: Sequence[str]) -> list[float]:
    """Return intra-study limits of a cost: 0.15 to 3 times what a typical true pair costs."""
    return [0.15 * LIMIT_RATIO**step * typical_cost(cues) for step in range(25)]


def measured_weights(own: Vectors, truth: np.ndarray, cues: Sequence[str]) -> CostWeights:
    """Return the spreads over the true pairs between studies of these lesions."""
    studies = study_names(own.lesions)
    pairs = [
        pair
        for rows in pd.Series(range(len(truth))).groupby(truth)
        for pair in combinations(rows[1].tolist(), 2)
        if studies[pair[0]] != studies[pair[1]]
    ]
    if not pairs:
        raise NotEnoughDataError(
            "Spread of true pairs", "a lesion marked in two studies of a validation patient", 0,
            "Is this the truth of this archive? Without --truth the default spreads serve.",
        )  # fmt: skip
    return CostWeights.measured_on(lesion_cues(own, cues), np.array(pairs))
