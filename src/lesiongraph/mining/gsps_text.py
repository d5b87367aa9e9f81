"""Text objects of a presentation state → lesion types and sizes, each given to what it is written beside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset

from lesiongraph.mining import dicom_values as values
from lesiongraph.mining.gsps_units import DisplayedArea, UnitsError
from lesiongraph.mining.sites import type_of_text
from lesiongraph.mining.stated_size import fits, sizes_in

TEXT_REACH_PX = 80.0  # ours: a text further than this from the lines belongs to something else


@dataclass(frozen=True)
class Words:
    """A text that names a lesion type or states a size, and where it stands (array coordinates)."""

    type: str
    sizes_mm: tuple[float, ...]
    x: float
    y: float
    annotation: int


@dataclass(frozen=True)
class Drawn:
    """What a text may be about: a pair of lines or a lone line."""

    points: np.ndarray  # (N, 2) array coordinates
    lengths_mm: tuple[float, ...]  # NaN where the spacing is unknown
    annotations: tuple[int, ...]


def words_of(annotation: Dataset, number: int, area: DisplayedArea) -> Iterator[Words]:
    """Give the texts of one annotation that say something about a lesion; one that has no place is at NaN."""
    for item in annotation.get("TextObjectSequence") or []:
        text = values.text(item, "UnformattedTextValue")
        name, sizes_mm = type_of_text(text), sizes_in(text)
        if name or sizes_mm:
            x, y = _place(item, area)
            yield Words(name, sizes_mm, x, y, number)


def _place(item: Dataset, area: DisplayedArea) -> tuple[float, float]:
    anchor = values.numbers(item, "AnchorPoint", 2)
    units = values.text(item, "AnchorPointAnnotationUnits")
    if not np.isfinite(anchor).all():
        corner = values.numbers(item, "BoundingBoxTopLeftHandCorner", 2)
        opposite = values.numbers(item, "BoundingBoxBottomRightHandCorner", 2)
        anchor = ((corner[0] + opposite[0]) / 2, (corner[1] + opposite[1]) / 2)
        units = values.text(item, "BoundingBoxAnnotationUnits")
    try:
        x, y = area.to_array(np.array([anchor]), units)[0].tolist()
    except UnitsError:
        return np.nan, np.nan
    return x, y


def target_of(words: Words, drawn: Sequence[Drawn]) -> int | None:
    """Return which drawing a text is about: of its own annotation if there is one, else one near by.

    Among these a size goes to the nearest that it fits, if there is one; anything else to the nearest.
    """
    reach = {i: distance_px(one.points, words) for i, one in enumerate(drawn)}
    own = [i for i in reach if words.annotation in drawn[i].annotations]
    near = own or [i for i in reach if reach[i] <= TEXT_REACH_PX]
    fitting = [i for i in near if words.sizes_mm and fits(words.sizes_mm, drawn[i].lengths_mm)]
    return min(fitting or near, key=lambda i: (reach[i], i), default=None)


def distance_px(points: np.ndarray, words: Words) -> float:
    """Return the distance of a text from the box round points (N, 2); 0 inside or where it has no place."""
    (x0, y0), (x1, y1) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    dx = max(x0 - words.x, 0.0, words.x - x1)
    dy = max(y0 - words.y, 0.0, words.y - y1)
    distance = float(np.hypot(dx, dy))
    return distance if np.isfinite(distance) else 0.0
