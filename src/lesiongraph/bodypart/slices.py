"""A CT slice as the body part regressor sees it: windowed, 8 bit, 128 x 128, cut to the body's box.

Body masks need HU and a spacing; a regressor must also read 8-bit pictures that have neither. So the box is
found on the windowed slice, where both are the same: everything below the window is black.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from lesiongraph.recipe import SsbrRecipe

SliceMode = Literal["body", "frame"]

FRAME_PX = 192  # training frames: a body on them is about as large as the network's input

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
    windowed = _windowed(hu, recipe)
    return _input(windowed, _box(windowed) if mode == "body" else None, spacing_mm, recipe)


def slice_to_learn(
    hu: NDArray[np.generic],
    spacing_mm: tuple[float, float] = (1.0, 1.0),
    recipe: SsbrRecipe | None = None,
    *,
    mode: SliceMode = "body",
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]:
    """Return `slice_input` and, windowed and searched once for both, what random views are cut from.

    Parameters
    ----------
    hu, spacing_mm, recipe, mode
        As for `slice_input`.

    Returns
    -------
    input : ndarray, shape (size, size), uint8
    frame : ndarray, shape (FRAME_PX, FRAME_PX), uint8
        Windowed, square pixels, made smaller where it is larger; in the upper left corner, black elsewhere.
    box : ndarray, shape (4,)
        (row0, column0, row1, column1) of the body on the frame; all of the slice where no body is seen.
    """
    recipe = recipe or SsbrRecipe()
    windowed = _windowed(hu, recipe)
    box = _box(windowed)
    aspect = _aspect(spacing_mm)
    scale = min(1.0, FRAME_PX / max(windowed.shape[0] * aspect, windowed.shape[1]))
    target = max(1, round(windowed.shape[0] * aspect * scale)), max(1, round(windowed.shape[1] * scale))
    frame = np.zeros((FRAME_PX, FRAME_PX), np.uint8)
    frame[: target[0], : target[1]] = _resized(windowed, target)
    on_frame = np.array(box, np.float32) * np.float32(scale) * np.array([aspect, 1, aspect, 1], np.float32)
    return _input(windowed, box if mode == "body" else None, spacing_mm, recipe), frame, on_frame


def _windowed(hu: NDArray[np.generic], recipe: SsbrRecipe) -> NDArray[np.uint8]:
    if hu.ndim != 2 or 0 in hu.shape:
        raise ValueError(f"hu: expected shape (rows, columns), not empty, got {hu.shape}")
    return window_to_8bit(hu, recipe.window_low_hu, recipe.window_high_hu)


def _box(windowed: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """The body's box, or all of a slice that shows no body."""
    return body_box(windowed) or (0, 0, windowed.shape[0], windowed.shape[1])


def _input(
    windowed: NDArray[np.uint8],
    box: tuple[int, int, int, int] | None,
    spacing_mm: tuple[float, float],
    recipe: SsbrRecipe,
) -> NDArray[np.uint8]:
    if box is None:
        return _resized(windowed, (recipe.slice_size_px, recipe.slice_size_px))
    row0, column0, row1, column1 = box
    return _letterboxed(windowed[row0:row1, column0:column1], _aspect(spacing_mm), recipe.slice_size_px)


def window_to_8bit(hu: NDArray[np.generic], low_hu: float, high_hu: float) -> NDArray[np.uint8]:
    """Map HU in [low, high] linearly to 0..255; NaN (no measurement) becomes air."""
    if hu.dtype == np.int16:  # as readers give it: a table is four times faster than arithmetic
        return _grey_of_int16(low_hu, high_hu)[hu.view(np.uint16)]
    return _grey(hu, low_hu, high_hu)


def _grey(hu: NDArray[np.generic], low_hu: float, high_hu: float) -> NDArray[np.uint8]:
    scaled = (np.nan_to_num(hu.astype(np.float32), nan=low_hu) - low_hu) * (255.0 / (high_hu - low_hu))
    grey: NDArray[np.uint8] = np.rint(np.clip(scaled, 0.0, 255.0)).astype(np.uint8)
    return grey


@lru_cache(maxsize=4)
def _grey_of_int16(low_hu: float, high_hu: float) -> NDArray[np.uint8]:
    """Grey level of every int16, indexed by its bits as uint16 (65536,)."""
    return _grey(np.arange(2**16, dtype=np.uint16).view(np.int16), low_hu, high_hu)


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
    # opening with a diamond of 5 px cuts the thin table and its cushions off the back
    opened = _opened(np.pad(solid, 3, mode="edge"))[3:-3, 3:-3]
    labels, _ = ndimage.label(opened if opened.any() else solid)
    found = ndimage.find_objects(labels)
    largest = max(_box_area(part) for part in found)
    parts = [part for part in found if _box_area(part) >= _PART_SHARE * largest]
    rows = min(part[0].start for part in parts) * step, max(part[0].stop for part in parts) * step
    columns = min(part[1].start for part in parts) * step, max(part[1].stop for part in parts) * step
    return _widened(rows, columns, windowed.shape)


def _opened(solid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Erode and dilate twice by a plus: ndimage.binary_opening, several times faster."""
    for combine in (np.logical_and, np.logical_and, np.logical_or, np.logical_or):
        grown = np.pad(solid, 1)  # beyond the border there is nothing
        solid = solid.copy()
        for shifted in (grown[:-2, 1:-1], grown[2:, 1:-1], grown[1:-1, :-2], grown[1:-1, 2:]):
            combine(solid, shifted, out=solid)
    return solid


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
