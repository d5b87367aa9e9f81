"""Where on the slice the patient is (Sec. 8.1).

The mask is found on a coarse grid (about 2 mm) and drawn back at full size; docs/body-mask.md says what was
tried.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lesiongraph.imaging.pockets import fill_body
from lesiongraph.imaging.view import CoarseView, Mask, coarse_view
from lesiongraph.lesion import BoundingBox
from lesiongraph.mining.rules import ON_BODY_FRACTION

FLAG_NO_BODY = "no body found"
FLAG_CUT = "cut by the field of view"

OPENING_MM = 9.0  # thicker than a table's shell, thinner than a chest wall
METAL_HU = 2500.0  # denser than bone and contrast agent: a prosthesis, a clip, a filled tooth
MENDING_MM = 24.0  # wider than the dark streaks that reach the skin, narrower than the gap between two legs
MIN_BODY_MM2 = 1500.0  # a forearm's cross-section: what is smaller is a bottle or a tube
SLAT_MM = 36.0  # an arm is thicker; a hand may be thinner, but is not
SLAT_LENGTHS = 3.5  # times as long as thick
COMPARABLE = 0.4  # a second thigh has about the area of the first; an arm, a tenth of the trunk's
ALIKE = 0.5  # two arms of one patient have areas within a factor of two
CUT_MM = 20.0  # this much body on the image's edge means that the field of view cuts it


@dataclass(frozen=True)
class BodyMask:
    """The patient on one slice.

    Attributes
    ----------
    mask : (rows, cols) bool
        The body that defines x and y: trunk, head, or both thighs; holes filled. All true where no body
        was found.
    limbs : (rows, cols) bool
        Other parts of the patient, such as arms beside the trunk: a mark there is on the patient, but they
        do not widen the body.
    flag : str
        "" | FLAG_NO_BODY | FLAG_CUT
    """

    mask: Mask
    limbs: Mask
    flag: str

    @property
    def patient(self) -> Mask:
        """Body and limbs together."""
        return self.mask | self.limbs


def body_mask(hu: NDArray[np.integer], spacing_mm: tuple[float, float]) -> BodyMask:
    """Return the mask of the patient's body on an axial slice, whatever its orientation.

    Parameters
    ----------
    hu : (rows, cols) int16, HU
    spacing_mm : (y, x)

    Raises
    ------
    ValueError
        If `hu` is not a 2-D image or the spacing is not positive.

    Source
    ------
    Sec. 8.1: "we first obtain the mask of the body in the axial slice".
    """
    if hu.ndim != 2 or 0 in hu.shape:
        raise ValueError(f"expected one slice (rows, cols), got shape {hu.shape}")
    if not all(math.isfinite(value) and value > 0 for value in spacing_mm):
        raise ValueError(f"spacing: expected two positive numbers in mm (y, x), got {spacing_mm}")
    view = coarse_view(hu, spacing_mm)
    parts = _opened(view.hu > view.air.body_hu, view.pixel_mm)
    body, limbs = _choose_parts(parts, view.pixel_mm)
    if not body.any():
        everything = np.ones(hu.shape, dtype=bool)
        return BodyMask(everything, np.zeros(hu.shape, dtype=bool), FLAG_NO_BODY)
    body, limbs = fill_body(_mended(body, view), limbs, view)
    flag = FLAG_CUT if _is_cut(body, view) else ""
    return BodyMask(_enlarged(body, view.steps, hu.shape), _enlarged(limbs, view.steps, hu.shape), flag)


def on_body(mask: Mask, box: BoundingBox) -> bool:
    """Return whether a mark's box lies on the patient rather than in air.

    The core of the box (its middle half in each direction, at least the centre pixel) must overlap the mask
    by `ON_BODY_FRACTION`; a skin lesion whose box reaches into air still passes.

    Parameters
    ----------
    mask : (rows, cols) bool
        `BodyMask.patient` (arms count), in the box's view.
    box : BoundingBox
    """
    if not all(math.isfinite(corner) for corner in (box.x0, box.y0, box.x1, box.y1)):
        return False
    rows, columns = mask.shape
    (x, y), half_x, half_y = box.centre, box.width_px / 4, box.height_px / 4
    x0, x1 = max(0, round(x - half_x)), min(columns, round(x + half_x) + 1)
    y0, y1 = max(0, round(y - half_y)), min(rows, round(y + half_y) + 1)
    if x0 >= x1 or y0 >= y1:
        return False
    return bool(mask[y0:y1, x0:x1].mean() >= ON_BODY_FRACTION)


def _opened(tissue: Mask, pixel_mm: tuple[float, float]) -> Mask:
    """Drop what is thinner than `OPENING_MM`: table shells, tubes, blankets, clothes."""
    return _filtered(tissue, pixel_mm, OPENING_MM, (ndimage.minimum_filter1d, ndimage.maximum_filter1d))


def _mended(body: Mask, view: CoarseView) -> Mask:
    """Close the inlets that the dark streaks of metal cut into the body, where it has metal in it."""
    if not (view.hu[body] > METAL_HU).any():
        return body
    closed = _filtered(body, view.pixel_mm, MENDING_MM, (ndimage.maximum_filter1d, ndimage.minimum_filter1d))
    return closed & ~view.outside


def _filtered(
    mask: Mask, pixel_mm: tuple[float, float], width_mm: float, extremes: Sequence[Callable[..., Any]]
) -> Mask:
    """Apply two extreme filters of a square in turn.

    The image is thought to go on beyond its border, so that a body cut there is not rounded off.
    """
    reach_y, reach_x = (max(1, round(width_mm / 2 / mm)) for mm in pixel_mm)
    values = np.pad(mask.view(np.uint8), ((reach_y,) * 2, (reach_x,) * 2), mode="edge")
    # a square is separable, and minimum_filter1d is ten times faster than binary_erosion
    for extreme in extremes:
        for axis, reach in ((0, reach_y), (1, reach_x)):
            values = extreme(values, 2 * reach + 1, axis=axis, mode="nearest")
    inner = values[reach_y : reach_y + mask.shape[0], reach_x : reach_x + mask.shape[1]]
    return inner.astype(bool)


def _choose_parts(parts: Mask, pixel_mm: tuple[float, float]) -> tuple[Mask, Mask]:
    """Return the components that define the body, and the smaller ones worth the name of a limb."""
    labels, count = ndimage.label(parts)
    areas_mm2 = np.bincount(labels.ravel(), minlength=count + 1) * (pixel_mm[0] * pixel_mm[1])
    areas_mm2[0] = 0.0
    is_part = areas_mm2 >= MIN_BODY_MM2
    is_body = is_part & (areas_mm2 >= COMPARABLE * areas_mm2.max())
    inner = is_part & ~_outermost_pair(labels, areas_mm2, np.flatnonzero(is_part)) & is_body
    if inner.any():
        is_body = inner
    is_limb = is_part & ~is_body
    extents = ndimage.find_objects(labels)
    for number in np.flatnonzero(is_limb):
        is_limb[number] = not _is_slat(labels[extents[number - 1]] == number, pixel_mm)
    return np.asarray(is_body[labels]), np.asarray(is_limb[labels])


def _is_slat(part: Mask, pixel_mm: tuple[float, float]) -> bool:
    """Whether a part is thin and long, as a table's beam is, and no arm or hand."""
    depths_mm = ndimage.distance_transform_edt(np.pad(part, 1), sampling=pixel_mm)
    thickness_mm = 2 * float(depths_mm.max())
    area_mm2 = part.sum() * pixel_mm[0] * pixel_mm[1]
    return thickness_mm < SLAT_MM and area_mm2 > SLAT_LENGTHS * thickness_mm**2


def _outermost_pair(
    labels: NDArray[np.int32], areas_mm2: NDArray[np.floating], numbers: NDArray[np.intp]
) -> Mask:
    """Mark the leftmost and the rightmost of three or more parts if they are alike: arms, not body.

    Raised arms beside the head are as thick as the neck; hands beside the thighs make four parts.
    """
    pair = np.zeros(len(areas_mm2), dtype=bool)
    if len(numbers) >= 3:
        extents = ndimage.find_objects(labels)
        middles = [extents[number - 1][1].start + extents[number - 1][1].stop for number in numbers]
        ends = numbers[[int(np.argmin(middles)), int(np.argmax(middles))]]
        if areas_mm2[ends].min() >= ALIKE * areas_mm2[ends].max():
            pair[ends] = True
    return pair


def _is_cut(body: Mask, view: CoarseView) -> bool:
    """Whether the body runs out of the image, or out of the reconstruction circle."""
    on_edge = body & ~view.outside & view.edge
    return bool(on_edge.sum() * min(view.pixel_mm) >= CUT_MM)


def _enlarged(coarse: Mask, steps: tuple[int, ...], shape: tuple[int, ...]) -> Mask:
    full = np.repeat(np.repeat(coarse, steps[0], axis=0), steps[1], axis=1)
    return full[: shape[0], : shape[1]]
