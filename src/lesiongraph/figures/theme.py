"""The house style: colours, type sizes, how a figure becomes a picture in a page."""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lesiongraph.lesion import LESION_TYPES

P = ParamSpec("P")
R = TypeVar("R")

# Okabe and Ito's palette: told apart by colour-blind readers too; grey for lesions without a type.
TYPE_COLOURS = dict(
    zip(
        LESION_TYPES,
        ("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#CC79A7", "#B8A500", "#D55E00"),
        strict=True,
    )
)
UNTYPED_COLOUR = "#A8A8A8"
WRONG_COLOUR = "#E3172D"
OTHER_PATIENT_COLOUR = "#1F77FF"
BOX_COLOUR = "#39D353"
LONG_AXIS_COLOUR = "#FF4D4D"
SHORT_AXIS_COLOUR = "#FFC400"
GUIDE_COLOUR = "#56B4E9"

_DPI = 150
_STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "figure.dpi": _DPI,
    "savefig.dpi": _DPI,
    "legend.frameon": False,
    "legend.fontsize": 7,
}


def in_house_style(draw: Callable[P, R]) -> Callable[P, R]:
    """Run a drawing function under the house style, whatever style the caller has set."""

    @functools.wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return styled


def new_figure(width_in: float, height_in: float) -> Figure:
    """Return an empty figure that lays its axes out itself; it belongs to no window system."""
    return Figure(figsize=(width_in, height_in), layout="constrained")


def new_canvas(width_in: float, height_in: float) -> Figure:
    """Return an empty figure on which `place` puts axes by hand: quick with dozens of small pictures."""
    return Figure(figsize=(width_in, height_in))


def place(figure: Figure, left_in: float, top_in: float, width_in: float, height_in: float) -> Axes:
    """Add axes at a place in inches, measured from the figure's left and top edges."""
    width, height = figure.get_size_inches()
    return figure.add_axes(
        (left_in / width, 1 - (top_in + height_in) / height, width_in / width, height_in / height)
    )


def write_at(figure: Figure, left_in: float, top_in: float, text: str, **style: Any) -> None:
    """Write text at a place in inches, measured from the figure's left and top edges."""
    width, height = figure.get_size_inches()
    figure.text(left_in / width, 1 - top_in / height, text, **style)


def type_colour(lesion_type: str) -> str:
    """Return the colour of a lesion type, grey for an unknown one."""
    return TYPE_COLOURS.get(lesion_type, UNTYPED_COLOUR)


@in_house_style
def to_png(figure: Figure) -> bytes:
    """Render a figure as PNG, without the writer's name and address in its header."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def to_data_uri(png: bytes) -> str:
    """Return a PNG as text that an HTML page can hold."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
