"""Where in the patient a point is: x and y relative to the box round the body (Sec. 4.1, 8.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lesiongraph.imaging.view import Mask


@dataclass(frozen=True)
class BodyBox:
    """The box round the body on one slice.

    Attributes
    ----------
    x0, y0, x1, y1 : float
        Outer edges, px; an estimated edge may lie outside the image.
    seen : (4,) bool
        Which of x0, y0, x1, y1 the view shows; the others are estimated.
    error_px : (4,) float
        Standard error of each edge; 0 where it is seen.
    """

    x0: float
    y0: float
    x1: float
    y1: float
    seen: tuple[bool, bool, bool, bool] = (True, True, True, True)
    error_px: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


def seen_box(mask: Mask) -> BodyBox:
    """Return the box round what is seen of the body.

    Raises
    ------
    ValueError
        If the mask is empty.
    """
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not len(columns):
        raise ValueError("the body mask is empty; body_mask never returns such a one")
    return BodyBox(columns[0] - 0.5, rows[0] - 0.5, columns[-1] + 0.5, rows[-1] + 0.5)


def relative_xy(body: Mask | BodyBox, centre_xy_px: tuple[float, float]) -> tuple[float, float]:
    """Return where a point lies in the body's box, from (0, 0) to (1, 1).

    A point outside the box (a lesion in an arm beside the trunk) is set on the box's edge.

    Parameters
    ----------
    body : (rows, cols) bool, or BodyBox
        Canonical view, so that x grows to the patient's left and y to the back. A mask stands for the box
        round what is seen.
    centre_xy_px : (x, y)
        Centre of the lesion's box, in the same view.

    Raises
    ------
    ValueError
        If the mask is empty or the point not finite.

    Source
    ------
    Sec. 8.1: "the relative position (0–1) of the lesion center".
    """
    x, y = centre_xy_px
    if not (math.isfinite(x) and math.isfinite(y)):
        raise ValueError(f"centre: expected two finite numbers in px, got {centre_xy_px}")
    box = body if isinstance(body, BodyBox) else seen_box(body)
    x, y = (x - box.x0) / (box.x1 - box.x0), (y - box.y0) / (box.y1 - box.y0)
    return min(1.0, max(0.0, x)), min(1.0, max(0.0, y))


def relative_xy_error(box: BodyBox, centre_xy_px: tuple[float, float]) -> tuple[float, float]:
    """Return the standard error of `relative_xy` that comes from the estimated edges; 0 where both are seen.

    Parameters
    ----------
    box : BodyBox
    centre_xy_px : (x, y)
    """
    x, y = relative_xy(box, centre_xy_px)
    left, top, right, bottom = box.error_px
    return (
        math.hypot((1 - x) * left, x * right) / (box.x1 - box.x0),
        math.hypot((1 - y) * top, y * bottom) / (box.y1 - box.y0),
    )
