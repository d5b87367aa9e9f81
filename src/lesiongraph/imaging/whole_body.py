"""The box round the whole body, also where the field of view cuts it (docs/body-mask.md)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lesiongraph.imaging.body import FLAG_CUT, BodyMask
from lesiongraph.imaging.body_evidence import gather_evidence
from lesiongraph.imaging.body_outline import USUAL, UsualSize, fit_outline
from lesiongraph.imaging.place import BodyBox, relative_xy_error, seen_box

FLAG_UNSURE = "cut by the field of view: x or y uncertain"
UNSURE_XY = 0.1  # standard error of x or y; about what the seen box errs by in a zoomed view
USUAL_VIEW_MM = 400.0  # a usual adult field of view, where the spacing is unknown


def whole_body_box(
    hu: NDArray[np.integer],
    body: BodyMask,
    spacing_mm: tuple[float, float],
    usual: tuple[UsualSize, ...] = USUAL,
) -> BodyBox:
    """Return the box round the whole body: seen edges as they are, cut ones estimated.

    An estimated edge is never nearer than what is seen. Where the view cuts nothing, or shows no body, this
    is the box round the mask.

    Parameters
    ----------
    hu : (rows, cols) int16, HU
        Canonical view: rows to the patient's back.
    body : BodyMask
        Of this slice.
    spacing_mm : (y, x)
        Where it is not positive and finite only the body's usual proportions are used, not its size.
    usual : tuple of UsualSize
        What is known of bodies before looking.
    """
    seen = seen_box(body.mask)
    if body.flag != FLAG_CUT:
        return seen
    known = all(math.isfinite(value) and value > 0 for value in spacing_mm)
    assumed_mm = USUAL_VIEW_MM / max(hu.shape)
    y_mm, x_mm = spacing_mm if known else (assumed_mm, assumed_mm)
    evidence = gather_evidence(hu, body.mask, (y_mm, x_mm))
    outline = fit_outline(evidence, usual, scale_known=known)
    pixel_mm = np.array([x_mm, y_mm, x_mm, y_mm])
    edges = outline.box / pixel_mm - 0.5  # from the image's corner to px centres
    own = np.array([seen.x0, seen.y0, seen.x1, seen.y1])
    farther = np.concatenate([np.minimum(edges, own)[:2], np.maximum(edges, own)[2:]])
    x0, y0, x1, y1 = np.where(evidence.cut, farther, own).tolist()
    left, top, right, bottom = np.where(evidence.cut, outline.error / pixel_mm, 0.0).tolist()
    sees = [not cut for cut in evidence.cut.tolist()]
    return BodyBox(x0, y0, x1, y1, (sees[0], sees[1], sees[2], sees[3]), (left, top, right, bottom))


def place_flag(body: BodyMask, whole: BodyBox, centre_xy_px: tuple[float, float]) -> str:
    """Return what is to be said of a point's x and y: the mask's flag, or `FLAG_UNSURE`.

    Parameters
    ----------
    body : BodyMask
    whole : BodyBox
        Of the same slice, by `whole_body_box`.
    centre_xy_px : (x, y)
    """
    unsure = max(relative_xy_error(whole, centre_xy_px)) > UNSURE_XY
    return FLAG_UNSURE if unsure else body.flag
