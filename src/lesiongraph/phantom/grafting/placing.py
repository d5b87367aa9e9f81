"""A lesion of a type and size → a site in the background where it fits and can be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from lesiongraph.phantom.grafting.looks import TYPE_LOOKS, draw_lesion
from lesiongraph.phantom.grafting.painting import ScannerLook, SlicePainter, local_tissues
from lesiongraph.phantom.grafting.prepared import PreparedBackground
from lesiongraph.phantom.grafting.warp import ImageGrid, Warp
from lesiongraph.phantom.lesions import PhantomLesion
from lesiongraph.phantom.population import LONG_AXIS_RANGE_MM

TRIES = 24
SHRINKING = 0.8  # after a site that did not hold it
APART_MM = 4.0
LEAST_SHARE = 0.55  # of its ellipse that must fit into its tissue
LEAST_CONTRAST_HU, NOISE_SHARE = 15.0, 0.8  # and this share of the background's noise
TISSUE_ABOVE_HU = -300.0
LEAST_PIXELS = 14
RING_MM = (1.5, 5.0)
SMALLEST_MM = 5.0
PROBE = ScannerLook(blur_mm=0.7, sharpness=0.0, added_noise=0.0, texture_seed=1)


@dataclass(frozen=True)
class Unplaced:
    """A lesion that found no site, and why not at the last try."""

    type: str
    long_axis_mm: float
    reason: str


def place(
    background: PreparedBackground,
    lesion_type: str,
    long_axis_mm: float,
    others: Sequence[PhantomLesion],
    rng: np.random.Generator,
) -> PhantomLesion | Unplaced:
    """Choose a site and a look; the lesion shrinks where the sites tried do not hold it.

    Its identity is its place after the others.
    """
    size = float(np.clip(long_axis_mm, LONG_AXIS_RANGE_MM[0], TYPE_LOOKS[lesion_type].largest_mm))
    voxels = np.argwhere(background.centres(lesion_type))
    reason = "no such tissue"
    for attempt in range(TRIES if len(voxels) else 0):
        if attempt and attempt % 3 == 0:
            size = max(size * SHRINKING, SMALLEST_MM)
        voxel = voxels[int(rng.integers(len(voxels)))]
        x, y, z = background.voxel_mm(voxel)
        lesion = draw_lesion(lesion_type, size, (x, y, z), len(others) + 1, rng)
        if any(_touch(lesion, other) for other in others):
            reason = "too near to another lesion"
            continue
        reason = _misfit(background, lesion, int(voxel[0]), rng)
        if not reason:
            return lesion
    return Unplaced(lesion_type, long_axis_mm, reason)


def _touch(one: PhantomLesion, other: PhantomLesion) -> bool:
    distance = float(np.linalg.norm(np.subtract(one.centre_mm, other.centre_mm)))
    return distance < one.reach_mm + other.reach_mm + APART_MM


def _misfit(
    background: PreparedBackground, lesion: PhantomLesion, index: int, rng: np.random.Generator
) -> str:
    """Paint the lesion's middle on the background as it is; return what is wrong with it, "" if nothing."""
    grid = _probe_grid(background, lesion, index)
    painter = SlicePainter(background, grid, Warp.build(grid, 0, 0, amount=0.0), 0)
    before = painter.base.copy()
    cut = painter.add(lesion, local_tissues(background, lesion), PROBE, rng)
    if cut is None or cut.mask.sum() < LEAST_PIXELS:
        return "too small to be seen"
    ellipse_mm2 = np.pi * lesion.radii_mm[0] * lesion.radii_mm[1]
    if cut.mask.sum() * grid.pixel_mm**2 < LEAST_SHARE * ellipse_mm2:
        return "does not fit"
    covered = np.zeros(before.shape, bool)
    covered[cut.box] = cut.mask
    away = ndimage.distance_transform_edt(~covered, sampling=grid.pixel_mm)
    ring = (away > RING_MM[0]) & (away < RING_MM[1])
    if lesion.type != "lung":
        ring &= before > TISSUE_ABOVE_HU  # lung beside it makes no node visible among the vessels
    least = max(LEAST_CONTRAST_HU, background.noise_hu * NOISE_SHARE)
    apart = abs(float(painter.base[covered].mean() - painter.base[ring].mean())) if ring.any() else 0.0
    changed = abs(float((painter.base - before)[covered].mean()))
    return "" if min(apart, changed) >= least else "not to be seen"


def _probe_grid(background: PreparedBackground, lesion: PhantomLesion, index: int) -> ImageGrid:
    reach = lesion.reach_mm + 10
    x, y, _ = lesion.centre_mm
    return ImageGrid(
        x_mm=np.arange(x - reach, x + reach, 1.0),
        y_mm=np.arange(y - reach, y + reach, 1.0),
        z_mm=background.volume.z_mm[index : index + 1],
        pixel_mm=1.0,
        sources=((index,),),
        thickness_mm=background.volume.thickness_mm,
    )
