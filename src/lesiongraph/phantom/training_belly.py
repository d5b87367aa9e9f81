"""Bellies full of fluid or of one huge growth, as training volumes show them: the organs' own look is gone.

A regressor that knows the abdomen by its bowel and fat loses its way in such a body; only bones, kidneys and
the wall's shape are left to tell the height.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lesiongraph.phantom.anatomy import Doubles
from lesiongraph.phantom.canvas import Canvas
from lesiongraph.phantom.contours import Outline
from lesiongraph.phantom.fields import Floats

_FLUID_FROM_MM, _FLUID_FULL_MM = 385.0, 410.0  # above, the cavity holds lung
_SIDEWAYS = 0.4  # how much a belly grows across for its growth to the front
_EVERYWHERE = (slice(None), slice(None))


@dataclass(frozen=True)
class Growth:
    """A growth as large as a child's head or larger; middle and half axes in mm, template heights."""

    middle_mm: tuple[float, float, float]  # x, y, z
    half_mm: tuple[float, float, float]
    wall_mm: float
    wall_hu: float
    content_hu: float
    solid: float  # 0 one clear cyst … 1 mostly lumps
    lump_hu: float


@dataclass(frozen=True)
class Belly:
    """What fills and stretches a belly; nothing, unless `sample` draws it."""

    bulge: float = 0.0  # growth of its depth, as a share
    bulge_mm: float = 480.0  # template height of the widest place
    reach_mm: float = 100.0
    fluid_mm: float = 0.0  # thickness of the layer between wall and organs
    fluid_hu: float = 8.0
    growth: Growth | None = None

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Belly:
        """Draw a belly that holds fluid, a growth, or both."""
        wet, grown = rng.choice([(True, False), (False, True), (True, True)], p=[0.3, 0.3, 0.4])
        return cls(
            bulge=float(rng.uniform(0.05, 0.55)),
            bulge_mm=float(rng.uniform(430, 560)),
            reach_mm=float(rng.uniform(75, 140)),
            fluid_mm=float(rng.uniform(6, 40)) if wet else 0.0,
            fluid_hu=float(rng.uniform(0, 28)),
            growth=_sample_growth(rng) if grown else None,
        )

    def stretched(self, outlines: tuple[Outline, Outline, Outline], template_z: Doubles) -> list[Outline]:
        """Return skin, muscle and cavity (in this order) pushed out to the front and the sides.

        All three move by the same mm: a stretched wall keeps its thickness. The back stays on the couch.
        """
        _, muscle, _ = outlines
        share = self.bulge * np.exp(-(((template_z - self.bulge_mm) / self.reach_mm) ** 2))
        wide, deep = _SIDEWAYS * share * muscle.half_x, share * muscle.half_y
        return [Outline(o.half_x + wide, o.half_y + deep, o.centre_y - deep, o.square) for o in outlines]

    def paint(self, canvas: Canvas, organ_z: float, depth: Floats, cavity: Floats) -> None:
        """Paint fluid under the wall, then the growth, into the cavity.

        Parameters
        ----------
        canvas : Canvas
        organ_z : float
            Template height (mm) of the slice for its organs.
        depth : ndarray, shape (rows, columns)
            mm from the cavity's wall inwards.
        cavity : ndarray, shape (rows, columns)
            Coverage of the cavity, 0 to 1.
        """
        full = float(np.clip((organ_z - _FLUID_FROM_MM) / (_FLUID_FULL_MM - _FLUID_FROM_MM), 0, 1))
        if self.fluid_mm and full:
            layer = np.float32(full * self.fluid_mm) - depth + 3 * canvas.bend
            wet = np.asarray(cavity * canvas.cover(layer), np.float32)
            canvas.paint(_EVERYWHERE, wet, np.float32(self.fluid_hu) + 4 * canvas.noise)
        if self.growth is not None and organ_z > _FLUID_FROM_MM:
            _paint_growth(self.growth, canvas, organ_z, cavity)


def _sample_growth(rng: np.random.Generator) -> Growth:
    half_x, half_y, half_z = rng.uniform(50, 130), rng.uniform(45, 95), rng.uniform(60, 180)
    return Growth(
        # it lies before the spine and pushes the wall out
        middle_mm=(
            float(rng.uniform(-40, 40)),
            float(-5 - half_y + rng.uniform(-15, 15)),
            float(rng.uniform(440, 640)),
        ),
        half_mm=(float(half_x), float(half_y), float(half_z)),
        wall_mm=float(rng.uniform(1.5, 6)),
        wall_hu=float(rng.uniform(40, 120)),
        content_hu=float(rng.uniform(0, 45)),
        solid=float(rng.uniform(0, 1)) if rng.random() < 0.6 else 0.0,
        lump_hu=float(rng.uniform(40, 120)),
    )


def _paint_growth(growth: Growth, canvas: Canvas, organ_z: float, cavity: Floats) -> None:
    x, y, z = growth.middle_mm
    square = 1 - ((organ_z - z) / growth.half_mm[2]) ** 2
    if square <= 0.01:
        return
    half_x, half_y = (half * float(np.sqrt(square)) for half in growth.half_mm[:2])
    lumps = np.clip((canvas.bend + np.float32(2.5 * growth.solid - 2.2)) * 3, 0, 1)
    inside = np.float32(growth.content_hu) + lumps * np.float32(growth.lump_hu - growth.content_hu)
    outer = np.array([x, y, half_x, half_y, 0.0])
    inner = outer - np.array([0, 0, growth.wall_mm, growth.wall_mm, 0])
    canvas.ellipse(outer, growth.wall_hu, rough_mm=4.0, texture_hu=6, clip=cavity)
    canvas.ellipse(inner, np.asarray(inside, np.float32), rough_mm=4.0, texture_hu=6, clip=cavity)
