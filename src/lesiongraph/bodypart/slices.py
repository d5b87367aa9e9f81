"""A CT slice as the body part regressor sees it: windowed, 8 bit, 128 x 128, cut to the body's box.

Body masks need HU and a spacing; a regressor must also read 8-bit pictures that have neither. So the box is
found on the windowed slice, where both are the same: everything below the window is black.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from lesiongraph.recipe import SsbrRecipe

SliceMode = Literal["body", "frame"]

_SEARCH_PX = 192  # the box is searched on a thumbnail: a pixel of it is about 2 mm
_BODY_LEVEL = 24  # of 255 in the window [-175, 275]: about -133 HU, between air and fat
_PART_SHARE = 0.25  # a part this large beside the largest belongs to the body (the second leg)
_BLANK_SHARE = 0.01  # fewer pixels than this above the level: the slice shows no body
_MARGIN = 0.02  # of the box's side, so that the skin stays inside


def slice_input(
    hu: NDArray[np.generic],
    spacing_mm: tuple[float, float] = (1.0, 1.0),
    recipe: SsbrRecipe | None = None,
    *,
    mode: SliceMode = "body",
) -> NDArray[np.uint8]:
    """Turn one canonical HU slice into the network's input.

    Parameters
    ----------
    hu : ndarray, shape (rows, columns)
        Canonical view (columns to the patient's left, rows to the back), HU.
    spacing_mm : tuple of float
        Row and column spacing; only their ratio is used, to keep the body's proportions.
        A spacing that is not a positive number counts as square pixels.
    recipe : SsbrRecipe, optional
        Window and size.
    mode : {"body", "frame"}
        "body" cuts to the body's box, so that field of view and table do not matter; "frame" resizes the
        whole slice as the paper does (Sec. 8.2).

    Returns
    -------
    ndarray, shape (size, size), uint8

    Raises
    ------
    ValueError
        If `hu` is not a non-empty 2-D array.

    Source: Sec. 8.2 (size); window and crops as in the authors' code.
    """
    recipe = recipe or SsbrRecipe()
    if hu.ndim != 2 or 0 in hu.shape:
        raise ValueError(f"hu: expected shape (rows, columns), not empty, got {hu.shape}")
    windowed = window_to_8bit(hu, recipe.window_low_hu, recipe.window_high_hu)
    if mode == "frame":
        return _resized(windowed, (recipe.slice_size_px, recipe.slice_size_px))
    box = body_box(windowed)
    if box is None:
        box = (0, 0, hu.shape[0], hu.shape[1])
    row0, column0, row1, column1 = box
    return _letterboxed(windowed[row0:row1, column0:column1], _aspect(spacing_mm), recipe.slice_size_px)


def window_to_8bit(hu: NDArray[np.generic], low_hu: float, high_hu: float) -> NDArray[np.uint8]:
    """Map HU in [low, high] linearly to 0..255; NaN (no measurement) becomes air."""
    scaled = (np.nan_to_num(hu.astype(np.float32), nan=low_hu) - low_hu) * (255.0 / (high_hu - low_hu))
    grey: NDArray[np.uint8] = np.rint(np.clip(scaled, 0.0, 255.0)).astype(np.uint8)
    return grey


def body_box(windowed: NDArray[np.uint8]) -> tuple[int, int, int, int] | None:
    """Find the box round the body on a windowed slice.

    Parameters
    ----------
    windowed : ndarray, shape (rows, columns), uint8
        Window [-175, 275].

    Returns
    -------
    (row0, column0, row1, column1), half-open, or None where the slice shows no body.
    """
    step = max(1, max(windowed.shape) // _SEARCH_PX)
    thumb = windowed[::step, ::step]
    solid = thumb > _BODY_LEVEL
    if solid.mean() < _BLANK_SHARE:
        return None
    # opening with a plus of 5 px cuts the thin table and its cushions off the back
    opened = ndimage.binary_opening(np.pad(solid, 3, mode="edge"), iterations=2)[3:-3, 3:-3]
    labels, _ = ndimage.label(opened if opened.any() else solid)
    found = ndimage.find_objects(labels)
    largest = max(_box_area(part) for part in found)
    parts = [part for part in found if _box_area(part) >= _PART_SHARE * largest]
    rows = min(part[0].start for part in parts) * step, max(part[0].stop for part in parts) * step
    columns = min(part[1].start for part in parts) * step, max(part[1].stop for part in parts) * step
    return _widened(rows, columns, windowed.shape)


def shows_body(slices: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tell which inputs (n, size, size) show anything but air."""
    shown: NDArray[np.bool_] = (slices > _BODY_LEVEL).mean(axis=(1, 2)) >= _BLANK_SHARE
    return shown


def _box_area(part: tuple[slice, ...]) -> int:
    height, width = (extent.stop - extent.start for extent in part)
    return int(height * width)


def _widened(
    rows: tuple[int, int], columns: tuple[int, int], shape: tuple[int, ...]
) -> tuple[int, int, int, int]:
    margin = round(_MARGIN * max(rows[1] - rows[0], columns[1] - columns[0])) + 1
    return (
        max(0, rows[0] - margin),
        max(0, columns[0] - margin),
        min(shape[0], rows[1] + margin),
        min(shape[1], columns[1] + margin),
    )


def _aspect(spacing_mm: tuple[float, float]) -> float:
    """Row spacing over column spacing, 1 where it makes no sense."""
    ratio = spacing_mm[0] / spacing_mm[1] if spacing_mm[1] else np.nan
    return ratio if np.isfinite(ratio) and 0.2 < ratio < 5 else 1.0


def _letterboxed(pixels: NDArray[np.uint8], aspect: float, size_px: int) -> NDArray[np.uint8]:
    """Resize keeping the proportions, centred on black."""
    height, width = pixels.shape[0] * aspect, float(pixels.shape[1])
    scale = size_px / max(height, width)
    target = max(1, round(height * scale)), max(1, round(width * scale))
    canvas = np.zeros((size_px, size_px), np.uint8)
    top, left = (size_px - target[0]) // 2, (size_px - target[1]) // 2
    canvas[top : top + target[0], left : left + target[1]] = _resized(pixels, target)
    return canvas


def _resized(pixels: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    if pixels.shape == shape:
        return pixels.copy()
    image = torch.from_numpy(np.ascontiguousarray(pixels))[None, None].float()
    resized = torch.nn.functional.interpolate(image, shape, mode="bilinear", antialias=True)
    return resized[0, 0].round().clamp(0, 255).byte().numpy()
