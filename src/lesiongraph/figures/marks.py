"""Marks on their whole slices, with a ruler beside each, so that a reader can check what was mined."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from lesiongraph.figures.theme import (
    BOX_COLOUR,
    GUIDE_COLOUR,
    LONG_AXIS_COLOUR,
    SHORT_AXIS_COLOUR,
    in_house_style,
    new_canvas,
    new_figure,
    place,
    write_at,
)
from lesiongraph.figures.tiles import draw_corners, window_for
from lesiongraph.lesion import Axis, BoundingBox

_PICTURE_IN = 1.95
_RULER_IN = 0.22
_HEAD_IN = 0.2
_FOOT_IN = 0.56
_SMALLEST_ZOOM_MM = 40.0
BADGE_COLOUR = "#F0E442"
_AXIS_COLOURS = (LONG_AXIS_COLOUR, SHORT_AXIS_COLOUR)


@dataclass(frozen=True)
class MarkOnSlice:
    """A mark as the radiologist drew it, on its whole slice, canonical view."""

    hu: np.ndarray  # (rows, cols)
    box: BoundingBox
    axes: tuple[Axis, ...]  # long axis first; empty where only a box is known
    title: str
    subtitle: str = ""  # up to two lines
    spacing_mm: tuple[float, float] = (math.nan, math.nan)  # y, x; NaN unknown
    lesion_type: str = ""
    badge: str = ""  # what sets the mark apart, written into the picture


@in_house_style
def marks_figure(marks: Sequence[MarkOnSlice], columns: int = 3) -> Figure:
    """Draw each mark on its slice and, beside it, close up with a ruler; long axis red, short yellow."""
    pair = 2 * _PICTURE_IN + _RULER_IN + 0.2
    step = _HEAD_IN + _PICTURE_IN + _FOOT_IN
    columns = min(columns, max(1, len(marks)))
    figure = new_canvas(columns * pair, -(-len(marks) // columns) * step)
    for number, mark in enumerate(marks):
        left, top = (number % columns) * pair + 0.05, (number // columns) * step
        write_at(figure, left, top + 0.05, mark.title, va="top", fontsize=8, fontweight="bold")
        top += _HEAD_IN
        _whole(place(figure, left, top, _PICTURE_IN, _PICTURE_IN), mark)
        left_zoom = left + _PICTURE_IN + _RULER_IN
        _close_up(place(figure, left_zoom, top, _PICTURE_IN, _PICTURE_IN), mark)
        write_at(figure, left, top + _PICTURE_IN + 0.05, mark.subtitle, va="top", fontsize=7, linespacing=1.2)
    return figure


@in_house_style
def located_figure(mark: MarkOnSlice, body: BoundingBox, location: tuple[float, float, float]) -> Figure:
    """Draw one lesion with its axes, box, centre and relative location in the body's box (Fig. 9)."""
    figure = new_figure(5.2, 4.8)
    axes = figure.subplots()
    _picture(axes, mark)
    axes.add_patch(_rectangle(body, GUIDE_COLOUR, 0.9, ":"))
    _lines(axes, mark, 1.1)
    draw_corners(axes, mark.box, 1.1)
    x, y = mark.box.centre
    style: dict[str, Any] = {"color": GUIDE_COLOUR, "linewidth": 1.1, "gid": "guide"}
    axes.plot([body.x0, x], [y, y], **style)
    axes.plot([x, x], [body.y0, y], **style)
    label: dict[str, Any] = {
        "color": GUIDE_COLOUR, "fontsize": 8, "fontweight": "bold",
        "path_effects": [withStroke(linewidth=2.5, foreground="black")],
    }  # fmt: skip
    axes.text((body.x0 + x) / 2, y, f"x = {location[0]:.2f}", ha="center", va="bottom", **label)
    axes.text(x, (body.y0 + y) / 2, f" y = {location[1]:.2f}", va="center", **label)
    axes.plot(x, y, "o", color="#F0E442", markersize=3.5)
    axes.set_title(mark.title)
    axes.set_xlabel(f"x = {location[0]:.2f}   y = {location[1]:.2f}   z = {location[2]:.2f}\n{mark.subtitle}")
    return figure


def _whole(axes: Axes, mark: MarkOnSlice) -> None:
    window = _picture(axes, mark)
    _lines(axes, mark, 0.7)
    draw_corners(axes, mark.box.padded(2), 0.8)
    style: dict[str, Any] = {
        "transform": axes.transAxes, "color": "white", "fontsize": 6,
        "path_effects": [withStroke(linewidth=1.4, foreground="black")],
    }  # fmt: skip
    axes.text(0.02, 0.98, window, va="top", **style)
    if mark.badge:
        axes.text(0.98, 0.02, mark.badge, ha="right", va="bottom", **{**style, "color": BADGE_COLOUR})
    for x, side in ((0.02, "R"), (0.95, "L")):
        axes.text(x, 0.5, side, va="center", **style)
    axes.set_anchor("N")


def _close_up(axes: Axes, mark: MarkOnSlice) -> None:
    """Draw the mark close up on a frame counted in mm (px where the spacing is unknown)."""
    y_mm, x_mm = _usable(mark.spacing_mm)
    unit = "mm" if all(math.isfinite(s) and s > 0 for s in mark.spacing_mm) else "px"
    window = window_for(mark.hu, mark.box, mark.lesion_type)
    rows, columns = mark.hu.shape
    x, y = mark.box.centre
    extent = [(-0.5 - x) * x_mm, (columns - 0.5 - x) * x_mm, (rows - 0.5 - y) * y_mm, (-0.5 - y) * y_mm]
    axes.imshow(
        mark.hu, cmap="gray", vmin=window.low_hu, vmax=window.high_hu, interpolation="bilinear",
        extent=(extent[0], extent[1], extent[2], extent[3]),
    )  # fmt: skip
    for line, colour in zip(mark.axes, _AXIS_COLOURS, strict=False):
        axes.plot(
            [(line.x0 - x) * x_mm, (line.x1 - x) * x_mm],
            [(line.y0 - y) * y_mm, (line.y1 - y) * y_mm],
            color=colour, linewidth=0.9, marker="+", markersize=5, markeredgewidth=0.9, gid="axis",
        )  # fmt: skip
    box = BoundingBox(
        *((mark.box.x0 - x) * x_mm, (mark.box.y0 - y) * y_mm),
        *((mark.box.x1 - x) * x_mm, (mark.box.y1 - y) * y_mm),
    )
    axes.add_patch(_rectangle(box, BOX_COLOUR, 0.6, "-"))
    half = max(_SMALLEST_ZOOM_MM, 1.35 * max(box.width_px, box.height_px)) / 2
    axes.set_xlim(-half, half)
    axes.set_ylim(half, -half)
    axes.set_facecolor("black")
    _ruler(axes, half, unit)


def _ruler(axes: Axes, half: float, unit: str) -> None:
    """Count tens along the lower and the left edge, from the lower left corner."""
    step = 10 if half <= 30 else 20 if half <= 70 else 50
    if half > 250:  # longer than any lesion: a mark that was rejected
        step = 200 * math.ceil(half / 1000)
    counts = np.arange(0, 2 * half + 1e-6, step)
    names = [f"{count:.0f}" for count in counts]
    axes.set_xticks(counts - half, [*names[:-1], f"{names[-1]} {unit}"], fontsize=6)
    axes.set_yticks(half - counts, names, fontsize=6)
    axes.tick_params(length=2.5, width=0.6, pad=1.5)


def _picture(axes: Axes, mark: MarkOnSlice) -> str:
    """Show the whole slice; return the name of its window."""
    y_mm, x_mm = _usable(mark.spacing_mm)
    window = window_for(mark.hu, mark.box, mark.lesion_type)
    axes.imshow(mark.hu, cmap="gray", vmin=window.low_hu, vmax=window.high_hu, aspect=y_mm / x_mm)
    axes.set_xlim(-0.5, mark.hu.shape[1] - 0.5)
    axes.set_ylim(mark.hu.shape[0] - 0.5, -0.5)
    axes.set_facecolor("black")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    return window.name


def _lines(axes: Axes, mark: MarkOnSlice, width: float) -> None:
    for line, colour in zip(mark.axes, _AXIS_COLOURS, strict=False):
        axes.plot([line.x0, line.x1], [line.y0, line.y1], color=colour, linewidth=width, gid="axis")


def _rectangle(box: BoundingBox, colour: str, width: float, style: str) -> Rectangle:
    return Rectangle(
        (box.x0, box.y0), box.width_px, box.height_px, fill=False, edgecolor=colour, lw=width, ls=style
    )


def _usable(spacing_mm: tuple[float, float]) -> tuple[float, float]:
    """Spacing (y, x) for drawing: pixels count as 1 where a length is unknown."""
    known = all(math.isfinite(value) and value > 0 for value in spacing_mm)
    return spacing_mm if known else (1.0, 1.0)
