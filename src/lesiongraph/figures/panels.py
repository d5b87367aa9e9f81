"""Rows of lesions: training sequences (Fig. 3), retrieval panels (Fig. 6, 12), marks on their slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lesiongraph.figures.theme import (
    OTHER_PATIENT_COLOUR,
    WRONG_COLOUR,
    Tile,
    draw_box,
    draw_tile,
    new_figure,
    window_for,
)
from lesiongraph.lesion import Axis, BoundingBox

_TILE_IN = 1.05


@dataclass(frozen=True)
class Hit:
    """One retrieved lesion of a retrieval row."""

    tile: Tile
    wrong_type: bool = False
    other_patient: bool = False


@dataclass(frozen=True)
class RetrievalRow:
    """A query and what was retrieved for it, nearest first."""

    query: Tile
    hits: Sequence[Hit]


@dataclass(frozen=True)
class MarkOnSlice:
    """A mark as the radiologist drew it, on its whole slice (stored orientation)."""

    hu: np.ndarray  # (rows, cols)
    box: BoundingBox
    axes: tuple[Axis, ...]
    title: str
    subtitle: str = ""


def sequence_figure(sequences: Sequence[Sequence[Tile]]) -> Figure:
    """Draw training sequences, one a row, columns A–E (Fig. 3)."""
    figure = new_figure(5 * _TILE_IN + 0.4, len(sequences) * (_TILE_IN + 0.22) + 0.3)
    grid = figure.subplots(len(sequences), 5, squeeze=False)
    for row, sequence in zip(grid, sequences, strict=True):
        for axes, tile in zip(row, sequence, strict=True):
            draw_tile(axes, tile)
    for axes, title in zip(
        grid[0],
        ("A anchor", "B same type,\nlocation, size", "C other size", "D other location", "E other type"),
        strict=True,
    ):
        axes.set_title(title, fontsize=7)
    return figure


def retrieval_figure(rows: Sequence[RetrievalRow], *, mark_other_patients: bool) -> Figure:
    """Draw queries and their nearest lesions (Fig. 6, 12).

    A red dashed frame is a hit of another type; a blue one, where asked for, a hit of another patient.
    """
    width = 1 + max(len(row.hits) for row in rows)
    figure = new_figure(width * _TILE_IN + 0.2, len(rows) * (_TILE_IN + 0.22) + 0.25)
    grid = figure.subplots(len(rows), width, squeeze=False)
    for axes_row, row in zip(grid, rows, strict=True):
        draw_tile(axes_row[0], row.query, frame="#444444", dashed=False)
        for axes, hit in zip(axes_row[1:], row.hits, strict=False):
            frame = WRONG_COLOUR if hit.wrong_type else ""
            if not frame and mark_other_patients and hit.other_patient:
                frame = OTHER_PATIENT_COLOUR
            draw_tile(axes, hit.tile, frame=frame)
        for axes in axes_row[1 + len(row.hits) :]:
            axes.set_axis_off()
    grid[0][0].set_title("query", fontsize=7)
    for rank, axes in enumerate(grid[0][1:], start=1):
        axes.set_title(str(rank), fontsize=7)
    return figure


def marks_figure(marks: Sequence[MarkOnSlice], columns: int = 5) -> Figure:
    """Draw each mark on its slice: both axes in red, the box in green."""
    rows = -(-len(marks) // columns)
    figure = new_figure(columns * 2.1, rows * 2.35)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, mark in zip(grid, marks, strict=False):
        low, high = window_for(mark.hu, mark.box)
        axes.imshow(mark.hu, cmap="gray", vmin=low, vmax=high)
        for line in mark.axes:
            axes.plot([line.x0, line.x1], [line.y0, line.y1], color=WRONG_COLOUR, linewidth=0.8)
        draw_box(axes, mark.box)
        axes.set_title(mark.title, fontsize=6)
        axes.set_xlabel(mark.subtitle, fontsize=5.5)
        axes.set_xticks([])
        axes.set_yticks([])
    for axes in grid[len(marks) :]:
        axes.set_axis_off()
    return figure


def located_figure(
    hu: np.ndarray, mark: MarkOnSlice, body: BoundingBox, location: tuple[float, float, float]
) -> Figure:
    """Draw one lesion with its axes, box, centre and relative location (Fig. 9), canonical view."""
    figure = new_figure(4.6, 4.2)
    axes = figure.subplots()
    low, high = window_for(hu, mark.box)
    axes.imshow(hu, cmap="gray", vmin=low, vmax=high)
    axes.add_patch(
        Rectangle(
            (body.x0, body.y0), body.width_px, body.height_px, fill=False, color="#56B4E9", lw=0.8, ls=":"
        )
    )
    for line in mark.axes:
        axes.plot([line.x0, line.x1], [line.y0, line.y1], color=WRONG_COLOUR, linewidth=1.2)
    draw_box(axes, mark.box)
    x, y = mark.box.centre
    axes.plot([body.x0, x], [y, y], color="#56B4E9", linewidth=1.2)
    axes.plot([x, x], [body.y0, y], color="#56B4E9", linewidth=1.2)
    axes.plot(x, y, "o", color="#F0E442", markersize=4)
    axes.set_title(mark.title)
    axes.set_xlabel(f"x = {location[0]:.2f}   y = {location[1]:.2f}   z = {location[2]:.2f}\n{mark.subtitle}")
    axes.set_xticks([])
    axes.set_yticks([])
    return figure
