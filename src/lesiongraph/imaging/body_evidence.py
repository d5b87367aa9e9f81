"""What a view that cuts the body still tells of its whole outline: skin, cut, spine; all in mm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lesiongraph.imaging.place import seen_box
from lesiongraph.imaging.pockets import depth_in_hull
from lesiongraph.imaging.view import CoarseView, Mask, block_mean, coarse_view, grown

Points = NDArray[np.float64]

GRID_MM = 4.0
NEAR_CUT_PX = 2  # skin this near to the view's edge is bent by it
ON_HULL_PX = 1.0  # skin deeper in the convex hull than this is a groove, or a lung left out of the mask
SAME_SIDE_PX = 2.5  # the body is cut at a side if it meets the view's edge this near to its extreme
BONE_HU = (120.0, 370.0)  # from cancellous bone; more counts no more, so that metal and contrast do not win
SPINE_MM = 16.0  # radius over which bone is gathered: about a vertebra
GRAIN_MM = 6.0  # bone changes over this length, a heart full of contrast agent does not
SPINE_DEPTH_MM = 30.0  # from the skin; ribs and shoulder blades lie nearer
SPINE_SCORE = 1000.0  # HU²: less is no spine


@dataclass(frozen=True)
class CutBody:
    """Evidence for the outline of a body that the field of view cuts, in mm from the image's corner (x, y).

    Attributes
    ----------
    box : (4,)
        x0, y0, x1, y1 of what is seen.
    cut : (4,) bool
        Which of these are not the body's own.
    skin : (n, 2)
        The body's own outline, where it is convex.
    inside : (m, 2)
        Where the body meets the edge of the view: it goes on beyond.
    spine : (2,) or None
    centre : (2,)
        Of the view.
    pixel_mm : float
        Distance of neighbouring points.
    """

    box: Points
    cut: NDArray[np.bool_]
    skin: Points
    inside: Points
    spine: Points | None
    centre: Points
    pixel_mm: float


def gather_evidence(hu: NDArray[np.integer], mask: Mask, spacing_mm: tuple[float, float]) -> CutBody:
    """Return what the slice tells of the whole body's outline.

    Parameters
    ----------
    hu : (rows, cols) int16, HU
        Canonical view.
    mask : (rows, cols) bool
        The body.
    spacing_mm : (y, x)
    """
    view = coarse_view(hu, spacing_mm, GRID_MM)
    body = (block_mean(mask.view(np.uint8), view.steps) >= 0.5) & ~view.outside
    seen = seen_box(mask)
    x_mm, y_mm = spacing_mm[1], spacing_mm[0]
    corners = np.array([seen.x0, seen.y0, seen.x1, seen.y1]) + 0.5  # from px centres to the image's corner
    box = corners * [x_mm, y_mm, x_mm, y_mm]
    inside = _points(body & view.edge, view)
    step_mm = max(view.pixel_mm)
    return CutBody(
        box=box,
        cut=_cut_sides(box, inside, SAME_SIDE_PX * step_mm),
        skin=_points(_skin(body, view), view),
        inside=inside,
        spine=_spine(body, view),
        centre=np.array([hu.shape[1] * x_mm, hu.shape[0] * y_mm]) / 2,
        pixel_mm=step_mm,
    )


def _points(mask: Mask, view: CoarseView) -> Points:
    """Return the pixels of a coarse mask as (n, 2), (x, y) in mm."""
    return (np.argwhere(mask)[:, ::-1] + 0.5) * [view.pixel_mm[1], view.pixel_mm[0]]


def _cut_sides(box: Points, inside: Points, reach_mm: float) -> NDArray[np.bool_]:
    if not len(inside):
        return np.zeros(4, dtype=bool)
    lowest, highest = inside.min(axis=0) - box[:2], box[2:] - inside.max(axis=0)
    return np.concatenate([lowest, highest]) <= reach_mm


def _skin(body: Mask, view: CoarseView) -> Mask:
    """Return the outline's pixels that are the body's own, not the view's, and lie on its convex hull."""
    near_cut = view.edge
    for _ in range(NEAR_CUT_PX):
        near_cut = grown(near_cut)
    skin = body & grown(~body) & ~near_cut
    pixels = np.argwhere(skin)
    if len(pixels):
        deep = pixels[depth_in_hull(pixels, body) > ON_HULL_PX]
        skin[deep[:, 0], deep[:, 1]] = False
    return skin


def _spine(body: Mask, view: CoarseView) -> Points | None:
    """Return where bone is densest and grainiest, well below the skin; None if nothing looks like a spine."""
    density = np.clip(view.hu, -100.0, 800.0)
    bone = np.clip(density, *BONE_HU) - BONE_HU[0]
    grain = np.abs(density - _blurred(density, GRAIN_MM, view)) * (density > BONE_HU[0])
    score = _blurred(grain, SPINE_MM, view) * _blurred(bone, SPINE_MM, view)
    padded = np.pad(body, 1, mode="edge")  # the view's edge is no skin
    depth_mm = ndimage.distance_transform_edt(padded, sampling=view.pixel_mm)[1:-1, 1:-1]
    score[depth_mm <= SPINE_DEPTH_MM] = 0.0
    row, column = np.unravel_index(np.argmax(score), score.shape)
    if score[row, column] <= SPINE_SCORE:
        return None
    return np.array([(column + 0.5) * view.pixel_mm[1], (row + 0.5) * view.pixel_mm[0]])


def _blurred(values: NDArray[np.float32], sigma_mm: float, view: CoarseView) -> NDArray[np.float32]:
    sigmas = [sigma_mm / mm for mm in view.pixel_mm]
    return np.asarray(ndimage.gaussian_filter(values, sigmas, mode="constant", truncate=3.0))
