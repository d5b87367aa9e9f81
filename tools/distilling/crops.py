"""Crops as the embedder will see lesions: a box of a lesion's size in 50 mm of surroundings, three slices.

Half of them get a made-up lesion, because what the trunk must tell apart is lesions, and the volumes
hold few. All are zoomed, mirrored and made noisy when drawn, not later: the teacher sees the same pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from distilling.volumes import Volume
from lesiongraph.imaging import body_mask
from lesiongraph.lesion import BoundingBox

CONTEXT_MM = 2.0
PADDING_PX = 50
CROP_SIDES_PX = {112: 0.3, 128: 0.35, 144: 0.2, 160: 0.15}  # side -> share; box + 2 · 50 mm, as lesions are
BOX_PX = (10.0, 70.0)
SCALES = (0.7, 1.4)  # children to large adults, and the patches that are scaled down
LEAST_BODY = 0.2  # share of a crop that is no air
LESION_HU = ((-900.0, -500.0), (-100.0, 0.0), (0.0, 120.0), (20.0, 90.0), (150.0, 900.0))  # cavity … calcium

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Crop:
    """A patch of the training: three slices, square, and a box."""

    hu: NDArray[np.int16]  # (3, side, side)
    box: BoundingBox


def draw_crops(volumes: Sequence[Volume], count: int, rng: np.random.Generator) -> list[Crop]:
    """Draw crops, each volume in turn; sides in the shares of `CROP_SIDES_PX`."""
    sides = rng.choice(list(CROP_SIDES_PX), count, p=list(CROP_SIDES_PX.values()))
    return [draw_crop(volumes[i % len(volumes)], int(side), rng) for i, side in enumerate(sides)]


def draw_crop(volume: Volume, side: int, rng: np.random.Generator) -> Crop:
    """Draw one crop round a place in the body."""
    scale = float(np.exp(rng.uniform(*np.log(SCALES))))
    for _ in range(50):
        hu = _cut(volume, side, scale, rng)
        if np.mean(hu[1] > -300) > LEAST_BODY:
            break
    box = draw_lesion_box(side, rng)
    if rng.random() < 0.5:
        hu = paint_lesion(hu, box, rng)
    if rng.random() < 0.5:
        hu = hu[:, :, ::-1]
        box = BoundingBox(side - 1 - box.x1, box.y0, side - 1 - box.x0, box.y1)
    return Crop(_spoil(hu, rng), box)


def draw_lesion_box(side: int, rng: np.random.Generator) -> BoundingBox:
    """Draw the box that a patch of this side is cut round.

    One in five lies anywhere, as in a patch that was clipped at the image border.
    """
    longer = float(np.clip(side - 2 * PADDING_PX, *BOX_PX))
    width, height = rng.permutation([longer, max(BOX_PX[0], longer * rng.uniform(0.5, 1.0))])
    centre = (side - 1) / 2
    x, y = (centre, centre) if rng.random() < 0.8 else rng.uniform(longer / 2, side - 1 - longer / 2, 2)
    return BoundingBox(x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def draw_box(side: int, rng: np.random.Generator) -> BoundingBox:
    """Draw any box inside a crop of that side, sized as lesions are (log-uniform)."""
    width, height = np.exp(rng.uniform(*np.log(BOX_PX), 2))
    x0, y0 = rng.uniform(0, side - 1 - width), rng.uniform(0, side - 1 - height)
    return BoundingBox(x0, y0, x0 + width, y0 + height)


def _cut(volume: Volume, side: int, scale: float, rng: np.random.Generator) -> Float32:
    """Three slices (3, side, side) round a random place of the body, zoomed by `scale`."""
    count, height, width = volume.hu.shape
    key = int(rng.integers(count))
    rows, columns = np.nonzero(body_mask(volume.hu[key], (1.0, 1.0)).mask)
    if not len(rows):
        return np.full((3, side, side), -1024, np.float32)
    place = int(rng.integers(len(rows)))
    taken = int(np.ceil(side / scale))
    # a lesion's patch ends at the image border: so does the crop, as far as the image is large enough
    top = int(np.clip(rows[place] - taken // 2, 0, max(0, height - taken)))
    left = int(np.clip(columns[place] - taken // 2, 0, max(0, width - taken)))
    view = volume.hu[:, top : top + taken, left : left + taken]
    step = CONTEXT_MM * scale / volume.interval_mm
    near = np.stack([_slice_at(view, key + offset * step) for offset in (-1, 0, 1)])
    zoomed = zoom(near, (1, scale, scale), order=1)[:, :side, :side]
    hu = np.full((3, side, side), -1024, np.float32)
    hu[:, : zoomed.shape[1], : zoomed.shape[2]] = zoomed
    return hu


def _slice_at(view: NDArray[np.int16], index: float) -> Float32:
    index = min(max(index, 0.0), len(view) - 1.0)
    low = int(index)
    high = min(low + 1, len(view) - 1)
    return view[low] + np.float32(index - low) * (view[high].astype(np.float32) - view[low])


def paint_lesion(hu: Float32, box: BoundingBox, rng: np.random.Generator) -> Float32:
    """Blend a lumpy ellipsoid of another density into the box."""
    side = hu.shape[1]
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    half_x, half_y = (box.x1 - box.x0) / 2 * 0.75, (box.y1 - box.y0) / 2 * 0.75
    lumps = gaussian_filter(rng.standard_normal((side, side), dtype=np.float32), 4)
    radius = np.hypot((columns - x) / half_x, (rows - y) / half_y) + lumps / lumps.std() * rng.uniform(
        0, 0.25
    )
    edge = rng.uniform(0.05, 0.3)
    density = rng.uniform(*LESION_HU[int(rng.integers(len(LESION_HU)))])
    texture = gaussian_filter(rng.standard_normal((side, side), dtype=np.float32), rng.uniform(0.8, 3))
    inside = density + texture / texture.std() * rng.uniform(0, 40)
    strength = rng.uniform(0.4, 1.0)
    painted = []
    for one, reach in zip(hu, (rng.uniform(0.6, 1), 1.0, rng.uniform(0.6, 1)), strict=True):
        share = strength / (1 + np.exp(np.clip((radius - reach) / edge, -30, 30) * 4))
        painted.append(one + share * (inside - one))
    return np.stack(painted).astype(np.float32)


def _spoil(hu: Float32, rng: np.random.Generator) -> NDArray[np.int16]:
    """Blur or not, noise of 0–25 HU with a grain, an offset of a few HU."""
    if rng.random() < 0.3:
        blur = float(rng.uniform(0.3, 1.0))
        hu = gaussian_filter(hu, (0, blur, blur))
    grain = float(rng.uniform(0, 1))
    noise = gaussian_filter(rng.standard_normal(hu.shape, dtype=np.float32), (0, grain, grain))
    hu = hu + noise / noise.std() * rng.uniform(0, 25) + rng.normal(0, 5)
    return np.ascontiguousarray(np.clip(np.rint(hu), -1024, 3071).astype(np.int16))
