"""Air inside the body: holes of the mask, and lungs that a border or the opening has broken open."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull

from lesiongraph.imaging.view import CoarseView, Mask, grown, without_holes

LUNG_MM2 = 400.0  # smaller border pockets are not worth telling lung from room air
GUT_MM2 = 50.0  # smaller pockets of gas are left to the filling of holes
WALL_PX = 4  # of a pocket: as thick as what the opening can have broken
ENCLOSED = 0.6  # share of a pocket's rim that must be body for the pocket to be inside it
# The colder the air of a pocket that the view cuts, the more of its rim must lie within the body's convex
# hull for it to be lung or gut: room air lies near −1000, cut lung near −850, foam and cushions between.
COLDNESS_HU = (-1000.0, -960.0, -890.0)
SHARE_IN_HULL = (0.7, 0.3, 0.15)
SHARE_IN_HULL_CLIPPED = 0.4  # where the picture's window has made all air alike
HULL_MARGIN_PX = 1.5  # a rim pixel is within the hull when it is this deep in it
ROOM_AIR_HU = -975.0  # colder than this only gut gas is inside a body,
GAS_MM2 = 3000.0  # which fills no larger pocket; between neck and raised shoulders lies more air
SLIVER_SHARE = 0.05  # of the body seen: larger gaps in cut lungs are no vessels


def fill_body(body: Mask, limbs: Mask, view: CoarseView) -> tuple[Mask, Mask]:
    """Return body and limbs with their holes filled, and with the lungs that the field of view cuts open.

    A limb that such a lung joins to the body was a piece of the body: the chest wall across the lung.

    Parameters
    ----------
    body, limbs : (rows, cols) bool
        Opened components.
    view : CoarseView
    """
    inside, cut_lungs = _with_lungs(body, view)
    if cut_lungs.any():
        if limbs.any():
            labels, count = ndimage.label(limbs)
            joins = np.zeros(count + 1, dtype=bool)
            joins[labels[grown(cut_lungs) & limbs]] = True
            joined = joins[labels]
            inside, limbs = inside | joined, limbs & ~joined
        inside = _with_cut_vessels(inside, view)
    inside = without_holes(inside)
    return inside, (without_holes(limbs) if limbs.any() else limbs) & ~inside


def depth_in_hull(points: NDArray[np.integer], mask: Mask) -> NDArray[np.float64]:
    """Return how deep points (n, 2), (row, column), lie in the mask's convex hull (px); negative outside."""
    columns = np.flatnonzero(mask.any(axis=0))
    first = np.argmax(mask[:, columns], axis=0)
    last = mask.shape[0] - 1 - np.argmax(mask[::-1, columns], axis=0)
    # the hull of the corners of each column's two end pixels is the mask's, and never without area
    rows = np.concatenate([first - 0.5, first - 0.5, last + 0.5, last + 0.5])
    corners = np.stack([rows, np.tile(np.concatenate([columns - 0.5, columns + 0.5]), 2)], axis=1)
    faces = ConvexHull(corners).equations  # (faces, 3): outward normal, offset
    return np.asarray(-(points @ faces[:, :2].T + faces[:, 2]).max(axis=1) - 0.5)  # of pixel centres


def _with_lungs(body: Mask, view: CoarseView) -> tuple[Mask, Mask]:
    """Return the body with closed and cut lungs, and the cut ones alone."""
    labels, count = ndimage.label((view.hu <= view.air.body_hu) & ~view.outside)
    areas_mm2 = np.bincount(labels.ravel(), minlength=count + 1) * view.pixel_mm2
    inside, cut_lungs = body.copy(), np.zeros_like(body)
    extents = ndimage.find_objects(labels)
    margin = WALL_PX + 1  # one so that nothing touches the window's edge by chance
    for number in np.flatnonzero(areas_mm2[1:] >= GUT_MM2) + 1:
        window = tuple(slice(max(0, part.start - margin), part.stop + margin) for part in extents[number - 1])
        pocket = labels[window] == number
        if (pocket & view.edge[window]).any():
            if areas_mm2[number] >= LUNG_MM2 and _is_cut_lung(pocket, window, body, view):
                cut_lungs[window] |= pocket
        elif _enclosed_share(pocket, body[window], view.outside[window]) > ENCLOSED:
            wall = pocket
            for _ in range(WALL_PX):
                wall = grown(wall)
            inside[window] |= pocket | (wall & (view.hu[window] > view.air.body_hu))
    return inside | cut_lungs, cut_lungs


def _with_cut_vessels(inside: Mask, view: CoarseView) -> Mask:
    """Return the mask with what the edge of the view cuts out of its lungs: vessels, and slivers of lung."""
    labels, count = ndimage.label(~inside & ~view.outside)
    sizes_px = np.bincount(labels.ravel(), minlength=count + 1)
    is_piece = np.zeros(count + 1, dtype=bool)
    is_piece[labels[view.edge]] = True
    is_piece[0] = False
    is_piece &= sizes_px <= SLIVER_SHARE * inside.sum()
    everything = (slice(None), slice(None))
    filled = inside.copy()
    for number in np.flatnonzero(is_piece):
        piece = labels == number
        if _is_cut_lung(piece, everything, inside, view):
            filled |= piece
    return filled


def _is_cut_lung(pocket: Mask, window: tuple[slice, ...], body: Mask, view: CoarseView) -> bool:
    """Whether a pocket that reaches the edge of the view is lung or gut rather than air round the patient.

    The body bends round its lungs, so their rim lies within its convex hull; seen from outside it is convex.
    """
    needed = SHARE_IN_HULL_CLIPPED
    if not view.air.clipped:
        coldness_hu = float(np.percentile(view.hu[window][pocket], 25))
        if coldness_hu < ROOM_AIR_HU and pocket.sum() * view.pixel_mm2 > GAS_MM2:
            return False
        needed = float(np.interp(coldness_hu, COLDNESS_HU, SHARE_IN_HULL))
    rim = np.argwhere(pocket & grown(grown(body[window])))
    if not len(rim):
        return False
    depth_px = depth_in_hull(rim + [part.start or 0 for part in window], body)
    return bool((depth_px > HULL_MARGIN_PX).mean() > needed)


def _enclosed_share(pocket: Mask, body: Mask, outside: Mask) -> float:
    """Return how much of a pocket's rim is body, as far as the view goes.

    The inside of a hollow table, or the gap between table and patient, has the body on one side only.
    """
    pocket = without_holes(pocket)  # vessels in a lung have rims of their own
    rim = grown(pocket) & ~pocket & ~outside
    return float((rim & grown(body)).sum() / max(1, rim.sum()))
