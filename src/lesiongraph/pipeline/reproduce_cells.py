"""Saved scores → the cells of Table 1: spread over random seeds, intervals over patients, gaps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lesiongraph.errors import NotEnoughDataError
from lesiongraph.evaluation import (
    TABLE1_FIGURES,
    RetrievalErrors,
    ScoredLesions,
    patient_resamples,
    percentile_interval,
)
from lesiongraph.pipeline.reproduce_rows import ALL_CUES, TableRow
from lesiongraph.pipeline.reproduce_runs import ATTRIBUTES, COUNTINGS
from lesiongraph.recipe import EvaluationRecipe
from lesiongraph.workspace import StageFolder

REPEATS = 1000
BOOTSTRAP_SEED = 0  # the same patients are drawn for every row and figure
ERRORS = TABLE1_FIGURES[:3]
LOWER_IS_BETTER = {f"{name}{counting}" for name in ERRORS for counting in COUNTINGS}
MATCHING = {"matching_area": "area", "matching_f1": "best_f1"}
# The columns of the table. A figure of merit is added to `evaluation.ScoredLesions.figure`, and named here.
HEADS = {
    "type_are": "type",
    "location_are": "location",
    "size_are": "size",
    "purity": "purity",
    "nmi": "NMI",
    "accuracy": "accuracy",
    "type_are_others": "type, other patients",
    "location_are_others": "location, other patients",
    "size_are_others": "size, other patients",
    "matching_area": "Fig. 8 area",
    "matching_f1": "best pair F1",
}
Cells = dict[str, "Cell | None"]


@dataclass(frozen=True)
class Cell:
    """One figure of one row, in percent.

    Attributes
    ----------
    values : tuple of float
        One a random seed; a single one for a row that needs no training.
    mean : float
    sd : float or None
        Sample standard deviation over random seeds; None for a single value.
    interval : (float, float) or None
        95 % interval of the mean by resampling patients, the trained networks held fixed; None where it
        cannot be computed (one patient, a figure of pairs).
    gap : (float, float, float) or None
        Mean less that of the full row, and its 95 % interval on the same resamples: two rows are scored on
        the same patients, so their difference is surer than either.
    """

    values: tuple[float, ...]
    mean: float
    sd: float | None
    interval: tuple[float, float] | None = None
    gap: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Scores:
    """One saved result: a row of the table with one random seed."""

    table: pd.DataFrame  # one line a lesion scored
    lesions: dict[str, ScoredLesions]  # a counting each: "" and "_others"
    about: dict[str, Any]
    curve: pd.DataFrame | None  # t2, precision, recall

    @property
    def patients(self) -> np.ndarray:
        """Patient (N,) of each lesion."""
        return np.asarray(self.table.patient_id, dtype=str)

    def figure(self, name: str, rows: np.ndarray | None = None) -> float | None:
        """Return one figure in percent, over some lesions where `rows` are given."""
        if name in MATCHING:
            matching = self.about["matching"]
            return None if matching is None else 100 * float(matching[MATCHING[name]])
        counting = COUNTINGS[1] if name.endswith(COUNTINGS[1]) else COUNTINGS[0]
        return self.lesions[counting].figure(name.removesuffix(COUNTINGS[1]), rows)


def read_scores(folder: StageFolder) -> Scores:
    """Read what `ensure_scores` wrote."""
    table, about = folder.read_table("scores"), folder.read_json("about")
    predicted = table.predicted.to_numpy(str) if (table.predicted != "").any() else None
    clusters = table.cluster.to_numpy() if (table.cluster >= 0).any() else None
    lesions = {}
    for counting in COUNTINGS:
        columns = {name: table[f"{name}_error{counting}"].to_numpy(float) for name in ATTRIBUTES}
        known = {name: None if np.isnan(values).all() else values for name, values in columns.items()}
        errors = RetrievalErrors(**known, retrieved=table[f"retrieved{counting}"].to_numpy())
        types = table.type.to_numpy(str)
        lesions[counting] = ScoredLesions(types, errors, clusters, predicted, EvaluationRecipe().k)
    return Scores(table, lesions, about, folder.read_table("curve") if about["matching"] else None)


def cells_of(
    scores: dict[TableRow, list[Scores]], done: Callable[[int], None] = lambda _count: None
) -> dict[TableRow, Cells]:
    """Return the cells of every row from its results, one a random seed."""
    full = next((own for row, own in scores.items() if row.name == ALL_CUES), None)
    of_full = None if full is None else _resampled(full)
    cells = {}
    for count, (row, own) in enumerate(scores.items(), start=1):
        drawn = of_full if own is full and of_full is not None else _resampled(own)
        other = None
        if full is not None and own is not full and _same_lesions(own[0], full[0]):
            other = of_full
        cells[row] = {name: _cell(own, name, drawn[name], other[name] if other else None) for name in HEADS}
        done(count)
    return cells


def _same_lesions(first: Scores, second: Scores) -> bool:
    """Whether resamples of the two draw the same lesions; in which order they stand does not matter."""
    return set(first.table.lesion_id) == set(second.table.lesion_id)


@dataclass(frozen=True)
class _Drawn:
    """A figure's mean over random seeds, and the same on each resample of patients."""

    mean: float
    resampled: np.ndarray | None  # (repeats,); None where the figure is not one of single lesions


def _resampled(seeds: list[Scores]) -> dict[str, _Drawn | None]:
    try:
        rows = patient_resamples(
            seeds[0].patients, rng=np.random.default_rng(BOOTSTRAP_SEED), repeats=REPEATS
        )
    except NotEnoughDataError:  # one patient
        rows = []
    drawn: dict[str, _Drawn | None] = {}
    for name in HEADS:
        mean = _mean(seeds, name)
        if mean is None:
            drawn[name] = None
            continue
        values = None
        if rows and name not in MATCHING:
            values = np.array([_mean(seeds, name, chosen) for chosen in rows], dtype=float)
        drawn[name] = _Drawn(mean, values)
    return drawn


def _mean(seeds: list[Scores], name: str, rows: np.ndarray | None = None) -> float | None:
    values = [one.figure(name, rows) for one in seeds]
    return None if None in values else float(np.mean(np.array(values, dtype=float)))


def _cell(seeds: list[Scores], name: str, own: _Drawn | None, full: _Drawn | None) -> Cell | None:
    if own is None:
        return None
    values = [float(value) for one in seeds if (value := one.figure(name)) is not None]
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    gap = None
    if full is not None and own.resampled is not None and full.resampled is not None:
        between = _interval(own.mean - full.mean, own.resampled - full.resampled)
        gap = None if between is None else (own.mean - full.mean, *between)
    interval = None if own.resampled is None else _interval(own.mean, own.resampled)
    return Cell(tuple(values), own.mean, sd, interval, gap)


def _interval(estimate: float, resampled: np.ndarray) -> tuple[float, float] | None:
    """Return the 95 % interval; None where a resample has no value (nobody left to retrieve)."""
    if not np.isfinite(resampled).all():
        return None
    found = percentile_interval(estimate, resampled)
    return found.low, found.high
