"""What one series works out once for all its slices: heights, outlines, sections, fields, couch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from lesiongraph.phantom.anatomy import Anatomy, Doubles
from lesiongraph.phantom.canvas import Canvas
from lesiongraph.phantom.contours import cavity_outline, muscle_outline, skin_outline
from lesiongraph.phantom.fields import FieldGrid, Floats, lattice_of
from lesiongraph.phantom.scan import ScanPlan
from lesiongraph.phantom.shapes import Tube
from lesiongraph.phantom.skeleton import Bone, arm_bones, arm_tubes, pelvic_bones, thoracic_bones
from lesiongraph.phantom.tissues import Tissues
from lesiongraph.phantom.vessels import bowel

WARP_MM = 3.6
_WARP_WAVE_MM, _NOISE_WAVE_MM, _SEPTA_WAVE_MM = 52.0, 9.0, 17.0


@dataclass
class Study:
    """Everything of one series that is worked out once: heights, outlines, sections, fields."""

    anatomy: Anatomy
    plan: ScanPlan
    tissues: Tissues
    z_mm: Doubles  # (n,)
    rng: np.random.Generator
    organ_slices: dict[str, list[int]] = field(default_factory=dict)
    muscle_gaps: float = 6.5  # how thin the fat between the muscles' bundles is
    missing: frozenset[str] = frozenset()  # organs that were taken out
    organ_scale: dict[str, float] = field(default_factory=dict)  # how much larger across than usual

    def __post_init__(self) -> None:
        plan, anatomy = self.plan, self.anatomy
        self.template_z = anatomy.template_z(self.z_mm)
        self.organ_z = self.template_z  # template heights that say which organs to paint
        # A breath moves the soft organs round the diaphragm, not the bones.
        self.soft_z = self.z_mm - plan.breath_mm * np.exp(-(((self.template_z - 330) / 95) ** 2))
        self.skin, self.muscle = skin_outline(anatomy, self.z_mm), muscle_outline(anatomy, self.z_mm)
        self.cavity = cavity_outline(anatomy, self.z_mm)
        across = (np.arange(plan.columns) - (plan.columns - 1) / 2) * plan.pixel_mm
        down = (np.arange(plan.rows) - (plan.rows - 1) / 2) * plan.pixel_mm
        angle = np.deg2rad(plan.rotation_deg)
        self.cos, self.sin = float(np.cos(angle)), float(np.sin(angle))
        centre = (plan.centre_x_mm, plan.centre_y_mm)
        x, y = np.meshgrid(across.astype(np.float32), down.astype(np.float32))
        # image = R(body - centre); body = R^T(image) + centre
        self.body_x = (self.cos * x + self.sin * y + np.float32(centre[0])).astype(np.float32)
        self.body_y = (self.cos * y - self.sin * x + np.float32(centre[1])).astype(np.float32)
        self.left, self.top = float(across[0]), float(down[0])
        self.shift = (
            -(self.cos * centre[0] - self.sin * centre[1]),
            -(self.sin * centre[0] + self.cos * centre[1]),
        )
        grids = [
            FieldGrid.build(across + centre[0], down + centre[1], self.soft_z, wave)
            for wave in (_WARP_WAVE_MM, _NOISE_WAVE_MM, _SEPTA_WAVE_MM)
        ]
        self.warp_grid, self.noise_grid, self.septa_grid = grids
        self.base = self._table() if plan.table else np.full(x.shape, -1000, np.float32)
        self.nowhere = np.zeros(x.shape, np.float32)
        # The tube is kept with its sections, so that its id stays its own.
        self._sections: dict[int, tuple[Tube, Doubles]] = {}
        self.bowel = bowel(anatomy)
        self.bowel_gas = [float(gas) for gas in self.rng.random(len(self.bowel))]
        self.bowel_hu = [self._content() for _ in self.bowel]
        self.stomach = (float(self.rng.uniform(0.0, 0.9)), self._content())
        # Fluid that some patients have behind the lungs, and how much of the chest's depth it fills today.
        ill = anatomy.rng("effusion")
        depth = float(ill.uniform(0.04, 0.4)) if ill.random() < 0.12 else 0.0
        self.effusion = depth * float(self.rng.uniform(0.3, 1.2))
        self.effusion_side = int(ill.choice([-1, 0, 1]))  # right, both, left
        self.bladder_full = float(self.rng.uniform(-6, 3))

    def _content(self) -> float:
        """Draw the HU of what fills one piece of bowel today."""
        if self.plan.oral_contrast and self.rng.random() < 0.75:
            return float(self.rng.uniform(120, 320))
        return float(self.rng.uniform(2, 45))

    def _table(self) -> Floats:
        """A curved couch under the back, the same in all slices."""
        back = max(self.flat_back(i) for i in range(len(self.z_mm))) + 2
        rng = self.rng
        curl, thick = rng.uniform(5, 45), rng.uniform(25, 60)
        half = rng.uniform(200, 260)
        x, y = self.body_x, self.body_y
        surface = y - (back - curl * (x / half) ** 2)
        wide = np.clip(half - np.abs(x), 0, 1)
        image = np.full(x.shape, -1000, np.float32)
        foam = np.clip(surface + 0.5, 0, 1) * np.clip(thick - surface + 0.5, 0, 1) * wide
        image += foam * np.float32(rng.uniform(20, 110))
        for at, hu in ((3.0, rng.uniform(250, 900)), (thick, rng.uniform(400, 1300))):
            shell = np.clip(1.6 - np.abs(surface - at), 0, 1) * wide
            image += shell * np.float32(hu)
        return np.minimum(image, 250).astype(np.float32)

    def sections(self, shape: Tube, soft: bool = True) -> Doubles:
        """Sections (n, 5) of a tube at all slices, worked out once."""
        key = id(shape)
        if key not in self._sections:
            self._sections[key] = (shape, shape.sections(self.soft_z if soft else self.z_mm))
        return self._sections[key][1]

    def canvas(self, i: int) -> Canvas:
        """Return the empty slice `i` with its warped coordinates and noise."""
        seed = self.anatomy.seed
        warp_x = self.warp_grid.slice_of(lattice_of(seed, 0), i)
        warp_y = self.warp_grid.slice_of(lattice_of(seed, 1), i)
        return Canvas(
            hu=self.base.copy(),
            x=self.body_x + np.float32(WARP_MM) * warp_x,
            y=self.body_y + np.float32(WARP_MM) * warp_y,
            left_mm=self.left,
            top_mm=self.top,
            pixel_mm=self.plan.pixel_mm,
            cos=self.cos,
            sin=self.sin,
            shift=self.shift,
            margin_mm=2.6 * WARP_MM,
            noise=self.noise_grid.slice_of(lattice_of(seed, 2), i),
            bend=self.septa_grid.slice_of(lattice_of(seed, 3), i),
        )

    def flat_back(self, i: int) -> float:
        """Return y of the couch under slice `i`."""
        return float(self.skin.centre_y[i] + 0.955 * self.skin.half_y[i])

    def see(self, organ: str, i: int) -> None:
        """Remember that an organ shows on slice `i`."""
        self.organ_slices.setdefault(organ, []).append(i)

    def arms(self) -> tuple[tuple[Tube, ...], tuple[Bone, ...]]:
        """Return the soft outlines and the bones of arms and shoulders."""
        up = self.plan.arms_up
        return arm_tubes(self.anatomy, up), arm_bones(self.anatomy, up)

    def bones(self) -> tuple[Bone, ...]:
        """Return the bones of chest and pelvis, in painting order."""
        return (*thoracic_bones(self.anatomy), *pelvic_bones(self.anatomy))

    def paint_lung_disease(self, canvas: Canvas, i: int, cavity: Floats) -> None:
        """Paint what fills a lung; the hospital's patients have none beside their lesions."""

    def paint_masses(self, canvas: Canvas, i: int, cavity: Floats) -> None:
        """Paint what displaces the organs; the hospital's patients have none beside their lesions."""
