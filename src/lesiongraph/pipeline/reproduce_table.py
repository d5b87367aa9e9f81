"""Saved scores → Table 1 with spreads over random seeds and intervals over patients; Markdown and CSV."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from lesiongraph.errors import NotEnoughDataError
from lesiongraph.evaluation import (
    TABLE1_FIGURES,
    ConfidenceInterval,
    RetrievalErrors,
    ScoredLesions,
    patient_bootstrap,
)
from lesiongraph.pipeline.reproduce_rows import TableRow
from lesiongraph.pipeline.reproduce_runs import ATTRIBUTES, COUNTINGS
from lesiongraph.recipe import EvaluationRecipe
from lesiongraph.workspace import StageFolder

REPEATS = 1000
BOOTSTRAP_SEED = 0
ERRORS = TABLE1_FIGURES[:3]
LOWER_IS_BETTER = {f"{name}{counting}" for name in ERRORS for counting in COUNTINGS}
# A figure of merit is added here, and in `_figure`, which gives its value over some of the lesions.
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
MATCHING = {"matching_area": "area", "matching_f1": "best_f1"}


@dataclass(frozen=True)
class Figure:
    """One cell: a value of each random seed, their mean and spread, and the interval over patients.

    Attributes
    ----------
    values : tuple of float
        Percent; one for a row that needs no training.
    sd : float or None
        Sample standard deviation over random seeds; None for a single value.
    low, high : float or None
        95 % interval of the mean by resampling patients, the trained networks held fixed; None where it
        cannot be computed (one patient, a figure of pairs).
    """

    values: tuple[float, ...]
    mean: float
    sd: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Scores:
    """One saved result: a row of the table with one random seed."""

    lesions: dict[str, ScoredLesions]  # a counting each: "" and "_others"
    patients: np.ndarray  # (N,)
    types: np.ndarray  # (N,)
    predicted: np.ndarray | None  # (N,), empty where not classified
    about: dict[str, Any]
    curve: pd.DataFrame | None  # t2, precision, recall


def read_scores(folder: StageFolder) -> Scores:
    """Read what `ensure_scores` wrote."""
    table, about = folder.read_table("scores"), folder.read_json("about")
    types = table.type.to_numpy(str)
    predicted = table.predicted.to_numpy(str) if (table.predicted != "").any() else None
    clusters = table.cluster.to_numpy() if (table.cluster >= 0).any() else None
    lesions = {}
    for counting in COUNTINGS:
        columns = {name: table[f"{name}_error{counting}"].to_numpy(float) for name in ATTRIBUTES}
        known = {name: None if np.isnan(values).all() else values for name, values in columns.items()}
        errors = RetrievalErrors(**known, retrieved=np.full(len(table), -1))
        lesions[counting] = ScoredLesions(types, errors, clusters, predicted, EvaluationRecipe().k)
    curve = folder.read_table("curve") if about["matching"] else None
    return Scores(lesions, table.patient_id.to_numpy(str), types, predicted, about, curve)


def figures_of(seeds: list[Scores]) -> dict[str, Figure | None]:
    """Return the cells of one row from its results, one a random seed; None where one cannot be computed."""
    cells: dict[str, Figure | None] = {}
    for name in HEADS:
        if name in MATCHING:
            stated = [one.about["matching"] for one in seeds]
            values = [100 * one[MATCHING[name]] for one in stated if one]
            cells[name] = _figure(values, None) if len(values) == len(seeds) else None
            continue
        asked = _asked(name)
        found = [asked(one, None) for one in seeds]
        values = [value for value in found if value is not None]
        cells[name] = _figure(values, _interval(seeds, asked)) if len(values) == len(seeds) else None
    return cells


def table_frame(rows: dict[TableRow, dict[str, Figure | None]]) -> pd.DataFrame:
    """Return the table as plain numbers: one line a row, mean, sd, low and high of each figure (CSV)."""
    lines = []
    for row, cells in rows.items():
        line: dict[str, Any] = {"row": row.name, "title": row.title}
        for name, cell in cells.items():
            for part in ("mean", "sd", "low", "high"):
                line[f"{name}_{part}"] = None if cell is None else getattr(cell, part)
        line["random_seeds"] = max((len(cell.values) for cell in cells.values() if cell), default=0)
        lines.append(line)
    return pd.DataFrame(lines)


def table_json(rows: dict[TableRow, dict[str, Figure | None]]) -> list[dict[str, Any]]:
    """Return the table with the value of every random seed."""
    return [
        {
            "row": row.name, "title": row.title, "part": row.part, "trained": row.trained,
            "figures": {name: None if cell is None else asdict(cell) for name, cell in cells.items()},
        }
        for row, cells in rows.items()
    ]  # fmt: skip


def best_cells(table: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Return (row, figure) of the best mean in each column, as it is printed; ties are all best."""
    best = set()
    for name in HEADS:
        shown = {
            line["row"]: round(line["figures"][name]["mean"], 1) for line in table if line["figures"][name]
        }
        if len(shown) > 1:
            top = (min if name in LOWER_IS_BETTER else max)(shown.values())
            best |= {(row, name) for row, value in shown.items() if value == top}
    return best


def cell_text(cell: dict[str, Any] | None) -> str:
    """Return mean ± standard deviation, with the interval where there is one."""
    if cell is None:
        return "–"
    spread = "" if cell["sd"] is None else f" ± {cell['sd']:.1f}"
    return f"{cell['mean']:.1f}{spread}"


def interval_text(cell: dict[str, Any] | None) -> str:
    """Return the interval over patients."""
    if cell is None or cell["low"] is None:
        return "–"
    return f"{cell['low']:.1f} – {cell['high']:.1f}"


def shown_figures(table: list[dict[str, Any]]) -> list[str]:
    """Return the figures that at least one row has."""
    return [name for name in HEADS if any(line["figures"][name] for line in table)]


def markdown(table: list[dict[str, Any]], caption: str) -> str:
    """Return the table as Markdown: means, then intervals, then the caption."""
    names, best = shown_figures(table), best_cells(table)

    def bold(line: dict[str, Any], name: str) -> str:
        text = cell_text(line["figures"][name])
        return f"**{text}**" if (line["row"], name) in best else text

    means = [[line["title"], *(bold(line, name) for name in names)] for line in table]
    with_interval = [name for name in names if name not in MATCHING]
    intervals = [
        [line["title"], *(interval_text(line["figures"][name]) for name in with_interval)] for line in table
    ]
    return "\n".join(
        [
            "# Table 1", "", caption, "", *_lines(names, means), "",
            "95 % intervals of the means by resampling patients, the trained networks held fixed:", "",
            *_lines(with_interval, intervals),
        ]
    )  # fmt: skip


def confusion_counts(seeds: list[Scores]) -> tuple[np.ndarray, np.ndarray] | None:
    """Return true and predicted types over all random seeds, one after the other (Fig. 7)."""
    asked = [one for one in seeds if one.predicted is not None]
    if not asked:
        return None
    types = np.concatenate([one.types[one.predicted != ""] for one in asked])
    predicted = np.concatenate(
        [one.predicted[one.predicted != ""] for one in asked if one.predicted is not None]
    )
    return types, predicted


def _lines(names: list[str], rows: list[list[str]]) -> list[str]:
    head = ["feature", *(HEADS[name] for name in names)]
    return ["| " + " | ".join(cells) + " |" for cells in (head, ["---", *("---:" for _ in names)], *rows)]


def _asked(name: str) -> Callable[[Scores, np.ndarray | None], float | None]:
    """Return the function from one random seed's scores, and the lesions drawn, to the figure in percent."""
    counting = "_others" if name.endswith("_others") else ""
    plain = name.removesuffix("_others")
    return lambda one, rows: one.lesions[counting].figure(plain, rows)


def _interval(
    seeds: list[Scores], asked: Callable[[Scores, np.ndarray | None], float | None]
) -> ConfidenceInterval | None:
    """Return the interval of the mean over random seeds; the same patients are drawn for every figure."""

    def mean(rows: np.ndarray) -> float:
        values = [asked(one, rows) for one in seeds]
        return float(np.mean([np.nan if value is None else value for value in values]))

    try:
        found = patient_bootstrap(
            mean, seeds[0].patients, rng=np.random.default_rng(BOOTSTRAP_SEED), repeats=REPEATS
        )
    except NotEnoughDataError:  # one patient
        return None
    return found if np.isfinite((found.low, found.high)).all() else None


def _figure(values: list[float], interval: ConfidenceInterval | None) -> Figure:
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    low, high = (None, None) if interval is None else (interval.low, interval.high)
    return Figure(tuple(values), float(np.mean(values)), sd, low, high)
