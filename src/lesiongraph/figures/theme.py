"""Colours, windows and type sizes that all figures share."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lesiongraph.lesion import LESION_TYPES, BoundingBox

# Okabe and Ito's palette: told apart by colour-blind readers too; grey for lesions without a type.
TYPE_COLOURS = dict(
    zip(
        LESION_TYPES,
        ("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#CC79A7", "#B8A500", "#D55E00"),
        strict=True,
    )
)
UNTYPED_COLOUR = "#9A9A9A"
WRONG_COLOUR = "#D7263D"
OTHER_PATIENT_COLOUR = "#1F77FF"
BOX_COLOUR = "#39D353"

SOFT_TISSUE_WINDOW_HU = (-175.0, 275.0)
LUNG_WINDOW_HU = (-1350.0, 150.0)
BONE_WINDOW_HU = (-450.0, 1050.0)
_LUNG_BELOW_HU = -350.0
_BONE_ABOVE_HU = 250.0

_STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.dpi": 110,
    "savefig.bbox": "tight",
    "savefig.pad_inches": 0.05,
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Tile:
    """One lesion as a small picture: the key slice of its patch, its box, a caption."""

    hu: np.ndarray  # (h, w) int16, canonical view, 1 mm/px
    box: BoundingBox
    caption: str = ""


def new_figure(width_in: float, height_in: float) -> Figure:
    """Return an empty figure in the house style; it belongs to no window system."""
    with mpl.rc_context(_STYLE):
        return Figure(figsize=(width_in, height_in), layout="constrained")


def type_colour(lesion_type: str) -> str:
    """Return the colour of a lesion type, grey for an unknown one."""
    return TYPE_COLOURS.get(lesion_type, UNTYPED_COLOUR)


def window_for(hu: np.ndarray, box: BoundingBox) -> tuple[float, float]:
    """Return the window a radiologist would choose: lung, bone or soft tissue, by what surrounds the box."""
    y0, y1 = max(0, int(box.y0)), max(1, int(np.ceil(box.y1)) + 1)
    x0, x1 = max(0, int(box.x0)), max(1, int(np.ceil(box.x1)) + 1)
    region = hu[y0:y1, x0:x1]
    if region.size == 0:
        return SOFT_TISSUE_WINDOW_HU
    border = np.concatenate([region[0], region[-1], region[:, 0], region[:, -1]])
    if np.median(border) < _LUNG_BELOW_HU:
        return LUNG_WINDOW_HU
    return BONE_WINDOW_HU if np.median(region) > _BONE_ABOVE_HU else SOFT_TISSUE_WINDOW_HU


def draw_tile(axes: Axes, tile: Tile, *, frame: str = "", dashed: bool = True) -> None:
    """Draw a lesion with its box; `frame` colours a border round the whole tile."""
    low, high = window_for(tile.hu, tile.box)
    axes.imshow(tile.hu, cmap="gray", vmin=low, vmax=high, interpolation="bilinear")
    draw_box(axes, tile.box)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(bool(frame))
        if frame:
            spine.set(color=frame, linewidth=2.2, linestyle="--" if dashed else "-")
    if tile.caption:
        axes.set_xlabel(tile.caption, fontsize=6, labelpad=2)


def draw_box(axes: Axes, box: BoundingBox) -> None:
    """Draw a bounding box in array coordinates."""
    axes.add_patch(
        Rectangle(
            (box.x0, box.y0), box.width_px, box.height_px, fill=False, edgecolor=BOX_COLOUR, linewidth=0.9
        )
    )


def to_png(figure: Figure) -> bytes:
    """Render a figure as PNG."""
    buffer = io.BytesIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(buffer, format="png")
    return buffer.getvalue()


def to_data_uri(png: bytes) -> str:
    """Return a PNG as text that an HTML page can hold."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
