"""The nested outlines of the trunk: skin, muscle wall and body cavity, as heights run from neck to thigh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator

from lesiongraph.phantom.anatomy import Anatomy, Doubles

# Template rows: z, half width, half depth, centre y, squareness.
_MUSCLE = np.array(
    [
        (-60, 66, 84, 0, 0.1),
        (-20, 62, 72, 10, 0.1),
        (10, 55, 56, 20, 0.0),
        (45, 54, 54, 22, 0.0),
        (72, 74, 56, 24, 0.0),
        (98, 138, 68, 20, 0.0),
        (122, 172, 80, 12, 0.15),
        (150, 176, 92, 6, 0.3),
        (185, 172, 102, 2, 0.3),
        (230, 161, 106, 0, 0.25),
        (280, 150, 108, -1, 0.2),
        (330, 146, 108, -2, 0.2),
        (390, 142, 102, -2, 0.15),
        (440, 138, 96, -3, 0.1),
        (490, 136, 91, -3, 0.1),
        (520, 144, 92, -1, 0.1),
        (570, 158, 96, 2, 0.15),
        (620, 166, 97, 7, 0.2),
        (660, 168, 94, 10, 0.2),
        (700, 165, 90, 10, 0.25),
        (740, 160, 92, 8, 0.3),
        (900, 145, 84, 6, 0.4),
    ],
    float,
)
_CAVITY = np.array(
    [
        (92, 38, 12, 20, 0.0),
        (98, 52, 26, 20, 0.1),
        (120, 84, 50, 16, 0.3),
        (150, 107, 68, 12, 0.35),
        (185, 122, 80, 7, 0.3),
        (230, 130, 87, 1, 0.25),
        (280, 133, 91, -2, 0.2),
        (330, 133, 92, -4, 0.2),
        (390, 127, 86, -5, 0.15),
        (440, 122, 80, -8, 0.1),
        (490, 119, 73, -12, 0.15),
        (530, 116, 69, -13, 0.2),
        (570, 106, 66, -10, 0.2),
        (612, 82, 71, -6, 0.1),
        (645, 55, 71, 0, 0.1),
        (685, 37, 58, 6, 0.0),
        (722, 20, 25, 20, 0.0),
    ],
    float,
)
# Subcutaneous fat relative to its mean: lateral, front, back.
_FAT = np.array(
    [
        (0, 0.35, 0.25, 0.4),
        (90, 0.5, 0.45, 0.6),
        (180, 0.7, 0.6, 0.7),
        (300, 0.8, 0.8, 0.7),
        (400, 1.1, 1.2, 0.9),
        (500, 1.5, 1.7, 1.3),
        (560, 1.5, 1.7, 1.8),
        (640, 1.7, 1.5, 1.9),
        (720, 1.5, 1.0, 1.5),
        (900, 1.0, 0.7, 0.8),
    ],
    float,
)
CAVITY_TOP, CAVITY_BOTTOM = 93.0, 721.0
"""Template heights between which there is a body cavity."""
_SPINE_Y = np.array(
    [
        (-60, 18), (0, 22), (50, 24), (90, 32), (150, 47), (240, 56), (330, 50), (390, 41), (480, 26),
        (540, 29), (573, 38), (610, 60), (650, 78), (700, 82),
    ],
    float,
)  # fmt: skip


@dataclass(frozen=True)
class Outline:
    """One closed outline a slice: superellipses with halves `half_x`, `half_y` round (0, `centre_y`)."""

    half_x: Doubles  # (n,) mm
    half_y: Doubles
    centre_y: Doubles
    square: Doubles

    def radius_at(self, x: Doubles, y: Doubles) -> Doubles:
        """Return the relative radius of points (n,), one per outline: below 1 inside."""
        u2 = (x / self.half_x) ** 2
        v2 = ((y - self.centre_y) / self.half_y) ** 2
        return np.sqrt((1 - self.square) * (u2 + v2) + self.square * np.sqrt(u2 * u2 + v2 * v2))


def spine_y_mm(anatomy: Anatomy, z_mm: npt.ArrayLike) -> Doubles:
    """Return y of the centre of the vertebral bodies at heights (n,)."""
    z = anatomy.template_z(z_mm)
    return np.asarray(np.interp(z, _SPINE_Y[:, 0], _SPINE_Y[:, 1]) * anatomy.depth)


def cavity_outline(anatomy: Anatomy, z_mm: npt.ArrayLike) -> Outline:
    """Return the inner outline of ribs and abdominal wall at heights (n,)."""
    half_x, half_y, centre_y, square = _read(_CAVITY, anatomy.template_z(z_mm))
    belly = anatomy.visceral * _bump(anatomy.template_z(z_mm), 460, 110)
    return Outline(
        half_x * anatomy.width * (1 + 0.10 * belly),
        half_y * anatomy.depth * (1 + 0.26 * belly),
        (centre_y - 20 * belly) * anatomy.depth,
        square,
    )


def muscle_outline(anatomy: Anatomy, z_mm: npt.ArrayLike) -> Outline:
    """Return the outline under the subcutaneous fat at heights (n,)."""
    z = anatomy.template_z(z_mm)
    half_x, half_y, centre_y, square = _read(_MUSCLE, z)
    belly = anatomy.visceral * _bump(z, 460, 110)
    bulk = 8 * (anatomy.muscle - 1)
    return Outline(
        half_x * anatomy.width * (1 + 0.09 * belly) + bulk,
        half_y * anatomy.depth * (1 + 0.22 * belly) + bulk,
        (centre_y - 20 * belly) * anatomy.depth,
        square,
    )


def skin_outline(anatomy: Anatomy, z_mm: npt.ArrayLike) -> Outline:
    """Return the outline of the skin at heights (n,)."""
    inner = muscle_outline(anatomy, z_mm)
    z = anatomy.template_z(z_mm)
    side, front, back = (
        3 + anatomy.subcutaneous_mm * np.interp(z, _FAT[:, 0], _FAT[:, k]) for k in (1, 2, 3)
    )
    return Outline(
        inner.half_x + side,
        inner.half_y + (front + back) / 2,
        inner.centre_y + (back - front) / 2,
        inner.square,
    )


def _read(rows: Doubles, z: Doubles) -> tuple[Doubles, Doubles, Doubles, Doubles]:
    values = PchipInterpolator(rows[:, 0], rows[:, 1:])(np.clip(z, rows[0, 0], rows[-1, 0]))
    return values[..., 0], values[..., 1], values[..., 2], values[..., 3]


def _bump(z: Doubles, centre: float, width: float) -> Doubles:
    return np.asarray(np.exp(-(((z - centre) / width) ** 2)))
