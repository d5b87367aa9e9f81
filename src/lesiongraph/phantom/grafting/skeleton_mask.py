"""Bone in real CT, told from contrast-filled heart, vessels, kidneys and bowel by where it lies.

Brightness does not tell them apart: the vertebra is what is joined to the middle of the back once thin
contacts are cut; other bones lie outside the lungs' outline and, below the ribs, not in front of the spine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from lesiongraph.phantom.grafting.tissue_masks import Floats, Mask, TissueMasks, grown

BONE_ABOVE_HU, BONE_LEAST_ML = 170.0, 1.5
MARROW_ABOVE_HU = 125.0
ARTERY_ABOVE_HU = 230.0  # so bright and even is an artery, not marrow
HOLE_MM2 = 1600.0  # a vertebral body; a ring of ribs and sternum is larger
SPINE_BACK_SHARE = 0.5  # the spine lies in the back half of the body
SPINE_HALF_WIDTH_MM = 35.0
CUT_MM = 3.0  # thinner contacts between vertebra and aorta are cut
FRONT_OF_SPINE_MM = 50.0
RIBLESS_Z = (0.63, 0.728)  # between the ribs' margin and the iliac crest there is no bone in front


@dataclass(frozen=True)
class Spine:
    """Where the vertebra's back part lies on each slice, coarse px."""

    row: npt.NDArray[np.float64]  # (n,)
    column: npt.NDArray[np.float64]


def find_spine(masks: TissueMasks) -> Spine:
    """Find the middle of the hard tissue in the back of the body's midline, smoothed along the body."""
    rows, columns = (np.full(len(masks.hu), np.nan) for _ in range(2))
    for i, (hu, body) in enumerate(zip(masks.hu, masks.body, strict=True)):
        if not body.any():
            continue
        inside_r, inside_c = np.nonzero(body)
        top, bottom, middle = inside_r.min(), inside_r.max(), float(np.median(inside_c))
        half = SPINE_HALF_WIDTH_MM / masks.pixel_mm[1]
        r0 = int(top + SPINE_BACK_SHARE * (bottom - top))
        c0, c1 = max(0, int(middle - half)), int(middle + half)
        hard_r, hard_c = np.nonzero((hu > BONE_ABOVE_HU)[r0:, c0:c1] & body[r0:, c0:c1])
        if len(hard_r) * np.prod(masks.pixel_mm) > 200:
            rows[i], columns[i] = np.median(hard_r) + r0, np.median(hard_c) + c0
    return Spine(_filled_and_smoothed(rows), _filled_and_smoothed(columns))


def find_bone(masks: TissueMasks, spine: Spine, z01: npt.NDArray[np.float64], kidney: Mask) -> Mask:
    """Return bone with its marrow (n, rows, columns)."""
    hard = (masks.hu > BONE_ABOVE_HU) & masks.body & ~masks.air & ~masks.lumen
    found = np.zeros_like(hard)
    for i in range(len(hard)):
        away = _may_hold_bone(masks, spine, i, float(z01[i])) & ~grown(kidney[i], masks.pixel_mm, 6)
        found[i] = (hard[i] & away) | _vertebra(masks.hu[i], masks, spine, i)
    found = _worth_the_name(found, masks)
    pixel_mm2 = float(np.prod(masks.pixel_mm))
    return np.stack([_marrow_filled(one, pixel_mm2) for one in found]) & ~masks.air


def between_lungs(lung: Mask) -> Mask:
    """Tell which pixels of a slice have lung on both sides in their row."""
    left = np.maximum.accumulate(lung, axis=-1)
    right = np.maximum.accumulate(lung[..., ::-1], axis=-1)[..., ::-1]
    return np.asarray(left & right & ~lung)


def _may_hold_bone(masks: TissueMasks, spine: Spine, i: int, z01: float) -> Mask:
    rows = np.arange(masks.hu.shape[1])[:, None]
    front_mm = (spine.row[i] - rows) * masks.pixel_mm[0]  # of the spine
    inner = between_lungs(masks.lung[i]) & (front_mm > 0)
    if RIBLESS_Z[0] < z01 < RIBLESS_Z[1]:
        inner = inner | (front_mm > FRONT_OF_SPINE_MM)
    return np.asarray(~inner)


def _vertebra(hu: Floats, masks: TissueMasks, spine: Spine, i: int) -> Mask:
    """What is bright and joined to the middle of the back, after cutting thin contacts."""
    artery = masks.lumen[i] & (ndimage.uniform_filter(hu, 5) > ARTERY_ABOVE_HU)
    bright = (hu > MARROW_ABOVE_HU) & masks.body[i] & ~grown(artery, masks.pixel_mm, 3)
    core = ndimage.distance_transform_edt(bright, sampling=masks.pixel_mm) > CUT_MM
    labels, count = ndimage.label(core)
    if not count:
        return np.zeros_like(bright)
    rows, columns = np.indices(hu.shape)
    down = (rows - spine.row[i]) * masks.pixel_mm[0]
    across = np.abs(columns - spine.column[i]) * masks.pixel_mm[1]
    middle = (across < 14) & (down > -28) & (down < 18)
    joined = np.zeros(count + 1, bool)
    joined[np.unique(labels[middle])] = True
    joined[0] = False
    near = (across < 45) & (down > -48)
    return np.asarray(grown(joined[labels], masks.pixel_mm, CUT_MM + 1.5) & bright & near)


def _worth_the_name(hard: Mask, masks: TissueMasks) -> Mask:
    labels, count = ndimage.label(hard, structure=np.ones((3, 3, 3)))
    voxel_ml = float(np.prod(masks.pixel_mm)) * masks.interval_mm / 1000
    large = np.bincount(labels.ravel(), minlength=count + 1) * voxel_ml >= BONE_LEAST_ML
    large[0] = False
    return np.asarray(large[labels])


def _marrow_filled(bone: Mask, pixel_mm2: float) -> Mask:
    closed = ndimage.binary_closing(np.pad(bone, 2), iterations=2)[2:-2, 2:-2]
    labels, count = ndimage.label(~closed)
    small = np.bincount(labels.ravel(), minlength=count + 1) * pixel_mm2 < HOLE_MM2
    small[0] = False
    return np.asarray(closed | small[labels])


def _filled_and_smoothed(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        raise ValueError("expected hard tissue in the back of the body on some slice, found none")
    filled = np.interp(np.arange(len(values)), known, values[known])
    return np.asarray(ndimage.median_filter(filled, size=min(7, 2 * (len(values) // 2) + 1), mode="nearest"))
