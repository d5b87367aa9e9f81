"""One lesion as the network sees it: box + 50 mm, 1 mm/px, three slices 2 mm apart (Sec. 3).

The pixel grid is that of the whole canonical slice resized to 1 mm/px: pixel `U` of the resized slice
covers [U, U + 1) mm from the slice's outer edge, so its centre lies at column `(U + 0.5) / spacing − 0.5`
of the image. Only the patch is ever computed; it equals that part of the resized slice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesiongraph.errors import NotCtError, UnreadableImageError
from lesiongraph.imaging.context import ContextPlan, PatchError, plan_context
from lesiongraph.lesion import BoundingBox
from lesiongraph.recipe import ImagingRecipe

if TYPE_CHECKING:  # the protocol only: patches on disk are read without pydicom
    from lesiongraph.mining import SliceReader

Int16 = NDArray[np.int16]
Float32 = NDArray[np.float32]

FLAG_BOX_CLIPPED = "box clipped at the image border"
FLAG_SCALED = "patch scaled down"


@dataclass(frozen=True)
class Patch:
    """What the network sees of one lesion.

    Attributes
    ----------
    hu : (context_slices, height, width) int16
        Head to foot, canonical view.
    box : BoundingBox
        The lesion in the patch's array coordinates (px).
    scale_mm : float
        Size of a patch pixel in mm: 1.0 unless the patch was scaled down.
    context_slices_mm : tuple of float
        Where each slice was truly taken, in mm from the key slice towards the feet; 0 for a repeated
        key slice, NaN where a neighbour was taken at an unknown distance.
    flags : tuple of str
    """

    hu: Int16
    box: BoundingBox
    scale_mm: float = 1.0
    context_slices_mm: tuple[float, ...] = ()
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Grid:
    """One axis: patch pixel i lies at image coordinate (start_mm + (i + 0.5)·step_mm) / spacing_mm − 0.5."""

    start_mm: float
    step_mm: float
    count: int
    spacing_mm: float

    def image_coordinates(self) -> NDArray[np.float64]:
        centres_mm = self.start_mm + (np.arange(self.count, dtype=np.float64) + 0.5) * self.step_mm
        return centres_mm / self.spacing_mm - 0.5  # (count,)

    def from_image(self, coordinate_px: float) -> float:
        return ((coordinate_px + 0.5) * self.spacing_mm - self.start_mm) / self.step_mm - 0.5


def cut_patch(
    reader: SliceReader,
    series: Mapping[str, object],
    slices: pd.DataFrame,
    slice_index: int,
    box: BoundingBox,
    recipe: ImagingRecipe | None = None,
) -> Patch:
    """Return the patch of one lesion.

    Parameters
    ----------
    reader : SliceReader
        Of the series; at most five slices are read, in one call.
    series : mapping
        One row of SERIES: `spacing_x_mm`, `spacing_y_mm`, `slice_interval_mm`, `flip_x`, `flip_y`.
    slices : DataFrame
        Its SLICES rows (`slice_index`, `position_mm`), any order.
    slice_index : int
        The key slice.
    box : BoundingBox
        Of the lesion, array coordinates of the stored key slice (px); clipped at the image border.
    recipe : ImagingRecipe, optional
        Of the paper if left out.

    Raises
    ------
    PatchError
        If the box is not a box or lies wholly off the image, the pixel spacing is unknown, or the key
        slice is not in `slices`.
    UnreadableImageError, NotCtError
        From the reader, for the key slice; an unreadable neighbour is a missing one (flagged).

    Source
    ------
    Sec. 3; facts §1 for context, clipping and the 200 px limit (authors' code).
    """
    recipe = recipe or ImagingRecipe()
    spacing_x, spacing_y = _pixel_spacing(series)
    _check_box(box)
    plan = plan_context(
        slices,
        slice_index,
        _number(series.get("slice_interval_mm")),
        recipe.context_slices,
        recipe.context_interval_mm,
    )
    stored, plan = _read(reader, slices, plan)
    rows, columns = stored.shape[1:]
    flip_x, flip_y = bool(series.get("flip_x", False)), bool(series.get("flip_y", False))
    shown = canonical_view(stored, flip_x, flip_y)
    seen, clipped = _clip(box.flipped(columns, rows, flip_x, flip_y), columns, rows)
    grid_x, grid_y, scaled = _patch_grids(seen, (columns, rows), (spacing_x, spacing_y), recipe)
    flags = plan.flags + ((FLAG_BOX_CLIPPED,) if clipped else ()) + ((FLAG_SCALED,) if scaled else ())
    return Patch(
        hu=_resample(shown, plan, grid_x, grid_y),
        box=BoundingBox(
            grid_x.from_image(seen.x0),
            grid_y.from_image(seen.y0),
            grid_x.from_image(seen.x1),
            grid_y.from_image(seen.y1),
        ),
        scale_mm=grid_x.step_mm,
        context_slices_mm=plan.offsets_mm,
        flags=flags,
    )


def canonical_view(hu: Int16, flip_x: bool, flip_y: bool) -> Int16:
    """Return stored pixels (..., rows, columns) as the canonical view: a view, nothing is copied.

    Parameters
    ----------
    hu : (..., rows, columns)
    flip_x, flip_y : bool
        As the series row states them.
    """
    return hu[..., :: -1 if flip_y else 1, :: -1 if flip_x else 1]


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float | np.number) else math.nan


def _pixel_spacing(series: Mapping[str, object]) -> tuple[float, float]:
    spacing = _number(series.get("spacing_x_mm")), _number(series.get("spacing_y_mm"))
    if not all(math.isfinite(value) and value > 0 for value in spacing):
        raise PatchError("pixel spacing unknown", f"expected two positive numbers in mm, got {spacing}")
    return spacing


def _check_box(box: BoundingBox) -> None:
    corners = (box.x0, box.y0, box.x1, box.y1)
    if not all(math.isfinite(corner) for corner in corners) or box.width_px < 0 or box.height_px < 0:
        raise PatchError("not a bounding box", f"expected x0 <= x1 and y0 <= y1, got {corners}")


def _read(reader: SliceReader, slices: pd.DataFrame, plan: ContextPlan) -> tuple[Int16, ContextPlan]:
    """Read what the plan needs; a neighbour that cannot be read counts as missing."""
    try:
        return _checked(reader.read(plan.slice_indices), plan), plan
    except (UnreadableImageError, NotCtError):
        reader.read([plan.key_index])  # the key slice itself must be readable: let its error out
    unreadable = [index for index in plan.slice_indices if not _is_readable(reader, index)]
    replanned = plan.without(slices, unreadable)
    return _checked(reader.read(replanned.slice_indices), replanned), replanned


def _is_readable(reader: SliceReader, index: int) -> bool:
    try:
        reader.read([index])
    except (UnreadableImageError, NotCtError):
        return False
    return True


def _checked(stored: Int16, plan: ContextPlan) -> Int16:
    if stored.ndim != 3 or len(stored) != len(plan.slice_indices) or 0 in stored.shape:
        raise PatchError(
            "reader gave another shape",
            f"expected ({len(plan.slice_indices)}, rows, columns), got {stored.shape}",
        )
    return stored


def _clip(box: BoundingBox, columns: int, rows: int) -> tuple[BoundingBox, bool]:
    if box.is_inside(columns, rows):
        return box, False
    x0, x1 = max(box.x0, -0.5), min(box.x1, columns - 0.5)
    y0, y1 = max(box.y0, -0.5), min(box.y1, rows - 0.5)
    if x0 > x1 or y0 > y1:
        raise PatchError("box off the image", f"{box} against {columns} × {rows} px")
    return BoundingBox(x0, y0, x1, y1), True


def _patch_grids(
    box: BoundingBox,
    size_px: tuple[int, int],
    spacing_mm: tuple[float, float],
    recipe: ImagingRecipe,
) -> tuple[_Grid, _Grid, bool]:
    """Return the patch's grid along x and y, and whether it was scaled down."""
    unit = recipe.patch_spacing_mm
    spans = []
    for low, high, size, spacing in (
        (box.x0, box.x1, size_px[0], spacing_mm[0]),
        (box.y0, box.y1, size_px[1], spacing_mm[1]),
    ):
        resized = max(1, round(size * spacing / unit))  # the whole slice at 1 mm/px
        # 1e-9: an edge that lies on a whole mm must not gain a pixel from rounding
        start = math.floor(((low + 0.5) * spacing - recipe.patch_padding_mm) / unit + 1e-9)
        stop = math.ceil(((high + 0.5) * spacing + recipe.patch_padding_mm) / unit - 1e-9)
        start = min(max(0, start), resized - 1)
        spans.append((start, max(start + 1, min(resized, stop))))
    longest = max(stop - start for start, stop in spans)
    step = unit * max(1.0, longest / recipe.patch_max_px)
    # up, not to the nearest: the 1 mm/px slice was rounded already, and two roundings add up past the box
    grid_x, grid_y = (
        _Grid(start * unit, step, max(1, math.ceil((stop - start) * unit / step - 1e-9)), spacing)
        for (start, stop), spacing in zip(spans, spacing_mm, strict=True)
    )
    return grid_x, grid_y, longest > recipe.patch_max_px


def _resample(shown: Int16, plan: ContextPlan, grid_x: _Grid, grid_y: _Grid) -> Int16:
    """Blend neighbouring slices, then resample the crop bilinearly; edges repeat beyond the border."""
    low_y, high_y, weight_y = _bilinear(grid_y, shown.shape[1])
    low_x, high_x, weight_x = _bilinear(grid_x, shown.shape[2])
    top, left = low_y[0], low_x[0]
    crop = shown[:, top : high_y[-1] + 1, left : high_x[-1] + 1].astype(np.float32)
    blended = np.tensordot(plan.weights, crop, axes=1)  # (context_slices, crop rows, crop columns)
    lines = blended[:, low_y - top]
    lines += (blended[:, high_y - top] - lines) * weight_y[None, :, None]
    hu = lines[:, :, low_x - left]
    hu += (lines[:, :, high_x - left] - hu) * weight_x
    return np.rint(hu, out=hu).astype(np.int16)


def _bilinear(grid: _Grid, size: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Float32]:
    """Return for each output pixel its two image neighbours and the weight of the second."""
    coordinates = np.clip(grid.image_coordinates(), 0.0, size - 1.0)
    low = np.floor(coordinates).astype(np.intp)
    return low, np.minimum(low + 1, size - 1), (coordinates - low).astype(np.float32)
