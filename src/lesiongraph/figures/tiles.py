"""One lesion as a small picture: window, field of view, box, caption. Every panel is made of these."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from lesiongraph.figures.theme import BOX_COLOUR
from lesiongraph.lesion import BoundingBox

VIEW_MM = 110.0  # one field of view for all tiles: sizes can be compared by eye
TILE_IN = 1.12
CAPTION_IN = 0.33  # two lines under a tile
_MARGIN_MM = 20.0  # a lesion too large for the common view gets at least this much round its box
_SCALE_BAR_MM = 20.0
_LUNG_BELOW_HU = -350.0
_BONE_ABOVE_HU = 250.0

TILE_LEGEND = (
    "Every tile shows 110 mm, more only where a lesion is larger; the white bar is 20 mm; green corners are "
    "the lesion's bounding box; black is outside the patch. Windows (level/width in HU): soft tissue 50/450, "
    "lung −600/1500, bone 300/1500."
)


@dataclass(frozen=True)
class Window:
    """A display window with its name."""

    name: str
    low_hu: float
    high_hu: float


SOFT_TISSUE = Window("soft tissue", -175, 275)
LUNG = Window("lung", -1350, 150)
BONE = Window("bone", -450, 1050)


@dataclass(frozen=True)
class Tile:
    """The key slice of a lesion's patch, its box, its type where known, a caption of up to two lines."""

    hu: np.ndarray  # (h, w) int16, canonical view
    box: BoundingBox
    caption: str = ""
    lesion_type: str = ""
    mm_per_px: float = 1.0


def window_for(hu: np.ndarray, box: BoundingBox, lesion_type: str = "") -> Window:
    """Return the window a radiologist would choose: by the lesion's type, else by what surrounds the box."""
    if lesion_type:
        return {"lung": LUNG, "bone": BONE}.get(lesion_type, SOFT_TISSUE)
    y0, y1 = max(0, math.floor(box.y0)), max(1, math.ceil(box.y1) + 1)
    x0, x1 = max(0, math.floor(box.x0)), max(1, math.ceil(box.x1) + 1)
    region = hu[y0:y1, x0:x1]
    if region.size == 0:
        return SOFT_TISSUE
    border = np.concatenate([region[0], region[-1], region[:, 0], region[:, -1]])
    if np.median(border) < _LUNG_BELOW_HU:
        return LUNG
    return BONE if np.median(region) > _BONE_ABOVE_HU else SOFT_TISSUE


def view_of(tile: Tile) -> float:
    """Return the side of a tile's field of view in mm."""
    return max(VIEW_MM, max(tile.box.width_px, tile.box.height_px) * tile.mm_per_px + _MARGIN_MM)


def draw_tile(axes: Axes, tile: Tile, *, frame: str = "", dashed: bool = True) -> None:
    """Draw a lesion with its box; `frame` colours a border round the whole tile."""
    window = window_for(tile.hu, tile.box, tile.lesion_type)
    axes.imshow(tile.hu, cmap="gray", vmin=window.low_hu, vmax=window.high_hu, interpolation="bilinear")
    half = view_of(tile) / tile.mm_per_px / 2
    x, y = tile.box.centre
    axes.set_xlim(x - half, x + half)
    axes.set_ylim(y + half, y - half)
    axes.set_facecolor("black")
    draw_corners(axes, tile.box)
    _overlay(axes, window.name, _SCALE_BAR_MM / view_of(tile))
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(bool(frame))
        if frame:
            spine.set(color=frame, linewidth=2.4, linestyle=(0, (2.2, 1.2)) if dashed else "-")
    if tile.caption:
        axes.set_xlabel(tile.caption, fontsize=6.8, labelpad=2.5, linespacing=1.1)


def draw_corners(axes: Axes, box: BoundingBox, width: float = 0.9) -> None:
    """Draw the four corners of a box: whole lines would hide a small lesion's border."""
    arm_x, arm_y = 0.28 * box.width_px, 0.28 * box.height_px
    xs: list[float] = []
    ys: list[float] = []
    for x, dx in ((box.x0, arm_x), (box.x1, -arm_x)):
        for y, dy in ((box.y0, arm_y), (box.y1, -arm_y)):
            xs += [x + dx, x, x, math.nan]
            ys += [y, y, y + dy, math.nan]
    axes.add_line(Line2D(xs, ys, color=BOX_COLOUR, linewidth=width, gid="box"))


def _overlay(axes: Axes, window: str, bar: float) -> None:
    """Write the window's name and a scale bar into the picture, as viewing stations do."""
    style: dict[str, Any] = {"transform": axes.transAxes, "color": "white", "zorder": 5}
    outline = [withStroke(linewidth=1.4, foreground="black")]  # readable on bright tissue too
    axes.text(0.03, 0.97, window, va="top", fontsize=5.5, path_effects=outline, gid="window", **style)
    axes.add_line(Line2D([0.96 - bar, 0.96], [0.045, 0.045], linewidth=1.3, gid="scale bar", **style))
