"""Paints the slices of one study: body wall, cavities, organs, bones, in the order they cover each other."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from lesiongraph.phantom.anatomy import Anatomy, Doubles
from lesiongraph.phantom.canvas import _EMPTY, Canvas
from lesiongraph.phantom.contours import (
    CAVITY_BOTTOM,
    CAVITY_TOP,
    Outline,
    cavity_outline,
    muscle_outline,
    skin_outline,
)
from lesiongraph.phantom.fields import FieldGrid, Floats, lattice_of
from lesiongraph.phantom.organs import (
    Part,
    abdomen_parts,
    neck_parts,
    paravertebral_parts,
    pelvis_parts,
    thorax_parts,
    wall_parts,
)
from lesiongraph.phantom.scan import ScanPlan
from lesiongraph.phantom.shapes import Tube
from lesiongraph.phantom.skeleton import Bone, arm_bones, arm_tubes, pelvic_bones, thoracic_bones
from lesiongraph.phantom.spine import bone_ellipse, draw_ribs, draw_vertebra
from lesiongraph.phantom.tissues import Tissues
from lesiongraph.phantom.vessels import Vessel, airways, bowel, curved_bones, great_vessels, lung_tree

WARP_MM = 3.6
_WARP_WAVE_MM, _NOISE_WAVE_MM, _SEPTA_WAVE_MM = 52.0, 9.0, 17.0
_DIAPHRAGM_BOTTOM = 392.0
_THIGH_TOP = 724.0


@dataclass
class Study:
    """Everything of one series that is worked out once: heights, outlines, sections, fields."""

    anatomy: Anatomy
    plan: ScanPlan
    tissues: Tissues
    z_mm: Doubles  # (n,)
    rng: np.random.Generator
    organ_slices: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        plan, anatomy = self.plan, self.anatomy
        self.template_z = anatomy.template_z(self.z_mm)
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
        self._sections: dict[int, Doubles] = {}
        self.bowel_gas = {id(v): self.rng.random() for v in bowel(anatomy)}
        self.bowel_hu = {id(v): self._content(v) for v in bowel(anatomy)}
        self.stomach = (float(self.rng.uniform(0.0, 0.9)), self._content(None))
        self.bladder_full = float(self.rng.uniform(-6, 3))

    def _content(self, vessel: Vessel | None) -> float:
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
            self._sections[key] = shape.sections(self.soft_z if soft else self.z_mm)
        return self._sections[key]

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
        )

    def flat_back(self, i: int) -> float:
        """Return y of the couch under slice `i`."""
        return float(self.skin.centre_y[i] + 0.955 * self.skin.half_y[i])

    def see(self, organ: str, i: int) -> None:
        """Remember that an organ shows on slice `i`."""
        self.organ_slices.setdefault(organ, []).append(i)


def paint_slice(study: Study, i: int) -> tuple[Canvas, Floats]:
    """Paint slice `i`; return the canvas and the coverage (rows, columns) of the body cavity."""
    canvas = study.canvas(i)
    tz = float(study.template_z[i])
    septa = study.septa_grid.slice_of(lattice_of(study.anatomy.seed, 3), i)
    _arms(study, canvas, i)
    _wall(study, canvas, i, septa)
    _parts(study, canvas, i, wall_parts(study.anatomy), study.nowhere)
    cavity_depth, cavity = _cavity(study, canvas, i)
    _parts(study, canvas, i, paravertebral_parts(study.anatomy), cavity)
    if tz < 410:
        _thorax(study, canvas, i, cavity)
    parts = neck_parts(study.anatomy) if tz < 130 else ()
    _parts(study, canvas, i, (*parts, *abdomen_parts(study.anatomy)), cavity)
    if tz > 400:
        _bowel(study, canvas, i)
        _parts(study, canvas, i, pelvis_parts(study.anatomy), cavity)
    _vessels(study, canvas, i, great_vessels(study.anatomy), 0.8)
    _vessels(study, canvas, i, airways(study.anatomy), 0.8)
    _bones(study, canvas, i, cavity_depth)
    return canvas, cavity


def _outline(outline: Outline, i: int) -> tuple[float, float, float, float]:
    return (
        float(outline.half_x[i]),
        float(outline.half_y[i]),
        float(outline.centre_y[i]),
        float(outline.square[i]),
    )


def _trunk_depth(canvas: Canvas, outline: Outline, i: int, tz: float) -> Floats:
    """Depth inside the trunk, or inside the nearer thigh below the crotch."""
    if tz < _THIGH_TOP:
        return canvas.outline_depth(_outline(outline, i))
    half_x, half_y, centre_y, _ = _outline(outline, i)
    apart = min(1.0, (tz - _THIGH_TOP) / 40)
    folded = np.abs(canvas.x) - np.float32(half_x * (0.5 + 0.02 * apart))
    x, canvas.x = canvas.x, folded
    depth = canvas.outline_depth((half_x * (0.53 - 0.03 * apart), half_y * 0.97, centre_y, 0.0))
    canvas.x = x
    return depth


def _arms(study: Study, canvas: Canvas, i: int) -> None:
    tissues, up = study.tissues, study.plan.arms_up
    fat = 2.0 + 0.35 * study.anatomy.subcutaneous_mm
    for shape in arm_tubes(study.anatomy, up):
        section = study.sections(shape, soft=False)[i].copy()
        if section[2] < 2:
            continue
        section[2:4] += fat
        canvas.ellipse(section, tissues["skin"])
        section[2:4] -= 1.8
        canvas.ellipse(section, tissues["fat"], texture_hu=4)
        section[2:4] -= fat
        canvas.ellipse(section, tissues["muscle"], rough_mm=2.0, texture_hu=6)
    for bone in arm_bones(study.anatomy, up):
        _bone(study, canvas, i, bone)


def _wall(study: Study, canvas: Canvas, i: int, septa: Floats) -> None:
    """Paint skin, subcutaneous fat, breasts and the muscles of the wall."""
    tissues, tz = study.tissues, float(study.template_z[i])
    skin = _trunk_depth(canvas, study.skin, i, tz)
    everywhere = (slice(None), slice(None))
    noise = canvas.noise
    # The patient lies on the back: the couch flattens it.
    flat = study.flat_back(i) - canvas.y
    skin = np.minimum(skin, flat)
    if 628 < tz < _THIGH_TOP:  # the cleft between the buttocks
        cleft = np.exp(-((canvas.x / 7) ** 2)) * np.clip(
            canvas.y - np.float32(study.flat_back(i) - 40), 0, 30
        )
        skin = skin - cleft * np.float32(min(1.0, (tz - 628) / 30))
    canvas.paint(everywhere, canvas.cover(skin), tissues["skin"])
    _breasts(study, canvas, i)
    inside = canvas.cover(skin - np.float32(1.8))
    # Thin strands cross the subcutaneous fat.
    strands = np.clip(1 - np.abs(septa) * 9, 0, 1) * np.float32(18)
    canvas.paint(everywhere, inside, tissues["fat"] + 4 * noise + strands)
    muscle = np.minimum(_trunk_depth(canvas, study.muscle, i, tz), skin - np.float32(2.2))
    gaps = np.clip(1 - np.abs(septa + np.float32(0.25)) * 6.5, 0, 1)
    value = np.float32(tissues["muscle"]) + 6 * noise
    value += gaps * np.float32(0.75 if tz > 80 else 0.6) * (np.float32(tissues["fat"]) - value)
    canvas.paint(everywhere, canvas.cover(muscle + np.float32(1.6) * septa), value)


def _breasts(study: Study, canvas: Canvas, i: int) -> None:
    size = study.anatomy.breast_mm
    if size < 10:
        return
    t = (float(study.template_z[i]) - 235) / 48
    if abs(t) >= 1:
        return
    grow = np.sqrt(1 - t * t)
    front = float(study.muscle.centre_y[i] - 0.86 * study.muscle.half_y[i])
    density = 0.2 + 0.6 * ((study.anatomy.seed % 97) / 97)
    for side in (-1, 1):
        x = side * 78 * study.anatomy.width
        section = np.array([x, front, 62 * grow, size * grow, 0.0])
        canvas.ellipse(section, study.tissues["skin"])
        inner = section.copy()
        inner[2:4] -= 1.8
        canvas.ellipse(inner, study.tissues["fat"], texture_hu=5)
        window = canvas.window(x, front, 62)
        depth, _ = canvas.depth_of(
            window, np.array([x, front - size * 0.3, 34 * grow, size * 0.5 * grow, 0.0])
        )
        lumps = np.clip(canvas.noise[window] * 1.2 + np.float32(density - 0.2), 0, 1)
        canvas.paint(window, canvas.cover(depth) * lumps, study.tissues["gland"])


def _cavity(study: Study, canvas: Canvas, i: int) -> tuple[Floats | None, Floats]:
    """Paint lungs or peritoneal fat into the cavity; return its depth (None: no cavity) and coverage."""
    tz, tissues = float(study.template_z[i]), study.tissues
    if not CAVITY_TOP < tz < CAVITY_BOTTOM:
        return None, np.zeros_like(canvas.hu)
    depth = canvas.outline_depth(_outline(study.cavity, i))
    coverage = canvas.cover(depth + np.float32(1.0) * canvas.noise)
    everywhere = (slice(None), slice(None))
    if tz < _DIAPHRAGM_BOTTOM:
        value = np.float32(tissues["lung"]) + 14 * canvas.noise + np.float32(0.32) * canvas.y
        canvas.paint(everywhere, coverage, value)
        points, radii = lung_tree(study.anatomy)
        window, tree = _cut(canvas, points, radii, float(study.soft_z[i]))
        if window != _EMPTY:
            canvas.paint(window, canvas.cover(tree) * coverage[window], study.tissues["pulmonary"] * 0.6 + 20)
        study.see("lung", i)
    else:
        canvas.paint(everywhere, coverage, np.float32(tissues["mesentery"]) + 9 * canvas.noise)
    return depth, coverage


def _cut(canvas: Canvas, points: Doubles, radii: Doubles, z: float) -> tuple[tuple[slice, slice], Floats]:
    """Cut balls at height z and return the depth of their union."""
    dz = points[:, 2] - z
    hit = np.abs(dz) < radii
    radius = np.sqrt(radii[hit] ** 2 - dz[hit] ** 2)
    return canvas.ball_depth(points[hit, 0], points[hit, 1], radius)


def _thorax(study: Study, canvas: Canvas, i: int, cavity: Floats) -> None:
    _parts(study, canvas, i, thorax_parts(study.anatomy), cavity)


def _parts(study: Study, canvas: Canvas, i: int, parts: tuple[Part, ...], cavity: Floats) -> None:
    """Paint the parts that this slice cuts."""
    for part in parts:
        section = study.sections(part.tube)[i]
        if min(section[2], section[3]) < 0.8:
            continue
        clip = cavity if part.in_cavity else None
        if part.tissue == "stomach content":
            value: float | Floats = _with_gas(canvas, section, *study.stomach)
        else:
            value = study.tissues[part.tissue] + part.offset_hu
        if part.organ == "bladder":
            section = section.copy()
            section[2:4] = np.maximum(section[2:4] + study.bladder_full, 0)
        canvas_value = value if not isinstance(value, np.ndarray) else value
        _ellipse(canvas, part, section, canvas_value, clip)
        study.see(part.organ, i)


def _ellipse(
    canvas: Canvas, part: Part, section: Doubles, value: float | Floats, clip: Floats | None
) -> None:
    if isinstance(value, np.ndarray):
        window = canvas.window(section[0], section[1], max(section[2], section[3]))
        value = value[window]
    canvas.ellipse(
        section, value, square=part.tube.square, rough_mm=part.rough_mm, texture_hu=part.texture_hu, clip=clip
    )


def _with_gas(canvas: Canvas, section: Doubles, gas_share: float, fluid_hu: float) -> Floats:
    """Fluid below, gas above: the patient lies on the back."""
    level = section[1] + section[3] * (gas_share * 1.6 - 1)
    above = np.clip((np.float32(level) - canvas.y) / np.float32(canvas.pixel_mm), 0, 1)
    return np.float32(fluid_hu) + 8 * canvas.noise + above * np.float32(-950 - fluid_hu)


def _bowel(study: Study, canvas: Canvas, i: int) -> None:
    z = float(study.soft_z[i])
    for loop in bowel(study.anatomy):
        window, depth = _cut(canvas, loop.curve.points_mm, loop.curve.radii_mm, z)
        if window == _EMPTY:
            continue
        noise = canvas.noise[window]
        canvas.paint(window, canvas.cover(depth), study.tissues["bowel wall"] + 4 * noise)
        inner = canvas.cover(depth - np.float32(loop.wall_mm))
        gas, fluid = study.bowel_gas[id(loop)], study.bowel_hu[id(loop)]
        if loop.tissue == "colon":
            lumps = np.clip((noise - np.float32(0.9 - 0.7 * gas)) * 2, 0, 1)
            value = np.float32(fluid) + 22 * noise - lumps * np.float32(650)
        else:
            value = np.float32(fluid) + 8 * noise
        canvas.paint(window, inner, value)
        if gas > 0.55:
            top = canvas.y[window][depth > 0].min() if (depth > 0).any() else 0.0
            level = np.float32(top + (gas - 0.4) * 24)
            above = np.clip((level - canvas.y[window]) / np.float32(canvas.pixel_mm), 0, 1)
            canvas.paint(window, inner * above, study.tissues["gas"])
        study.see("bowel", i)


def _vessels(study: Study, canvas: Canvas, i: int, vessels: tuple[Vessel, ...], soft: float) -> None:
    z = float(study.soft_z[i])
    for vessel in vessels:
        window, depth = _cut(canvas, vessel.curve.points_mm, vessel.curve.radii_mm, z)
        if window == _EMPTY:
            continue
        if vessel.wall_mm:
            wall = canvas.cover(depth + np.float32(vessel.wall_mm))
            canvas.paint(window, wall * np.float32(soft), 40.0)
        canvas.paint(window, canvas.cover(depth), study.tissues[vessel.tissue])
        study.see(vessel.organ, i)


def _bone(study: Study, canvas: Canvas, i: int, bone: Bone) -> None:
    section = study.sections(bone.tube, soft=False)[i]
    if min(section[2], section[3]) < 0.8:
        return
    tissues = study.tissues
    bone_ellipse(
        canvas, section, tissues["cortex"], tissues[bone.inside], bone.shell_mm, square=bone.tube.square
    )
    study.see(bone.organ, i)


def _bones(study: Study, canvas: Canvas, i: int, cavity_depth: Floats | None) -> None:
    anatomy, tz = study.anatomy, float(study.template_z[i])
    if cavity_depth is not None and tz < 480:
        draw_ribs(canvas, cavity_depth, float(study.cavity.centre_y[i]), tz, study.tissues)
    draw_vertebra(canvas, anatomy, float(study.z_mm[i]), study.tissues)
    for bone in (*thoracic_bones(anatomy), *pelvic_bones(anatomy)):
        _bone(study, canvas, i, bone)
    for vessel in curved_bones(anatomy):
        window, depth = _cut(canvas, vessel.curve.points_mm, vessel.curve.radii_mm, float(study.z_mm[i]))
        if window != _EMPTY:
            core = canvas.cover(depth - np.float32(vessel.wall_mm))
            value = study.tissues["cortex"] * (1 - core) + study.tissues["spongiosa"] * core
            canvas.paint(window, canvas.cover(depth), value)
