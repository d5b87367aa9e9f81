"""The report's section on `reproduce`: Table 1 in full beside the paper's, with Fig. 7 and Fig. 8."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from lesiongraph.evaluation import TABLE1_FIGURES
from lesiongraph.figures import Picture, Section, Table, confusion_figure, curve_figure
from lesiongraph.pipeline.paper_table1 import PAPER_TABLE1
from lesiongraph.pipeline.report_context import ReportContext
from lesiongraph.pipeline.reproduce import TABLE, confusion_of, curves_of
from lesiongraph.pipeline.reproduce_cells import HEADS, MATCHING
from lesiongraph.pipeline.reproduce_table import (
    GAPS,
    best_cells,
    cell_text,
    gap_text,
    has_gaps,
    interval_text,
    shown_figures,
)
from lesiongraph.workspace import Workspace


def tables(workspace: Workspace) -> list[str]:
    """Return the stages that keep a finished table."""
    return [name for name in workspace.stage_names() if name.startswith(TABLE)]


def reproduced(context: ReportContext) -> Section:
    """Every table that `reproduce` has finished in this workspace, one a preset."""
    section = Section("", "Rows in italics are the paper's, on DeepLesion: a scale, not a comparison.")
    for stage in tables(context.workspace):
        table = context.workspace.open(stage, "reproduce").read_json("table")
        name = stage.removeprefix(TABLE)
        section.text += f"\n{table['caption']}".replace("in bold", "with a star")
        section.tables += _tables(table, name)
        section.figures += _figures(table, name)
    return section


def _tables(table: dict[str, Any], preset: str) -> list[Table]:
    names, best = shown_figures(table["rows"]), best_cells(table["rows"])
    rows: list[dict[str, str]] = []
    paper = []
    for line in table["rows"]:
        cells = {
            HEADS[name]: cell_text(line["figures"][name]) + (" *" if (line["row"], name) in best else "")
            for name in names
        }
        rows.append({"feature": line["title"], **cells})
        theirs = dict(zip(TABLE1_FIGURES, PAPER_TABLE1[line["row"]], strict=True))
        paper.append(len(rows))
        rows.append({"feature": "paper", **{HEADS[name]: _text(theirs.get(name)) for name in names}})
    tables = [
        Table(f"Table 1, preset {preset}", pd.DataFrame(rows), reference=frozenset(paper)),
        Table(
            f"95 % intervals over patients, preset {preset}", _of_lesions(table, interval_text), folded=True
        ),
    ]
    if has_gaps(table["rows"]):
        tables.append(Table(f"Preset {preset}. {GAPS}", _of_lesions(table, gap_text), folded=True))
    return tables


def _of_lesions(table: dict[str, Any], text: Callable[[dict[str, Any] | None], str]) -> pd.DataFrame:
    """Return one text a row and figure, of the figures that are counted lesion by lesion."""
    names = [name for name in shown_figures(table["rows"]) if name not in MATCHING]
    return pd.DataFrame(
        {"feature": line["title"], **{HEADS[name]: text(line["figures"][name]) for name in names}}
        for line in table["rows"]
    )


def _text(figure: tuple[float, float | None] | None) -> str:
    if figure is None:
        return ""
    mean, sd = figure
    return f"{mean:.1f}" if sd is None else f"{mean:.1f} ± {sd:.1f}"


def _figures(table: dict[str, Any], preset: str) -> list[Picture]:
    figures = []
    if table["confusion"]:
        caption = (
            f"Types by the softmax classifier on the embedding of all cues, preset {preset}, summed over "
            "the random seeds (Fig. 7)"
        )
        figures.append(Picture(caption, confusion_figure(*confusion_of(table))))
    if table["curves"]:
        curves = curves_of(table)
        areas = ", ".join(f"{name} {area:.3f}" for name, (_, _, area) in curves.items())
        caption = (
            f"Matching, preset {preset} (Fig. 8): the curve of random seed 0, the mean area over the seeds"
        )
        figures.append(Picture(caption, curve_figure(curves), f"Areas: {areas}"))
    return figures
