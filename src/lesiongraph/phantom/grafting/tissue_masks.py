"""A background → body, lung and contrast-filled lumens on a coarse grid (full in z).

Thresholds are ours, set by looking at overlays on seven public CT series (`tools/grafted_overlays.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from lesiongraph.imaging import body_mask
from lesiongraph.phantom.grafting.backgrounds import BackgroundVolume

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]

COARSE_MM = 1.7
LUNG_BELOW_HU, LUNG_LEAST_ML = -400.0, 150.0
LUNG_MEAN_HU = (-940.0, -500.0)  # bowel gas is emptier
LUNG_CLOSING_MM = 8.0  # vessels and small nodules lie within the lung
LUMEN_HU, LUMEN_TEXTURE_HU = (105.0, 600.0), 22.0
LUMEN_GROWTH_MM = 4.0


@dataclass(frozen=True)
class TissueMasks:
    """Masks (n, rows, columns) on the coarse grid; `hu` is lightly smoothed."""

    hu: Floats
    step: int  # pixels of the image in a coarse pixel
    pixel_mm: tuple[float, float]  # of the coarse grid, y, x
    interval_mm: float  # of the slices
    body: Mask
    lung: Mask  # with its vessels
    air: Mask  # lung without them
    lumen: Mask  # evenly bright: vessels, heart and organs full of contrast, and some marrow


def find_masks(volume: BackgroundVolume) -> TissueMasks:
    """Find body, lung, air and lumens of a background."""
    step = max(1, round(COARSE_MM / volume.pixel_mm[1]))
    pixel_mm = (volume.pixel_mm[0] * step, volume.pixel_mm[1] * step)
    body = np.stack([coarse_slice(body_mask(hu, volume.pixel_mm).mask, step) > 0.5 for hu in volume.hu])
    raw = np.stack([coarse_slice(hu, step) for hu in volume.hu])
    hu = np.stack([ndimage.gaussian_filter(one, 0.7) for one in raw])
    spacing = (float(np.median(np.diff(volume.z_mm))), *pixel_mm)
    air = _lung_air(hu, body, spacing)
    lung = np.stack([_closed(one, pixel_mm, LUNG_CLOSING_MM) for one in air])
    lumen = np.stack([_lumen(one, pixel_mm) for one in hu]) & ~lung
    return TissueMasks(hu, step, pixel_mm, spacing[0], body, lung, air, lumen)


def coarse_slice(values: npt.NDArray[np.generic], step: int) -> Floats:
    """Average blocks of step × step pixels; a rest at the far edges is cut off."""
    rows, columns = (size // step for size in values.shape)
    blocks = values[: rows * step, : columns * step].reshape(rows, step, columns, step)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32), np.float32)


def grown(mask: Mask, pixel_mm: tuple[float, float], by_mm: float) -> Mask:
    """Return a 2-D mask grown by a distance."""
    if not mask.any():
        return mask
    return np.asarray(ndimage.distance_transform_edt(~mask, sampling=pixel_mm) <= by_mm)


def _closed(mask: Mask, pixel_mm: tuple[float, float], by_mm: float) -> Mask:
    wide = grown(mask, pixel_mm, by_mm)
    if not wide.any() or wide.all():
        return wide
    return np.asarray((ndimage.distance_transform_edt(wide, sampling=pixel_mm) > by_mm) | mask)


def _lung_air(hu: Floats, body: Mask, spacing_mm: tuple[float, float, float]) -> Mask:
    """Air inside the body in pieces as large and as full of vessels as a lung's."""
    labels, count = ndimage.label((hu < LUNG_BELOW_HU) & body)
    if not count:
        return np.zeros(hu.shape, bool)
    numbers = np.arange(1, count + 1)
    volumes_ml = np.bincount(labels.ravel(), minlength=count + 1)[1:] * float(np.prod(spacing_mm)) / 1000
    means = np.asarray(ndimage.mean(hu, labels, numbers))
    is_lung = np.zeros(count + 1, bool)
    is_lung[1:] = (volumes_ml >= LUNG_LEAST_ML) & (means > LUNG_MEAN_HU[0]) & (means < LUNG_MEAN_HU[1])
    return np.asarray(is_lung[labels])


def _lumen(hu: Floats, pixel_mm: tuple[float, float]) -> Mask:
    """What is bright and even over some mm, grown over its edge: bone is bright and uneven."""
    size = max(3, 2 * round(3.5 / pixel_mm[1]) + 1)
    mean = ndimage.uniform_filter(hu, size)
    square = ndimage.uniform_filter(hu * hu, size)
    even = np.sqrt(np.maximum(square - mean * mean, 0)) < LUMEN_TEXTURE_HU
    core = even & (mean > LUMEN_HU[0]) & (mean < LUMEN_HU[1])
    edge = grown(core, pixel_mm, LUMEN_GROWTH_MM + size * pixel_mm[1] / 2)
    return np.asarray(edge & (hu > 0.6 * LUMEN_HU[0]))
