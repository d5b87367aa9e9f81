"""Spacing, axes, marks and boxes on one slice, with their units in their names.

Array coordinates: 0-based, x = column, y = row, the centre of the first pixel is (0, 0).
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Spacing:
    """Distance between neighbouring voxel centres in mm; `z_mm` is the slice interval, NaN if unknown."""

    z_mm: float
    y_mm: float
    x_mm: float


@dataclass(frozen=True)
class Axis:
    """One straight measurement line on a slice, in array coordinates (px)."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def length_px(self) -> float:
        """Length in pixels."""
        return math.hypot(self.x1 - self.x0, self.y1 - self.y0)

    def length_mm(self, spacing: Spacing) -> float:
        """Length in mm on pixels of the given spacing."""
        return math.hypot((self.x1 - self.x0) * spacing.x_mm, (self.y1 - self.y0) * spacing.y_mm)

    def shifted(self, dx_px: float, dy_px: float) -> Axis:
        """Return the axis moved by (dx, dy) px."""
        return Axis(self.x0 + dx_px, self.y0 + dy_px, self.x1 + dx_px, self.y1 + dy_px)


@dataclass(frozen=True)
class BoundingBox:
    """An axis-parallel box `(x0, y0, x1, y1)` in array coordinates (px)."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width_px(self) -> float:
        """Extent along x in pixels."""
        return self.x1 - self.x0

    @property
    def height_px(self) -> float:
        """Extent along y in pixels."""
        return self.y1 - self.y0

    @property
    def centre(self) -> tuple[float, float]:
        """Centre (x, y) in pixels."""
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    def padded(self, padding_px: float) -> BoundingBox:
        """Return the box grown by `padding_px` on every side."""
        return BoundingBox(
            self.x0 - padding_px, self.y0 - padding_px, self.x1 + padding_px, self.y1 + padding_px
        )

    def flipped(self, columns: int, rows: int, flip_x: bool, flip_y: bool) -> BoundingBox:
        """Return the box on the image mirrored left-right (`flip_x`) and/or top-bottom (`flip_y`)."""
        x0, x1 = (columns - 1 - self.x1, columns - 1 - self.x0) if flip_x else (self.x0, self.x1)
        y0, y1 = (rows - 1 - self.y1, rows - 1 - self.y0) if flip_y else (self.y0, self.y1)
        return BoundingBox(x0, y0, x1, y1)

    def is_inside(self, columns: int, rows: int) -> bool:
        """Whether the whole box lies on an image of that size."""
        return self.x0 >= -0.5 and self.y0 >= -0.5 and self.x1 <= columns - 0.5 and self.y1 <= rows - 0.5


@dataclass(frozen=True)
class RecistMark:
    """The two RECIST diameters of one lesion on one slice (Sec. 3; Eisenhauer et al. 2009)."""

    long_axis: Axis
    short_axis: Axis

    def bounding_box(self, padding_px: float = 5.0) -> BoundingBox:
        """Return the box tight around both axes, padded (Sec. 3: 5 px)."""
        xs = (self.long_axis.x0, self.long_axis.x1, self.short_axis.x0, self.short_axis.x1)
        ys = (self.long_axis.y0, self.long_axis.y1, self.short_axis.y0, self.short_axis.y1)
        return BoundingBox(min(xs), min(ys), max(xs), max(ys)).padded(padding_px)
