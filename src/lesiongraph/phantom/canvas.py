"""Drawing on one slice: soft-edged ellipses and balls, each touching only its own bounding box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lesiongraph.phantom.anatomy import Doubles
from lesiongraph.phantom.fields import Floats

Window = tuple[slice, slice]
EMPTY: Window = (slice(0, 0), slice(0, 0))
"""The window of what lies outside the image."""


@dataclass
class Canvas:
    """One slice in the making.

    `x`, `y` (rows, columns) are the body coordinates of the pixels, bent by the patient's smooth warp.
    """

    hu: Floats  # (rows, columns)
    x: Floats
    y: Floats
    left_mm: float  # image coordinate of the first column's centre
    top_mm: float
    pixel_mm: float
    cos: float  # rotation body -> image
    sin: float
    shift: tuple[float, float]
    margin_mm: float  # how far the warp moves anything
    noise: Floats  # (rows, columns), the patient's fine mottle, about unit variance
    bend: Floats  # the same, coarser: moves edges

    def window(self, cx: float, cy: float, reach_mm: float) -> Window:
        """Return the slices of rows and columns within `reach_mm` of a body point."""
        ix = self.cos * cx - self.sin * cy + self.shift[0]
        iy = self.sin * cx + self.cos * cy + self.shift[1]
        reach = reach_mm + self.margin_mm + 2 * self.pixel_mm
        rows, columns = self.hu.shape
        c0 = max(0, int((ix - reach - self.left_mm) / self.pixel_mm))
        c1 = min(columns, int((ix + reach - self.left_mm) / self.pixel_mm) + 2)
        r0 = max(0, int((iy - reach - self.top_mm) / self.pixel_mm))
        r1 = min(rows, int((iy + reach - self.top_mm) / self.pixel_mm) + 2)
        if c0 >= c1 or r0 >= r1:
            return EMPTY
        return slice(r0, r1), slice(c0, c1)

    def depth_of(self, window: Window, section: Doubles, square: float = 0.0) -> tuple[Floats, Floats]:
        """Return (signed depth in mm, positive inside; relative radius) of an ellipse on the window."""
        cx, cy, a, b, angle = (float(value) for value in section)
        x, y = self.x[window] - np.float32(cx), self.y[window] - np.float32(cy)
        if angle:
            cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
            x, y = cos * x + sin * y, cos * y - sin * x
        u2, v2 = (x * np.float32(1 / a)) ** 2, (y * np.float32(1 / b)) ** 2
        r2 = u2 + v2
        if square:
            r2 = np.float32(1 - square) * r2 + np.float32(square) * np.sqrt(u2 * u2 + v2 * v2)
        r = np.sqrt(r2)
        # |grad r| is about |p| / (a^2, b^2): a first-order distance that stays true for flat ellipses.
        slope = np.sqrt(u2 * np.float32(1 / a**2) + v2 * np.float32(1 / b**2)) / np.maximum(r, 1e-3)
        depth = (1 - r) / np.maximum(slope, np.float32(1 / max(a, b)))
        return np.asarray(depth, np.float32), np.asarray(r, np.float32)

    def cover(self, depth: Floats) -> Floats:
        """Turn a signed depth in mm into coverage 0-1, soft over one pixel."""
        edge = np.float32(1 / max(self.pixel_mm, 1.0))
        return np.asarray(np.clip(depth * edge + np.float32(0.5), 0, 1), np.float32)

    def paint(self, window: Window, alpha: Floats, value: float | Floats) -> None:
        """Mix `value` (HU) into the window with coverage `alpha`."""
        part = self.hu[window]
        part += alpha * (value - part)

    def ellipse(
        self,
        section: Doubles,
        value: float | Floats,
        *,
        square: float = 0.0,
        rough_mm: float = 0.0,
        texture_hu: float = 0.0,
        clip: Floats | None = None,
    ) -> tuple[Window, Floats]:
        """Paint an ellipse whose edge and inside follow the noise; return its window and coverage.

        `value` and `clip` are arrays of the whole slice, or one number.
        """
        window = self.window(section[0], section[1], max(section[2], section[3]) * (1 + 0.2 * square))
        if window == EMPTY or min(section[2], section[3]) < 0.3:
            return EMPTY, np.zeros((0, 0), np.float32)
        depth, _ = self.depth_of(window, section, square)
        noise = self.noise[window]
        if rough_mm:
            depth = depth + np.float32(rough_mm) * self.bend[window]
        alpha = self.cover(depth)
        if clip is not None:
            alpha = alpha * clip[window]
        if isinstance(value, np.ndarray):
            value = value[window]
        self.paint(window, alpha, value + np.float32(texture_hu) * noise if texture_hu else value)
        return window, alpha

    def ball_depth(self, x: Doubles, y: Doubles, radius: Doubles) -> tuple[Window, Floats]:
        """Return (window, depth in mm, positive inside) of the union of balls cut by this slice (k,)."""
        rows, columns = self.hu.shape
        if not len(x):
            return EMPTY, np.zeros((0, 0), np.float32)
        col, row = self._pixel_of(x, y)
        reach = int(np.ceil((float(radius.max()) + 1.0) / self.pixel_mm)) + 1
        r0, r1 = max(0, int(row.min()) - reach), min(rows, int(row.max()) + reach + 1)
        c0, c1 = max(0, int(col.min()) - reach), min(columns, int(col.max()) + reach + 1)
        if r0 >= r1 or c0 >= c1:
            return EMPTY, np.zeros((0, 0), np.float32)
        window = (slice(r0, r1), slice(c0, c1))
        depth = np.full((r1 - r0, c1 - c0), -99, np.float32)
        span = np.arange(-reach, reach + 1)
        r = row[:, None, None] - r0 + span[None, :, None]
        c = col[:, None, None] - c0 + span[None, None, :]
        inside = (r >= 0) & (r < depth.shape[0]) & (c >= 0) & (c < depth.shape[1])
        indices = (r * depth.shape[1] + c)[inside]
        which = np.broadcast_to(np.arange(len(x))[:, None, None], inside.shape)[inside]
        dx = self.x[window].reshape(-1)[indices] - x[which].astype(np.float32)
        dy = self.y[window].reshape(-1)[indices] - y[which].astype(np.float32)
        ball = radius[which].astype(np.float32) - np.sqrt(dx * dx + dy * dy)
        np.maximum.at(depth.reshape(-1), indices, ball)
        return window, depth

    def outline_depth(self, outline: tuple[float, float, float, float]) -> Floats:
        """Return the depth (rows, columns) in mm, along the ray to the centre, inside a trunk outline.

        `outline` is half x, half y, centre y, squareness.
        """
        half_x, half_y, centre_y, square = (np.float32(value) for value in outline)
        x2 = self.x * self.x
        y = self.y - centre_y
        y2 = y * y
        u2, v2 = x2 / (half_x * half_x), y2 / (half_y * half_y)
        r2 = u2 + v2
        if square > 0:
            r2 = (1 - square) * r2 + square * np.sqrt(u2 * u2 + v2 * v2)
        distance = np.sqrt(x2 + y2)
        return np.asarray(distance / np.maximum(np.sqrt(r2), np.float32(1e-3)) - distance, np.float32)

    def _pixel_of(self, x: Doubles, y: Doubles) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Return the column and row whose warped coordinates come nearest to body points (k,)."""
        rows, columns = self.hu.shape
        col = (self.cos * x - self.sin * y + self.shift[0] - self.left_mm) / self.pixel_mm
        row = (self.sin * x + self.cos * y + self.shift[1] - self.top_mm) / self.pixel_mm
        # One fixed-point step undoes the warp; it is smooth, so the remaining error is below a pixel or two.
        at = (
            np.clip(np.rint(row), 0, rows - 1).astype(int),
            np.clip(np.rint(col), 0, columns - 1).astype(int),
        )
        inside = (col >= 0) & (col < columns) & (row >= 0) & (row < rows)
        col = col + np.where(inside, (x - self.x[at]) / self.pixel_mm, 0)
        row = row + np.where(inside, (y - self.y[at]) / self.pixel_mm, 0)
        return np.rint(col).astype(int), np.rint(row).astype(int)
