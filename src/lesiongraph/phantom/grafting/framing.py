"""What one study shows: the slices that its lesions need, the body's box, the pixel size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lesiongraph.imaging import body_mask
from lesiongraph.phantom.grafting.prepared import PreparedBackground
from lesiongraph.phantom.grafting.warp import ImageGrid
from lesiongraph.phantom.lesions import PhantomLesion

MARGIN_MM = 60.0  # above and below the lesions, so that SSBR can fit its line
LEAST_SLICES = 30
JITTER_MM = 12.0
AROUND_BODY_MM = 14.0
SMALLEST_PIXEL_MM = 0.9
THIN_MM, THICKEN_PROBABILITY = 2.6, 0.6
BODY_SAMPLES = 9


def frame_study(
    background: PreparedBackground, lesions: Sequence[PhantomLesion], rng: np.random.Generator
) -> ImageGrid:
    """Draw the grid of one study; thin slices are averaged in pairs in some studies."""
    volume = background.volume
    first, last = _range(volume.z_mm, lesions, rng)
    sources: list[tuple[int, ...]] = [(k,) for k in range(first, last + 1)]
    thickness = volume.thickness_mm
    if np.median(np.diff(volume.z_mm)) <= THIN_MM and rng.random() < THICKEN_PROBABILITY:
        sources = [(k, k + 1) for k in range(first, last, 2)]
        thickness = 2 * float(np.median(np.diff(volume.z_mm)))
    left, right, top, bottom = _body_box(background, first, last)
    pixel = max(SMALLEST_PIXEL_MM, volume.pixel_mm[1])
    return ImageGrid(
        x_mm=np.arange(left, right, pixel),
        y_mm=np.arange(top, bottom, pixel),
        z_mm=np.array([float(np.mean(volume.z_mm[list(group)])) for group in sources]),
        pixel_mm=pixel,
        sources=tuple(sources),
        thickness_mm=thickness,
    )


def _range(z_mm: np.ndarray, lesions: Sequence[PhantomLesion], rng: np.random.Generator) -> tuple[int, int]:
    """Return first and last slice: the lesions' and some cm around, LEAST_SLICES where there are so many."""
    if not lesions:
        return 0, min(len(z_mm), LEAST_SLICES) - 1
    margins = MARGIN_MM + rng.uniform(0, JITTER_MM, 2)
    top = min(one.centre_mm[2] - one.reach_mm for one in lesions) - margins[0]
    bottom = max(one.centre_mm[2] + one.reach_mm for one in lesions) + margins[1]
    inside = np.flatnonzero((z_mm >= top) & (z_mm <= bottom))
    first, last = int(inside[0]), int(inside[-1])
    while last - first + 1 < min(LEAST_SLICES, len(z_mm)):
        first, last = max(0, first - 1), min(len(z_mm) - 1, last + 1)
    return first, last


def _body_box(background: PreparedBackground, first: int, last: int) -> tuple[float, float, float, float]:
    """Return left, right, top, bottom (mm) round the body, within the image."""
    volume = background.volume
    pixel_y, pixel_x = volume.pixel_mm
    seen = np.zeros_like(volume.hu[0], bool)
    for k in np.unique(np.linspace(first, last, BODY_SAMPLES).round().astype(int)):
        seen |= body_mask(volume.hu[k], volume.pixel_mm).mask
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    height, width = volume.hu.shape[1:]
    last_y, last_x = (height - 1) * pixel_y, (width - 1) * pixel_x
    return (
        max(0.0, columns[0] * pixel_x - AROUND_BODY_MM),
        min(last_x, columns[-1] * pixel_x + AROUND_BODY_MM),
        max(0.0, rows[0] * pixel_y - AROUND_BODY_MM),
        min(last_y, rows[-1] * pixel_y + AROUND_BODY_MM),
    )
