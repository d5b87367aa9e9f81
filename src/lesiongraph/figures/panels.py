"""Rows of lesions: training sequences (Fig. 3) and retrieval panels (Fig. 6, 12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from lesiongraph.figures.theme import (
    OTHER_PATIENT_COLOUR,
    WRONG_COLOUR,
    in_house_style,
    new_canvas,
    place,
    write_at,
)
from lesiongraph.figures.tiles import CAPTION_IN, TILE_IN, Tile, draw_tile

_GAP_IN = 0.08
_EDGE_IN = 0.06
_LINE_IN = 0.13
_SEQUENCE_TITLES = (
    "A\nanchor",
    "B\nlike A in all cues",
    "C\nother size",
    "D\nother location",
    "E\nother type",
)


@dataclass(frozen=True)
class Hit:
    """One retrieved lesion of a retrieval row."""

    tile: Tile
    wrong_type: bool = False
    other_patient: bool = False


@dataclass(frozen=True)
class RetrievalRow:
    """A query and what was retrieved for it, nearest first; `title` says which lesion asks."""

    query: Tile
    hits: Sequence[Hit]
    title: str = ""


@in_house_style
def sequence_figure(sequences: Sequence[Sequence[Tile]]) -> Figure:
    """Draw training sequences, one a row, columns A–E (Fig. 3)."""
    head, step = 3 * _LINE_IN, TILE_IN + CAPTION_IN + _GAP_IN
    figure = new_canvas(_left(5) + _EDGE_IN, head + len(sequences) * step)
    for column, title in enumerate(_SEQUENCE_TITLES):
        write_at(figure, _left(column) + TILE_IN / 2, 0.04, title, ha="center", va="top", fontsize=7)
    for row, sequence in enumerate(sequences):
        for column, tile in enumerate(sequence):
            axes = place(figure, _left(column), head + row * step, TILE_IN, TILE_IN)
            draw_tile(axes, tile)
    return figure


@in_house_style
def retrieval_figure(rows: Sequence[RetrievalRow], *, mark_other_patients: bool) -> Figure:
    """Draw queries and their nearest lesions (Fig. 6, 12).

    A red dashed frame is a hit of another type; a blue one, where asked for, a hit of another patient.
    """
    head, title = 1.4 * _LINE_IN, 1.3 * _LINE_IN
    step = title + TILE_IN + CAPTION_IN + _GAP_IN
    most = max((len(row.hits) for row in rows), default=0)
    figure = new_canvas(_left(1 + most) + 2 * _EDGE_IN, head + len(rows) * step)
    for column in range(1 + most):
        name = f"nearest {column}" if column else "query"
        write_at(figure, _column(column) + TILE_IN / 2, 0.04, name, ha="center", va="top", fontsize=7)
    for number, row in enumerate(rows):
        top = head + number * step
        write_at(figure, _EDGE_IN, top + 0.02, row.title, va="top", fontsize=6.5, fontweight="bold")
        draw_tile(
            place(figure, _column(0), top + title, TILE_IN, TILE_IN), row.query, frame="#222222", dashed=False
        )
        for column, hit in enumerate(row.hits, start=1):
            axes = place(figure, _column(column), top + title, TILE_IN, TILE_IN)
            draw_tile(axes, hit.tile, frame=_frame(hit, mark_other_patients))
    return figure


def _frame(hit: Hit, mark_other_patients: bool) -> str:
    if hit.wrong_type:
        return WRONG_COLOUR
    return OTHER_PATIENT_COLOUR if mark_other_patients and hit.other_patient else ""


def _left(column: int) -> float:
    """Left edge of a column in inches."""
    return _EDGE_IN + column * (TILE_IN + _GAP_IN)


def _column(column: int) -> float:
    """Left edge of a column of a retrieval panel: hits stand a little apart from their query."""
    return _left(column) + (_EDGE_IN if column else 0.0)
