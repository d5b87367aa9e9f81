"""Air inside the body: holes of the mask, and lungs that a border or the opening has broken open."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]

BODY_HU = -500  # half way from air to soft tissue: the skin line is least sensitive to it
PADDING_HU = -1500  # outside the reconstruction circle scanners write −2000 or −3024, colder than any air
OUTER_AIR_HU = -965  # room air lies near −1000; lung that the border cuts open, near −850
LUNG_MM2 = 400.0  # smaller border pockets are not worth telling lung from room air
ENCLOSED = 0.6  # share of a pocket's rim that must be body for the pocket to be inside it
ENCLOSED_WIDELY = 0.85  # the same where the view lies inside the chest and cuts three sides of a lung
LUNG_HU = -940  # denser than room air on any scanner seen; used where the shape says less


def fill_body(
    body: Mask, limbs: Mask, coarse: NDArray[np.float32], pixel_mm: tuple[float, float]
) -> tuple[Mask, Mask]:
    """Return body and limbs with their holes filled, and with the lungs that the field of view cuts open.

    A limb that such a lung joins to the body was a piece of the body: the chest wall across the lung.

    Parameters
    ----------
    body, limbs : (rows, cols) bool
        Opened components.
    coarse : (rows, cols) float32, HU
    pixel_mm : (y, x)
    """
    inside, cut_lungs = _with_lungs(body, limbs, coarse, pixel_mm)
    if cut_lungs.any() and limbs.any():
        labels, count = ndimage.label(limbs)
        joins = np.zeros(count + 1, dtype=bool)
        joins[labels[_grown(cut_lungs) & limbs]] = True
        joined = joins[labels]
        inside, limbs = inside | joined, limbs & ~joined
    inside = _without_holes(inside)
    return inside, (_without_holes(limbs) if limbs.any() else limbs) & ~inside


def _with_lungs(
    body: Mask, limbs: Mask, coarse: NDArray[np.float32], pixel_mm: tuple[float, float]
) -> tuple[Mask, Mask]:
    """Return the body with closed and cut lungs, and the cut ones alone."""
    outside = outside_view(coarse)
    labels, count = ndimage.label((coarse <= BODY_HU) & ~outside)
    areas_mm2 = np.bincount(labels.ravel(), minlength=count + 1) * (pixel_mm[0] * pixel_mm[1])
    edge = edge_of_view(outside)
    inside, cut_lungs = body.copy(), np.zeros_like(body)
    extents = ndimage.find_objects(labels)
    for number in np.flatnonzero(areas_mm2[1:] >= LUNG_MM2) + 1:
        # three pixels of margin: two for the wall, one so that nothing touches the window's edge by chance
        window = tuple(slice(max(0, part.start - 3), part.stop + 3) for part in extents[number - 1])
        pocket, density = labels[window] == number, coarse[window]
        cut_sides = _sides(np.argwhere(pocket & edge[window]) + [part.start for part in window], coarse.shape)
        parts = body[window] | limbs[window] if cut_sides else body[window]
        enclosed = _enclosed_share(pocket, parts, outside[window])
        if cut_sides == 0 and enclosed > ENCLOSED:
            inside[window] |= pocket | (_grown(_grown(pocket)) & (density > BODY_HU))
        elif cut_sides and _is_cut_lung(cut_sides, enclosed, density[pocket]):
            cut_lungs[window] |= pocket
    return inside | cut_lungs, cut_lungs


def _is_cut_lung(cut_sides: int, enclosed: float, density: NDArray[np.float32]) -> bool:
    """Whether a pocket that reaches the edge of the view is lung rather than the air round the patient."""
    if cut_sides <= 2:
        return enclosed > ENCLOSED and bool(np.percentile(density, 25) > OUTER_AIR_HU)
    return enclosed > ENCLOSED_WIDELY and bool(np.percentile(density, 25) > LUNG_HU)


def _enclosed_share(pocket: Mask, body: Mask, outside: Mask) -> float:
    """Return how much of a pocket's rim is body, as far as the view goes.

    The inside of a hollow table, or the gap between table and patient, has the body on one side only.
    """
    pocket = _without_holes(pocket)  # vessels in a lung have rims of their own
    rim = _grown(pocket) & ~pocket & ~outside
    return float((rim & _grown(body)).sum() / max(1, rim.sum()))


def outside_view(coarse: NDArray[np.float32]) -> Mask:
    """Return the pixels beyond the reconstruction circle, known by their padding."""
    outside = np.asarray(coarse <= PADDING_HU)
    # readers set declared padding to −1024: a round view is then known by its constant corners
    corners = _beyond_circle(coarse.shape[0], coarse.shape[1])
    values = coarse[corners]
    if values.size and values.min() == values.max():
        outside |= corners
    return outside


@lru_cache(maxsize=8)
def _beyond_circle(rows: int, columns: int) -> Mask:
    """Return what of the image lies outside its inscribed ellipse, with one pixel to spare."""
    down = (np.arange(rows)[:, None] - (rows - 1) / 2) / (rows / 2 + 1)
    right = (np.arange(columns)[None, :] - (columns - 1) / 2) / (columns / 2 + 1)
    return np.asarray(down**2 + right**2 > 1.0)


def edge_of_view(outside: Mask) -> Mask:
    """Return the pixels where the image, or the reconstruction circle, ends."""
    edge = _grown(outside)
    edge[[0, -1]] = edge[:, [0, -1]] = True
    return edge


def _sides(points: NDArray[np.intp], shape: tuple[int, ...]) -> int:
    """Return on how many of the four sides of the field of view, square or round, the points lie.

    A lung is cut on one side, or on two at a corner; the air round a patient reaches three or four.
    """
    down, right = (points / np.maximum(1, np.array(shape) - 1) - 0.5).T
    quarters = np.round(np.arctan2(down, right) / (np.pi / 2)).astype(int) % 4  # parted by the diagonals
    return len(np.unique(quarters))


def _grown(mask: Mask) -> Mask:
    """Return the mask with its 4-neighbours (binary_dilation, many times faster)."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown


def _without_holes(mask: Mask) -> Mask:
    """Return the mask with background that does not reach the border filled (binary_fill_holes, faster)."""
    labels, count = ndimage.label(~mask)
    is_open = np.zeros(count + 1, dtype=bool)
    for border in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        is_open[border] = True
    is_open[0] = False  # label 0 is the mask itself
    return np.asarray(~is_open[labels])
