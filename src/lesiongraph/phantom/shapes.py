"""The two bricks every organ is made of: stacked ellipses (`Tube`) and strings of balls (`Curve`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from lesiongraph.phantom.anatomy import Anatomy, Doubles

Row = tuple[float, ...]
_NONE = np.zeros(0)


@dataclass(frozen=True)
class Tube:
    """Ellipses stacked along z, in patient mm; between the rows areas change linearly, so ends are round."""

    z_mm: Doubles  # (k,) rising
    centre_x: Doubles
    centre_y: Doubles
    half_x: Doubles
    half_y: Doubles
    angle: Doubles  # radians, positive turns x towards y
    square: float = 0.0  # 0 ellipse to 1 squircle

    def sections(self, z_mm: npt.ArrayLike) -> Doubles:
        """Return (n, 5): centre x, centre y, half x, half y, angle at heights (n,); halves 0 outside."""
        z = np.asarray(z_mm, float)
        columns = [
            np.interp(z, self.z_mm, self.centre_x),
            np.interp(z, self.z_mm, self.centre_y),
            np.sqrt(np.interp(z, self.z_mm, self.half_x**2, left=0, right=0)),
            np.sqrt(np.interp(z, self.z_mm, self.half_y**2, left=0, right=0)),
            np.interp(z, self.z_mm, self.angle),
        ]
        return np.stack(columns, axis=-1)

    def radius_at(self, points_mm: Doubles) -> Doubles:
        """Return the relative radius (n,) of points (n, 3): below 1 inside, large beyond the ends."""
        cx, cy, a, b, angle = self.sections(points_mm[:, 2]).T
        x, y = points_mm[:, 0] - cx, points_mm[:, 1] - cy
        cos, sin = np.cos(angle), np.sin(angle)
        with np.errstate(divide="ignore", invalid="ignore"):
            u, v = (cos * x + sin * y) / a, (cos * y - sin * x) / b
        radius = np.hypot(u, v)
        return np.where((a > 0) & (b > 0), radius, 99.0)

    def shifted(self, dx: float, dy: float, dz: float = 0.0) -> Tube:
        """Return the tube moved by that many mm."""
        return Tube(
            self.z_mm + dz,
            self.centre_x + dx,
            self.centre_y + dy,
            self.half_x,
            self.half_y,
            self.angle,
            self.square,
        )

    def shrunk(self, margin_mm: float) -> Tube:
        """Return the tube with its halves reduced by `margin_mm` (never below 0)."""
        a, b = np.maximum(self.half_x - margin_mm, 0), np.maximum(self.half_y - margin_mm, 0)
        return Tube(self.z_mm, self.centre_x, self.centre_y, a, b, self.angle, self.square)


def tube(anatomy: Anatomy, rows: Sequence[Row], square: float = 0.0, grow: float = 1.0) -> Tube:
    """Build a tube from template rows (z, cx, cy, half x, half y[, angle in degrees]), in patient mm."""
    table = np.array([row if len(row) == 6 else (*row, 0.0) for row in rows], float)
    return Tube(
        anatomy.patient_z(table[:, 0]),
        table[:, 1] * anatomy.width,
        table[:, 2] * anatomy.depth,
        table[:, 3] * anatomy.width * grow,
        table[:, 4] * anatomy.depth * grow,
        np.deg2rad(table[:, 5]),
        square,
    )


def mirrored(rows: Sequence[Row]) -> list[Row]:
    """Return template rows reflected to the other side of the body."""
    return [(r[0], -r[1], *r[2:5], -r[5] if len(r) == 6 else 0.0) for r in rows]


@dataclass(frozen=True)
class Curve:
    """Balls strung along a line, close enough to look like a tube, in patient mm."""

    points_mm: Doubles  # (p, 3) x, y, z
    radii_mm: Doubles  # (p,)

    @cached_property
    def span_mm(self) -> tuple[float, float]:
        """Heights between which the curve can be cut."""
        z = self.points_mm[:, 2]
        return float(np.min(z - self.radii_mm)), float(np.max(z + self.radii_mm))

    def cut(self, z_mm: float) -> tuple[Doubles, Doubles, Doubles]:
        """Return (x, y, radius) of the balls cut by the plane at `z_mm`, each (k,)."""
        top, bottom = self.span_mm
        if not top < z_mm < bottom:
            return _NONE, _NONE, _NONE
        dz = self.points_mm[:, 2] - z_mm
        hit = np.flatnonzero(np.abs(dz) < self.radii_mm)
        points = self.points_mm[hit]
        return points[:, 0], points[:, 1], np.sqrt(self.radii_mm[hit] ** 2 - dz[hit] ** 2)


def curve(anatomy: Anatomy, rows: Sequence[Row], step: float = 0.5) -> Curve:
    """Build a curve from template rows (x, y, z, radius), filled in every `step` radii."""
    table = np.array(rows, float)
    points = np.stack(
        [table[:, 0] * anatomy.width, table[:, 1] * anatomy.depth, anatomy.patient_z(table[:, 2])], axis=1
    )
    return fill_in(points, table[:, 3] * np.sqrt(anatomy.width * anatomy.depth), step)


def fill_in(points_mm: Doubles, radii_mm: Doubles, step: float = 0.5) -> Curve:
    """Return the curve through points (k, 3) with balls every `step` radii."""
    lengths = np.linalg.norm(np.diff(points_mm, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    count = max(2, int(np.ceil(along[-1] / (step * max(float(radii_mm.min()), 0.6)))) + 1)
    at = np.linspace(0, along[-1], count)
    points = np.stack([np.interp(at, along, points_mm[:, axis]) for axis in range(3)], axis=1)
    return Curve(points, np.interp(at, along, radii_mm))
