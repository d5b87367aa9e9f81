"""The report's section on `reproduce`: Table 1 in full beside the paper's, with Fig. 7 and Fig. 8."""

from __future__ import annotations

from typing import Any

import pandas as pd

from lesiongraph.figures import Picture, Section, Table, confusion_figure, curve_figure
from lesiongraph.pipeline.report_context import ReportContext
from lesiongraph.pipeline.reproduce import TABLE, confusion_of, curves_of
from lesiongraph.pipeline.reproduce_table import (
    HEADS,
    MATCHING,
    best_cells,
    cell_text,
    interval_text,
    shown_figures,
)

# The paper's figures, DeepLesion's test set of 4,927 lesions, in the order of the table's rows.
PAPER_TABLE1 = {
    "imagenet": ("15.2", "9.6", "6.9", "58.7", "35.8", "86.2"),
    "location-feature": ("22.4", "2.5", "8.8", "51.6", "32.6", "59.7"),
    "type": ("8.8 ± 0.2", "10.8 ± 0.2", "5.7 ± 0.1", "84.7 ± 2.8", "71.5 ± 1.7", "89.5 ± 0.3"),
    "location": ("13.0 ± 0.1", "6.5 ± 0.1", "6.2 ± 0.1", "61.1 ± 4.4", "39.5 ± 4.3", "87.8 ± 0.5"),
    "type+location": ("8.7 ± 0.2", "7.2 ± 0.1", "6.0 ± 0.1", "81.3 ± 4.7", "68.0 ± 2.4", "89.9 ± 0.3"),
    "all": ("8.5 ± 0.1", "7.2 ± 0.0", "5.1 ± 0.0", "86.0 ± 3.9", "72.4 ± 4.6", "90.5 ± 0.2"),
    "conv5": ("11.5 ± 0.2", "7.1 ± 0.1", "6.3 ± 0.0", "79.8 ± 0.6", "64.8 ± 1.2", "86.6 ± 0.4"),
    "conv5+conv4": ("9.7 ± 0.2", "7.0 ± 0.0", "5.4 ± 0.1", "82.4 ± 3.3", "67.9 ± 2.2", "89.0 ± 0.6"),
    "no-refinement": ("8.7 ± 0.2", "7.3 ± 0.0", "5.2 ± 0.1", "85.4 ± 2.8", "69.8 ± 2.0", "90.2 ± 0.2"),
}


def reproduced(context: ReportContext) -> Section:
    """Every table that `reproduce` has finished in this workspace, one a preset."""
    stages = [name for name in context.workspace.stage_names() if name.startswith(TABLE)]
    if not stages:
        return Section("", "", missing="no row of Table 1 was trained for it (run `lesiongraph reproduce`)")
    section = Section("", "Rows in italics are the paper's, on DeepLesion: a scale, not a comparison.")
    for stage in stages:
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
        own = dict(zip(list(HEADS.values())[:6], PAPER_TABLE1[line["row"]], strict=True))
        paper.append(len(rows))
        rows.append({"feature": "paper", **{HEADS[name]: own.get(HEADS[name], "") for name in names}})
    intervals = [
        {
            "feature": line["title"],
            **{HEADS[name]: interval_text(line["figures"][name]) for name in names if name not in MATCHING},
        }
        for line in table["rows"]
    ]
    return [
        Table(f"Table 1, preset {preset}", pd.DataFrame(rows), reference=frozenset(paper)),
        Table(f"95 % intervals over patients, preset {preset}", pd.DataFrame(intervals), folded=True),
    ]


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
