"""Liver and kidneys of a background: from organ masks beside the images, else grown from hand-set voxels.

A ball of `public_sets.json` bounds the growth, so a leak into a neighbour of the same brightness ends there.
Mask series (8-bit, marked Modality CT, in a folder named after what they show) are read through mining.
"""

from __future__ import annotations

import numpy as np
import pydicom
from scipy import ndimage

from lesiongraph.errors import LesionGraphError
from lesiongraph.lesion import Spacing
from lesiongraph.mining.mask_volume import MaskVolume, load_mask
from lesiongraph.mining.structures import names_a_lesion
from lesiongraph.phantom.grafting.backgrounds import BackgroundSeries, BackgroundVolume
from lesiongraph.phantom.grafting.public_sets import KEEP_OUT, Ball, balls_of
from lesiongraph.phantom.grafting.tissue_masks import Mask, TissueMasks, coarse_slice

LIVER_SPREAD_HU = 45.0  # about the voxel's own brightness
KIDNEY_HU = (12.0, 420.0)
KIDNEY_ENHANCED_HU = 100.0
KIDNEY_BELOW_SEED = 0.45  # pelvis and medulla of an enhanced kidney are this share of its cortex
KIDNEY_REACH, LIVER_REACH_MM = 0.7, 8.0  # how far from the voxel the organ begins: a kidney's middle is fat
OPENING_MM = 3.5
KNOWN_MARGIN_MM = 6.0
SMALLEST_MASK_FOLDER = 8  # files


def grow_organ(masks: TissueMasks, volume: BackgroundVolume, balls: list[Ball], kind: str) -> Mask:
    """Grow an organ from its balls' voxels, none of it outside the balls."""
    found = np.zeros(masks.hu.shape, bool)
    smooth = ndimage.gaussian_filter(masks.hu, (0.0, 1.5, 1.5))
    for ball in balls:
        if ball.kind != kind:
            continue
        inside = _ball(masks, volume, ball)
        at = (ball.slice_index, ball.row // masks.step, ball.column // masks.step)
        near = (at[0], slice(at[1] - 3, at[1] + 4), slice(at[2] - 3, at[2] + 4))
        seed_hu = float(np.median(masks.hu[near]))
        low, high = seed_hu - LIVER_SPREAD_HU, seed_hu + LIVER_SPREAD_HU
        if kind == "kidney":
            high = KIDNEY_HU[1]
            brightest = float(np.percentile(smooth[inside], 90))
            low = KIDNEY_BELOW_SEED * brightest if brightest > KIDNEY_ENHANCED_HU else KIDNEY_HU[0]
        like = inside & (smooth > low) & (smooth < high) & masks.body & ~masks.lung
        reach_mm = KIDNEY_REACH * ball.radius_mm if kind == "kidney" else LIVER_REACH_MM
        found |= _joined(like, masks, at, reach_mm)
    return found


def ball_masks(one: BackgroundSeries, masks: TissueMasks, volume: BackgroundVolume, kind: str) -> Mask:
    """Return the union of a background's balls of one kind."""
    found = np.zeros(masks.hu.shape, bool)
    for ball in balls_of(one.uid):
        if ball.kind == kind:
            found |= _ball(masks, volume, ball)
    return found


def known_lesions(one: BackgroundSeries, masks: TissueMasks, volume: BackgroundVolume) -> Mask:
    """Return where lesions are known: kept marks as balls of their long axis, and hand-set balls."""
    found = ball_masks(one, masks, volume, KEEP_OUT)
    for row in one.known.to_dict("records"):
        spacing = Spacing(np.nan, volume.pixel_mm[0], volume.pixel_mm[1])
        x, y = (float(row["x0"]) + float(row["x1"])) / 2, (float(row["y0"]) + float(row["y1"])) / 2
        last_y, last_x = volume.hu.shape[1] - 1, volume.hu.shape[2] - 1
        x, y = (last_x - x if one.series["flip_x"] else x), (last_y - y if one.series["flip_y"] else y)
        long_mm = float(row["long_mm"]) if row["long_mm"] == row["long_mm"] else 0.0
        box_mm = max(
            (float(row["x1"]) - float(row["x0"])) * spacing.x_mm,
            (float(row["y1"]) - float(row["y0"])) * spacing.y_mm,
        )
        radius = max(long_mm, box_mm) / 2 + KNOWN_MARGIN_MM
        found |= _ball(masks, volume, Ball(KEEP_OUT, int(row["slice_index"]), int(y), int(x), radius))
    return found


def organ_masks(one: BackgroundSeries, masks: TissueMasks) -> dict[str, Mask]:
    """Return the mask series below the images' folder by name: "liver", "kidney", "keep out"."""
    found: dict[str, Mask] = {}
    for folder in sorted({path.parent for path in one.folder.rglob("*.dcm") if path.parent != one.folder}):
        kind = _kind_of(folder.name)
        if not kind or len(list(folder.iterdir())) < SMALLEST_MASK_FOLDER:
            continue
        try:
            volumes = load_mask(folder)
        except LesionGraphError:  # a folder of something else than a mask
            continue
        for mask in volumes:
            drawn = _on_slices(one, mask, masks)
            found[kind] = found.get(kind, np.zeros(masks.hu.shape, bool)) | drawn
    return found


def _kind_of(name: str) -> str:
    words = name.lower()
    if names_a_lesion(words):
        return KEEP_OUT
    return next((kind for kind in ("liver", "kidney") if kind in words), "")


def _on_slices(one: BackgroundSeries, mask: MaskVolume, masks: TissueMasks) -> Mask:
    """Pair the planes with the slices by instance number, as such masks state no position of their own."""
    numbers = {
        int(
            pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["InstanceNumber"]).InstanceNumber
        ): i
        for i, path in enumerate(one.slices["path"])
    }
    drawn = np.zeros(masks.hu.shape, bool)
    full = np.zeros((int(str(one.series["rows"])), int(str(one.series["columns"]))), np.float32)
    left, top = mask.corner
    for image, labels in zip(mask.images, mask.labels, strict=True):
        index = numbers.get(image.instance_number)
        if index is None or (image.rows, image.columns) != full.shape:
            continue
        full[:] = 0
        full[top : top + labels.shape[0], left : left + labels.shape[1]] = labels > 0
        flipped = full[:: -1 if one.series["flip_y"] else 1, :: -1 if one.series["flip_x"] else 1]
        drawn[index] = coarse_slice(flipped, masks.step) > 0.5
    return drawn


def _ball(masks: TissueMasks, volume: BackgroundVolume, ball: Ball) -> Mask:
    rows, columns = masks.hu.shape[1:]
    dz = volume.z_mm - volume.z_mm[ball.slice_index]
    dy = (np.arange(rows) + 0.5 - (ball.row + 0.5) / masks.step) * masks.pixel_mm[0]
    dx = (np.arange(columns) + 0.5 - (ball.column + 0.5) / masks.step) * masks.pixel_mm[1]
    square = dz[:, None, None] ** 2 + dy[:, None] ** 2 + dx**2
    return np.asarray(square <= ball.radius_mm**2)


def _joined(like: Mask, masks: TissueMasks, at: tuple[int, int, int], reach_mm: float) -> Mask:
    """Open on each slice, keep what comes near the voxel, give back what the opening took."""
    used = np.flatnonzero(like.any(axis=(1, 2)))
    core = np.zeros_like(like)
    for i in used:
        core[i] = ndimage.distance_transform_edt(like[i], sampling=masks.pixel_mm) > OPENING_MM
    labels, _ = ndimage.label(core)
    rows, columns = (
        np.abs(np.arange(size) - middle) for size, middle in zip(like.shape[1:], at[1:], strict=True)
    )
    near = np.hypot(rows[:, None] * masks.pixel_mm[0], columns * masks.pixel_mm[1]) <= reach_mm
    here = labels[at[0]][near]
    wanted = np.unique(here[here > 0])
    kept = np.isin(labels, wanted) if len(wanted) else np.zeros_like(like)
    for i in used:
        if kept[i].any():
            near = ndimage.distance_transform_edt(~kept[i], sampling=masks.pixel_mm) <= OPENING_MM + 0.5
            kept[i] = near & like[i]
    return np.asarray(kept)
