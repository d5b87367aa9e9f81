"""Tissue masks → for each lesion type where its centre may lie, and where it may grow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from lesiongraph.lesion import LESION_TYPES
from lesiongraph.phantom.grafting.backgrounds import BackgroundSeries, BackgroundVolume
from lesiongraph.phantom.grafting.levels import Levels, landmark_z
from lesiongraph.phantom.grafting.organs import ball_masks, grow_organ, known_lesions, organ_masks
from lesiongraph.phantom.grafting.public_sets import KEEP_OUT, balls_of
from lesiongraph.phantom.grafting.skeleton_mask import Spine, between_lungs, find_bone, find_spine
from lesiongraph.phantom.grafting.tissue_masks import Floats, Mask, TissueMasks, find_masks, grown

FAT_HU = (-140.0, -45.0)
SOFT_HU = (5.0, 110.0)
SKIN_MM = 2.5
WALL_FAT_MM = (3.0, 6.0)  # half the width of a layer: thin ones count near the skin only, lest they leak
THIN_WALL_MM = 14.0
FRONT_WALL_MM = 30.0  # in front, what is deeper may be the omentum
WALL_MUSCLE_MM = 9.0  # so far below the fat it is muscle
BY_FAT_MM = 5.0  # a node or peritoneal deposit lies in fat or so near to it
LUNG_AIR_HU = (-960.0, -600.0)
DOME_MARGIN_Z = 0.012
FIRST_ABDOMEN_Z = 0.60
RENAL_MARGIN_MM = 7.0  # a kidney grown too small is still no other organ
LEAST_VOXELS = 300  # a smaller region is no tissue to choose from


@dataclass(frozen=True)
class Zones:
    """One background's tissues, coarse grid; `centres` and `room` by lesion type."""

    masks: TissueMasks
    levels: Levels
    centres: dict[str, Mask]
    room: dict[str, Mask]
    tissue_hu: dict[str, float]  # mean of liver, kidney, muscle, and what stands for the spleen


@dataclass(frozen=True)
class _Parts:
    """What the zones are made of."""

    masks: TissueMasks
    levels: Levels
    spine: Spine
    bone: Mask
    liver: Mask
    kidney: Mask
    wall_fat: Mask
    wall: Mask  # with the muscle under it
    smooth: Floats
    depth_mm: Floats  # under the skin, in the slice
    renal: Mask  # where kidneys were looked for


def find_zones(one: BackgroundSeries, volume: BackgroundVolume, levels: Levels) -> Zones:
    """Find the tissues of a background by type; a type that it does not offer has no centres."""
    masks = find_masks(volume)
    spine = find_spine(masks)
    balls = balls_of(one.uid)
    drawn = organ_masks(one, masks)
    empty = np.zeros(masks.hu.shape, bool)
    kidney = drawn.get("kidney", empty) | grow_organ(masks, volume, balls, "kidney")
    liver = (drawn.get("liver", empty) | grow_organ(masks, volume, balls, "liver")) & ~kidney
    bone = find_bone(masks, spine, levels.slice_z01, kidney)
    avoid = known_lesions(one, masks, volume) | drawn.get(KEEP_OUT, empty)
    avoid = np.stack([grown(at, masks.pixel_mm, 4) for at in avoid])
    depth = np.stack([_depth(at, masks.pixel_mm) for at in masks.body])
    wall_fat = np.stack([_wall_fat(masks, depth, i) for i in range(len(masks.hu))])
    front = np.arange(masks.hu.shape[1])[None, :, None] < spine.row[:, None, None]
    wall_fat &= ~front | (depth < FRONT_WALL_MM)
    parts = _Parts(
        masks,
        levels,
        spine,
        bone,
        liver,
        kidney,
        wall_fat,
        wall=wall_fat | _by_slice(wall_fat, masks, WALL_MUSCLE_MM),
        smooth=np.stack([ndimage.gaussian_filter(hu, 1.5) for hu in masks.hu]),
        depth_mm=depth,
        renal=kidney | _by_slice(ball_masks(one, masks, volume, "kidney"), masks, RENAL_MARGIN_MM),
    )
    pairs = {
        "bone": _bone(parts),
        "abdomen": _abdomen(parts, (FIRST_ABDOMEN_Z, landmark_z("iliac crest"))),
        "mediastinum": _mediastinum(parts),
        "liver": (_inner(liver, masks, 3), _by_slice(liver, masks, 4) & ~masks.lung & ~bone),
        "lung": (masks.lung & _within(parts.smooth, LUNG_AIR_HU), masks.lung),
        "kidney": (kidney, masks.body & ~masks.lung & ~bone & ~liver),
        "soft tissue": _soft_tissue(parts),
        "pelvis": _abdomen(parts, (landmark_z("iliac crest") + 0.006, landmark_z("ischial tuberosity"))),
    }
    centres = {kind: pairs[kind][0] & ~avoid for kind in LESION_TYPES}
    centres = {kind: at if at.sum() >= LEAST_VOXELS else empty for kind, at in centres.items()}
    room = {kind: pairs[kind][1] & masks.body for kind in LESION_TYPES}
    return Zones(masks, levels, centres, room, _tissue_hu(parts))


def _depth(body: Mask, pixel_mm: tuple[float, float]) -> Floats:
    return np.asarray(ndimage.distance_transform_edt(body, sampling=pixel_mm), np.float32)


def _within(hu: Floats, span: tuple[float, float]) -> Mask:
    return np.asarray((hu > span[0]) & (hu < span[1]))


def _by_slice(mask: Mask, masks: TissueMasks, by_mm: float) -> Mask:
    return np.stack([grown(at, masks.pixel_mm, by_mm) for at in mask])


def _inner(mask: Mask, masks: TissueMasks, by_mm: float) -> Mask:
    return ~_by_slice(~mask, masks, by_mm)


def _bone(parts: _Parts) -> tuple[Mask, Mask]:
    """Centres in bone or marrow, not in the canal; it may break through the cortex by some mm."""
    marrow = parts.bone & (parts.smooth > 105) & (parts.levels.slice_z01[:, None, None] > 0.40)
    return marrow, _by_slice(parts.bone, parts.masks, 2.5) & ~parts.kidney


def _mediastinum(parts: _Parts) -> tuple[Mask, Mask]:
    """Fat between the lungs and what touches it, in front of the vertebra, above the liver."""
    masks = parts.masks
    between = between_lungs(masks.lung) & masks.body & ~parts.bone
    between &= (parts.levels.slice_z01 < landmark_z("liver dome") - DOME_MARGIN_Z)[:, None, None]
    between &= ~parts.liver
    front = np.arange(masks.hu.shape[1])[None, :, None] < parts.spine.row[:, None, None]
    between &= front
    fat = between & _within(masks.hu, (-150.0, -15.0))
    fat = np.stack([ndimage.binary_opening(at) for at in fat])
    near = _by_slice(fat, masks, BY_FAT_MM) & between & ~masks.lumen & (parts.smooth > -160)
    room = _by_slice(between, masks, 5) & ~parts.bone & ~(masks.lumen & (masks.hu > 130))
    return near, room


def _wall_fat(masks: TissueMasks, depth_mm: Floats, i: int) -> Mask:
    """Fat under the skin: layers of some thickness that reach the skin."""
    fat = _within(masks.hu[i], FAT_HU) & masks.body[i]
    found: Mask = np.zeros(fat.shape, bool)
    if not fat.any():
        return found
    width = ndimage.distance_transform_edt(fat, sampling=masks.pixel_mm)
    for half_mm, deepest_mm in ((WALL_FAT_MM[0], THIN_WALL_MM), (WALL_FAT_MM[1], np.inf)):
        labels, count = ndimage.label(width > half_mm)
        touches = np.zeros(count + 1, bool)
        touches[np.unique(labels[depth_mm[i] < 2 * half_mm + 3])] = True
        touches[0] = False
        found |= grown(touches[labels], masks.pixel_mm, half_mm) & fat & (depth_mm[i] < deepest_mm)
    return found


def _soft_tissue(parts: _Parts) -> tuple[Mask, Mask]:
    """Fat and muscle of the trunk's wall: by the skin's fat, or behind the spine."""
    masks = parts.masks
    rows = np.arange(masks.hu.shape[1])[None, :, None]
    behind = (rows - parts.spine.row[:, None, None]) * masks.pixel_mm[0] > 12
    wall = parts.wall | behind
    inner = _by_slice(masks.lung, masks, 7) | between_lungs(masks.lung)
    # between the lungs' backs lie the vertebra's muscles; they are wall all the same
    inner &= ~behind | masks.lung
    depth = parts.depth_mm
    room = wall & ~inner & ~parts.bone & ~parts.liver & ~parts.kidney & (depth > SKIN_MM)
    tissue = parts.wall_fat | _within(parts.smooth, SOFT_HU)
    trunk = (parts.levels.slice_z01 > 0.405)[:, None, None]
    return room & tissue & (depth > SKIN_MM + 4) & trunk, room


def _abdomen(parts: _Parts, z01: tuple[float, float]) -> tuple[Mask, Mask]:
    """Deep fat and what touches it, in front of the spine, not in liver or kidney."""
    masks = parts.masks
    rows = np.arange(masks.hu.shape[1])[None, :, None]
    front = (parts.spine.row[:, None, None] - rows) * masks.pixel_mm[0] > 5
    apart = _by_slice(parts.liver, masks, 3) | _by_slice(masks.lung, masks, 8) | parts.bone | parts.renal
    deep = masks.body & ~parts.wall & front & ~apart & (parts.depth_mm > 22)
    level = (parts.levels.slice_z01 > z01[0]) & (parts.levels.slice_z01 < z01[1])
    fat = np.stack([ndimage.binary_opening(at, iterations=1) for at in deep & _within(masks.hu, FAT_HU)])
    near = _by_slice(fat, masks, BY_FAT_MM) & deep & (parts.smooth > -150) & (parts.smooth < 110)
    room = masks.body & ~parts.bone & ~parts.liver & ~parts.renal & ~masks.lung & ~parts.wall
    room &= parts.depth_mm > 12
    return near & level[:, None, None], room


def _tissue_hu(parts: _Parts) -> dict[str, float]:
    """Return what the background's own tissues measure; the phantom's paint refers to them."""
    hu = parts.masks.hu
    muscle = hu[_soft_tissue(parts)[0] & _within(parts.smooth, SOFT_HU)]
    muscle_hu = float(np.median(muscle)) if len(muscle) else 50.0
    inner = hu[parts.masks.body & ~parts.bone & ~parts.masks.lung & _within(parts.smooth, (20.0, 400.0))]
    bright = float(np.percentile(inner, 92)) if len(inner) else 50.0
    return {
        "muscle": muscle_hu,
        "liver": _mean(hu, parts.liver, 60.0),
        "kidney": _mean(hu, parts.kidney, 35.0),
        # no spleen is segmented: how bright vessels and organs are tells how far contrast has come
        "spleen": float(np.clip(48 + 0.6 * (bright - 60), 48, 130)),
    }


def _mean(hu: Floats, at: Mask, otherwise: float) -> float:
    return float(hu[at].mean()) if at.any() else otherwise


def offered(zones: Zones) -> dict[str, int]:
    """Return the number of coarse voxels that each type may be centred on."""
    return {kind: int(at.sum()) for kind, at in zones.centres.items()}
