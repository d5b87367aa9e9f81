"""Workspace → Table 1 in full, Fig. 7 and Fig. 8, by the paper's protocol (Sec. 6); a killed run goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from lesiongraph.errors import UsageError
from lesiongraph.evaluation import confusion_matrix
from lesiongraph.figures import confusion_figure, curve_figure, to_png
from lesiongraph.lesion import LESION_TYPES
from lesiongraph.pipeline.progress import Progress, silent
from lesiongraph.pipeline.reproduce_caption import caption, state_run
from lesiongraph.pipeline.reproduce_cells import REPEATS, Scores, cells_of, read_scores
from lesiongraph.pipeline.reproduce_rows import ALL_CUES, TableRow, check_base, chosen_rows
from lesiongraph.pipeline.reproduce_runs import SCRATCH, Experiment, ensure_scores
from lesiongraph.pipeline.reproduce_table import markdown, table_frame, table_json
from lesiongraph.pipeline.train import check_start
from lesiongraph.pipeline.training_set import check_located
from lesiongraph.pipeline.truth import read_instances
from lesiongraph.recipe import Recipe
from lesiongraph.workspace import RunReport, Workspace, fingerprint

TABLE = "table1_"  # and the preset: the stage that keeps the finished table
TABLE_FORMAT = 2  # raised when a table is made otherwise from the same scores


def reproduce(
    workspace: Workspace,
    recipe: Recipe,
    *,
    seeds: int = 5,
    rows: list[str] | None = None,
    vgg16: Path | None = None,
    init: str = "imagenet",
    truth: Path | None = None,
    out: Path | None = None,
    progress: Progress = silent,
) -> RunReport:
    """Train and score the rows of Table 1, each with random seeds 0 … seeds − 1, and write the table.

    Every training and every score is kept in the workspace under a key of its inputs: a killed run goes on
    where it stopped, and what has not changed is not done again.

    Parameters
    ----------
    workspace : Workspace
        Mined and located.
    recipe : Recipe
        What the rows start from; each changes its own numbers in it (`reproduce_rows`).
    seeds : int
    rows : list of str, optional
        Names of rows; all nine if not given.
    vgg16, init
        As for `train`.
    truth : path, optional
        Lesion identities: adds Fig. 8, and how wrong the pseudo-labels are.
    out : path, optional
        Where the files go; the folder `table1` of the workspace if not given.

    Raises
    ------
    UsageError
        If a row is unknown, the recipe would change what the rows are, or a row cannot go on from the
        packaged embedder as the recipe asks.
    NotEnoughDataError
        If there are too few lesions to train or to score.
    StageMissingError
        If nothing was mined or located, or lesions were mined since.
    WeightsError
        If the trunk's weights are absent.
    TableSchemaError
        If `truth` cannot be read or lacks a column.

    Source
    ------
    Table 1, Fig. 7, Fig. 8; intervals over patients are ours.
    """
    check_base(recipe)
    if seeds < 1:
        raise UsageError(f"--seeds {seeds}: expected at least 1.")
    wanted = chosen_rows(rows)
    for row in wanted:  # before hours are spent on the rows that go well
        if row.trained:
            check_start(row.recipe(recipe))
    if truth is not None:
        read_instances(truth)
    report = RunReport("reproduce")
    with workspace.lock():
        check_located(workspace)
        experiment = Experiment(workspace, recipe, progress, report, vgg16, init, truth)
        scores = _score_all(experiment, wanted, seeds)
        key = fingerprint(
            [workspace.key(experiment.stage("scores", row, i)) for row in wanted for i in _seeds(row, seeds)],
            [row.name for row in wanted], REPEATS, TABLE_FORMAT,
        )  # fmt: skip
        stage = TABLE + recipe.name
        report.already_done = workspace.is_current(stage, key)
        if not report.already_done:
            made = _table(scores, recipe, seeds, progress)
            with workspace.write(stage, key) as folder:
                folder.write_json("table", made)
        table = workspace.open(stage, "reproduce").read_json("table")
        report.details["files"] = write_files(out or workspace.path / "table1", table)
        report.details.update({name: table[name] for name in ("caption", "rows", "stated")})
        report.counts.update(rows=len(wanted), trainings=experiment.runs_done)
        for left in workspace.scratch("").glob(SCRATCH + "*"):  # of killed runs with other options
            shutil.rmtree(left)
        workspace.write_run_report("reproduce", report.finish().as_dict())
    return report


def write_files(folder: Path, table: dict[str, Any]) -> dict[str, str]:
    """Write table1.md, table1.csv, table1.json and the figures the table has; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    text = {
        "table1.md": markdown(table["rows"], table["caption"]) + "\n",
        "table1.csv": pd.DataFrame(table["frame"]).to_csv(index=False),
        "table1.json": json.dumps({k: v for k, v in table.items() if k != "frame"}, indent=2) + "\n",
    }
    files = {name: content.encode() for name, content in text.items()}
    if table["confusion"]:
        files["confusion.png"] = to_png(confusion_figure(*confusion_of(table)))
    if table["curves"]:
        files["matching.png"] = to_png(curve_figure(curves_of(table)))
    for name, content in files.items():
        part = folder / f"{name}.part"
        part.write_bytes(content)
        part.replace(folder / name)
    return {name: str(folder / name) for name in files}


def confusion_of(table: dict[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """Return the confusion matrix of the full row and its labels."""
    types, predicted = table["confusion"]
    return confusion_matrix(types, predicted), LESION_TYPES


def curves_of(table: dict[str, Any]) -> dict[str, tuple[Any, Any, float]]:
    """Return each row's curve of random seed 0, with the mean area over the seeds."""
    return {
        line["title"]: (*table["curves"][line["row"]], line["figures"]["matching_area"]["mean"] / 100)
        for line in table["rows"]
        if line["row"] in table["curves"]
    }


def _seeds(row: TableRow, seeds: int) -> range:
    return range(seeds if row.trained else 1)


def _score_all(
    experiment: Experiment, rows: tuple[TableRow, ...], seeds: int
) -> dict[TableRow, list[Scores]]:
    """Train and score what is not done yet; the first seed of every row comes before the second of any."""
    todo = [(row, i) for i in range(seeds) for row in rows if i in _seeds(row, seeds)]
    scores: dict[TableRow, list[Scores]] = {row: [] for row in rows}
    for done, (row, rng_seed) in enumerate(todo):
        experiment.progress("rows and random seeds", done, len(todo))
        stage = ensure_scores(experiment, row, rng_seed)
        scores[row].append(read_scores(experiment.workspace.open(stage, "reproduce")))
    experiment.progress("rows and random seeds", len(todo), len(todo))
    return scores


def _table(
    scores: dict[TableRow, list[Scores]], recipe: Recipe, seeds: int, progress: Progress
) -> dict[str, Any]:
    """Return everything the table's files and the report are made of."""
    cells = cells_of(scores, lambda done: progress("intervals", done, len(scores)))
    stated = state_run(scores, recipe, seeds)
    full = next((own for row, own in scores.items() if row.name == ALL_CUES), None)
    confusion = _classified(full) if full else None
    return {
        "caption": caption(stated),
        "stated": stated,
        "rows": table_json(cells),
        "frame": table_frame(cells).to_dict("list"),
        "confusion": None if confusion is None else [side.tolist() for side in confusion],
        "curves": {
            row.name: [points.precision.tolist(), points.recall.tolist()]
            for row, own in scores.items()
            if own[0].curve is not None and len(points := own[0].curve.dropna())
        },
    }


def _classified(seeds: list[Scores]) -> tuple[Any, Any] | None:
    """Return true and predicted types over all random seeds, one after the other (Fig. 7)."""
    asked = pd.concat([one.table[one.table.predicted != ""] for one in seeds])
    return (asked.type, asked.predicted) if len(asked) else None
