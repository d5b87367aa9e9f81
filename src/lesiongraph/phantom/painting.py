"""Paints the slices of one study: body wall, cavities, organs, bones, in the order they cover each other."""

from __future__ import annotations

import numpy as np

from lesiongraph.phantom.anatomy import Doubles
from lesiongraph.phantom.canvas import EMPTY, Canvas
from lesiongraph.phantom.contours import (
    CAVITY_BOTTOM,
    CAVITY_TOP,
    Outline,
)
from lesiongraph.phantom.fields import Floats
from lesiongraph.phantom.organs import (
    Part,
    abdomen_parts,
    neck_parts,
    paravertebral_parts,
    pelvis_parts,
    thorax_parts,
    wall_parts,
)
from lesiongraph.phantom.skeleton import Bone
from lesiongraph.phantom.spine import bone_ellipse, draw_ribs, draw_vertebra
from lesiongraph.phantom.study import Study
from lesiongraph.phantom.vessels import Vessel, airways, curved_bones, great_vessels, lung_tree

_DIAPHRAGM_BOTTOM = 392.0
_THIGH_TOP = 724.0


def paint_slice(study: Study, i: int) -> tuple[Canvas, Floats]:
    """Paint slice `i`; return the canvas and the coverage (rows, columns) of the body cavity."""
    canvas = study.canvas(i)
    tz = float(study.organ_z[i])
    septa = canvas.bend
    _arms(study, canvas, i)
    _wall(study, canvas, i, septa)
    _parts(study, canvas, i, wall_parts(study.anatomy), study.nowhere)
    cavity_depth, cavity = _cavity(study, canvas, i)
    _parts(study, canvas, i, paravertebral_parts(study.anatomy), cavity)
    if tz < 410:
        _thorax(study, canvas, i, cavity)
    parts = neck_parts(study.anatomy) if tz < 130 else ()
    if tz > 380:
        _bowel(study, canvas, i)  # first, so that liver and kidneys push it aside
    _parts(study, canvas, i, (*parts, *abdomen_parts(study.anatomy)), cavity)
    if tz > 560:
        _parts(study, canvas, i, pelvis_parts(study.anatomy), cavity)
    study.paint_masses(canvas, i, cavity)
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
    tissues = study.tissues
    tubes, bones = study.arms()
    fat = 2.0 + 0.35 * study.anatomy.subcutaneous_mm
    cut = [(shape, study.sections(shape, soft=False)[i]) for shape in tubes]
    cut = [(shape, section) for shape, section in cut if min(section[2], section[3]) > 2]
    if not cut:
        return
    # Layer by layer, so that arm and shoulder merge where they meet.
    for tissue, grow in (("skin", fat), ("fat", fat - 1.8), ("muscle", -0.8)):
        for shape, section in cut:
            grown = section + np.array([0, 0, grow, grow, 0])
            value = _muscle(study, canvas) if tissue == "muscle" else tissues[tissue]
            canvas.ellipse(grown, value, square=shape.square, rough_mm=1.5, texture_hu=5)
    for bone in bones:
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
    outer = canvas.cover(skin)
    # Inside shoulder and arm there is no skin.
    joined = (canvas.hu > -300) & (canvas.y < np.float32(study.flat_back(i)))
    canvas.paint(everywhere, outer, np.where(joined, canvas.hu, tissues["skin"]).astype(np.float32))
    _breasts(study, canvas, i)
    inside = canvas.cover(skin - np.float32(1.8))
    # Thin strands cross the subcutaneous fat.
    strands = np.clip(1 - np.abs(septa) * 9, 0, 1) * np.float32(18)
    shoulder = np.clip((canvas.hu - np.float32(20)) / 25, 0, 1) if tz < 145 else np.float32(0)
    canvas.paint(everywhere, inside * (1 - shoulder), tissues["fat"] + 4 * noise + strands)
    muscle = np.minimum(_trunk_depth(canvas, study.muscle, i, tz), skin - np.float32(2.2))
    canvas.paint(everywhere, canvas.cover(muscle + np.float32(1.6) * septa), _muscle(study, canvas))


def _muscle(study: Study, canvas: Canvas) -> Floats:
    """Muscle (rows, columns) with thin fat between its bundles."""
    gaps = np.clip(1 - np.abs(canvas.bend + np.float32(0.25)) * np.float32(study.muscle_gaps), 0, 1)
    value = np.float32(study.tissues["muscle"]) + 6 * canvas.noise
    value += gaps * np.float32(0.75) * (np.float32(study.tissues["fat"]) - value)
    return np.asarray(value, np.float32)


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
    coverage = canvas.cover(depth + np.float32(0.8) * canvas.bend)
    everywhere = (slice(None), slice(None))
    if study.organ_z[i] < _DIAPHRAGM_BOTTOM:
        value = np.float32(tissues["lung"]) + 14 * canvas.noise + np.float32(0.32) * canvas.y
        canvas.paint(everywhere, coverage, value)
        window, tree = canvas.ball_depth(*lung_tree(study.anatomy).cut(float(study.soft_z[i])))
        if window != EMPTY:
            canvas.paint(window, canvas.cover(tree) * coverage[window], study.tissues["pulmonary"] * 0.6 + 20)
        _effusion(study, canvas, i, coverage)
        study.paint_lung_disease(canvas, i, coverage)
        study.see("lung", i)
    else:
        canvas.paint(everywhere, coverage, np.float32(tissues["mesentery"]) + 9 * canvas.noise)
    return depth, coverage


def _effusion(study: Study, canvas: Canvas, i: int, cavity: Floats) -> None:
    """Paint pleural fluid: it lies at the back and rises towards the diaphragm."""
    share = study.effusion * float(np.clip((study.template_z[i] - 150) / 150, 0, 1))
    if share <= 0.01:
        return
    back, depth = study.cavity.centre_y[i] + study.cavity.half_y[i], 2 * study.cavity.half_y[i]
    rise = np.float32(0.12) * (np.abs(canvas.x) - 60)
    level = np.asarray(canvas.y - np.float32(back - share * depth) + rise, np.float32)
    wet = np.asarray(cavity * canvas.cover(level), np.float32)
    if study.effusion_side:
        wet *= canvas.x * study.effusion_side > 0
    canvas.paint((slice(None), slice(None)), wet, study.tissues["fluid"])


def _thorax(study: Study, canvas: Canvas, i: int, cavity: Floats) -> None:
    _parts(study, canvas, i, thorax_parts(study.anatomy), cavity)


def _parts(study: Study, canvas: Canvas, i: int, parts: tuple[Part, ...], cavity: Floats) -> None:
    """Paint the parts that this slice cuts."""
    for part in parts:
        if part.organ in study.missing:
            continue
        section = study.sections(part.tube)[i]
        if part.organ in study.organ_scale:
            section = section * np.array(
                [1, 1, study.organ_scale[part.organ], study.organ_scale[part.organ], 1]
            )
        if min(section[2], section[3]) < 0.8:
            continue
        clip = cavity if part.in_cavity else None
        if part.tissue == "stomach content":
            value: float | Floats = _with_gas(canvas, section, *study.stomach)
        else:
            value = study.tissues[part.tissue]
        if part.organ == "bladder":
            section = section.copy()
            section[2:4] = np.maximum(section[2:4] + study.bladder_full, 0)
        canvas.ellipse(
            section,
            value,
            square=part.tube.square,
            rough_mm=part.rough_mm,
            texture_hu=part.texture_hu,
            clip=clip,
        )
        study.see(part.organ, i)


def _with_gas(canvas: Canvas, section: Doubles, gas_share: float, fluid_hu: float) -> Floats:
    """Fluid below, gas above: the patient lies on the back."""
    level = section[1] + section[3] * (gas_share * 1.6 - 1)
    above = np.clip((np.float32(level) - canvas.y) / np.float32(canvas.pixel_mm), 0, 1)
    return np.asarray(
        np.float32(fluid_hu) + 8 * canvas.noise + above * np.float32(-950 - fluid_hu), np.float32
    )


def _bowel(study: Study, canvas: Canvas, i: int) -> None:
    z = float(study.soft_z[i])
    for n, loop in enumerate(study.bowel):
        window, depth = canvas.ball_depth(*loop.curve.cut(z))
        if window == EMPTY:
            continue
        noise = canvas.noise[window]
        canvas.paint(window, canvas.cover(depth), study.tissues["bowel wall"] + 4 * noise)
        inner = canvas.cover(depth - np.float32(loop.wall_mm))
        gas, fluid = study.bowel_gas[n], study.bowel_hu[n]
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
        window, depth = canvas.ball_depth(*vessel.curve.cut(z))
        if window == EMPTY:
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
    if bone.halo_mm:
        canvas.ellipse(section + np.array([0, 0, bone.halo_mm, bone.halo_mm, 0]), tissues["muscle"])
    bone_ellipse(
        canvas, section, tissues["cortex"], tissues[bone.inside], bone.shell_mm, square=bone.tube.square
    )
    study.see(bone.organ, i)


def _bones(study: Study, canvas: Canvas, i: int, cavity_depth: Floats | None) -> None:
    anatomy, tz = study.anatomy, float(study.template_z[i])
    if cavity_depth is not None and tz < 480:
        draw_ribs(canvas, cavity_depth, float(study.cavity.centre_y[i]), tz, study.tissues)
    draw_vertebra(canvas, anatomy, float(study.z_mm[i]), study.tissues)
    for bone in study.bones():
        _bone(study, canvas, i, bone)
    for vessel in curved_bones(anatomy):
        window, depth = canvas.ball_depth(*vessel.curve.cut(float(study.z_mm[i])))
        if window != EMPTY:
            core = canvas.cover(depth - np.float32(vessel.wall_mm))
            value = study.tissues["cortex"] * (1 - core) + study.tissues["spongiosa"] * core
            canvas.paint(window, canvas.cover(depth), value)
