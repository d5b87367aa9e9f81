"""The cells of Table 1 → Markdown, CSV and JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pandas as pd

from lesiongraph.pipeline.reproduce_cells import HEADS, LOWER_IS_BETTER, MATCHING, Cells
from lesiongraph.pipeline.reproduce_rows import ALL_CUES, TableRow

INTERVALS = "95 % intervals of the means by resampling patients, the trained networks held fixed:"
GAPS = (
    "Difference from the row of all cues, with its 95 % interval on the same resamples of patients; "
    "● where the interval leaves zero out (one in twenty would by chance):"
)


def table_frame(rows: dict[TableRow, Cells]) -> pd.DataFrame:
    """Return the table as plain numbers: one line a row, mean, sd, low and high of each figure (CSV)."""
    lines = []
    for row, cells in rows.items():
        line: dict[str, Any] = {"row": row.name, "title": row.title}
        for name, cell in cells.items():
            low, high = (cell.interval if cell else None) or (None, None)
            mean, sd = (None, None) if cell is None else (cell.mean, cell.sd)
            parts = {"mean": mean, "sd": sd, "low": low, "high": high}
            line |= {f"{name}_{part}": value for part, value in parts.items()}
        line["random_seeds"] = max((len(cell.values) for cell in cells.values() if cell), default=0)
        lines.append(line)
    return pd.DataFrame(lines)


def table_json(rows: dict[TableRow, Cells]) -> list[dict[str, Any]]:
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
    if cell is None or cell["interval"] is None:
        return "–"
    low, high = cell["interval"]
    return f"{low:.1f} – {high:.1f}"


def gap_text(cell: dict[str, Any] | None) -> str:
    """Return the difference from the full row with its interval, marked where that leaves zero out."""
    if cell is None or cell["gap"] is None:
        return "–"
    gap, low, high = cell["gap"]
    return f"{gap:+.1f} [{low:+.1f}, {high:+.1f}]" + (" ●" if low > 0 or high < 0 else "")


def has_gaps(table: list[dict[str, Any]]) -> bool:
    """Return whether the table has the full row and another one scored on the same lesions."""
    return any(cell["gap"] for line in table for cell in line["figures"].values() if cell)


def shown_figures(table: list[dict[str, Any]]) -> list[str]:
    """Return the figures that at least one row has."""
    return [name for name in HEADS if any(line["figures"][name] for line in table)]


def markdown(table: list[dict[str, Any]], caption: str) -> str:
    """Return the table as Markdown: caption, means, intervals, differences from the full row."""
    names, best = shown_figures(table), best_cells(table)
    of_lesions = [name for name in names if name not in MATCHING]

    def cells(shown: list[str], text: Callable[[dict[str, Any], str], str]) -> list[list[str]]:
        return [[line["title"], *(text(line, name) for name in shown)] for line in table]

    def mean(line: dict[str, Any], name: str) -> str:
        text = cell_text(line["figures"][name])
        return f"**{text}**" if (line["row"], name) in best else text

    intervals = cells(of_lesions, lambda line, name: interval_text(line["figures"][name]))
    parts = ["# Table 1", "", caption, "", *_lines(names, cells(names, mean)), "", INTERVALS, ""]
    parts += _lines(of_lesions, intervals)
    if has_gaps(table):
        gaps = cells(of_lesions, lambda line, name: gap_text(line["figures"][name]))
        gaps = [row for row, line in zip(gaps, table, strict=True) if line["row"] != ALL_CUES]
        parts += ["", GAPS, "", *_lines(of_lesions, gaps)]
    return "\n".join(parts)


def _lines(names: list[str], rows: list[list[str]]) -> list[str]:
    head = ["feature", *(HEADS[name] for name in names)]
    return ["| " + " | ".join(cells) + " |" for cells in (head, ["---", *("---:" for _ in names)], *rows)]
