"""What a figure holds, counted by its artists: pixels would change with every font."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from lesiongraph.figures import Tile
from lesiongraph.lesion import BoundingBox


def tile(lesion_type: str = "", caption: str = "", side_px: float = 20.0, fill_hu: int = 40) -> Tile:
    hu = np.full((120, 140), fill_hu, np.int16)
    x, y = 70.0, 60.0
    box = BoundingBox(x - side_px / 2, y - side_px / 2, x + side_px / 2, y + side_px / 2)
    return Tile(hu, box, caption, lesion_type)


def pictures(figure: Figure) -> list[Axes]:
    """Axes that show an image."""
    return [axes for axes in figure.axes if axes.images]


def count(figure: Figure, gid: str) -> int:
    """How many artists carry that name."""
    return sum(artist.get_gid() == gid for axes in figure.axes for artist in axes.get_children())


def frame_of(axes: Axes) -> str:
    """Colour of the frame round a picture; "" without one."""
    spines = [spine for spine in axes.spines.values() if spine.get_visible()]
    return to_hex(spines[0].get_edgecolor()).upper() if spines else ""


def texts(figure: Figure) -> list[str]:
    """All words in the figure."""
    inside = [text.get_text() for axes in figure.axes for text in axes.texts]
    labels = [label for axes in figure.axes for label in (axes.get_title(), axes.get_xlabel())]
    return [text.get_text() for text in figure.texts] + inside + labels
