"""Ribs and vertebrae: where they lie and how a slice cuts them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lesiongraph.phantom.anatomy import Anatomy, Doubles, thoracic_top_mm, vertebra_borders_mm
from lesiongraph.phantom.canvas import EMPTY, Canvas
from lesiongraph.phantom.contours import spine_y_mm
from lesiongraph.phantom.fields import Floats
from lesiongraph.phantom.tissues import Tissues

RIBS = 12
_FIRST_DROP_MM, _DROP_STEP_MM = 46.0, 11.0
# Half width and half depth of the vertebral bodies by template height.
_BODY = np.array([(0, 12, 8.5), (90, 14, 9.5), (240, 16, 13), (390, 21, 15.5), (573, 26, 17.5)], float)
DISC_HALF = 0.13
"""Half of a disc's share of one vertebral step."""


def _fall(phi: npt.ArrayLike) -> Doubles:
    """How far a rib has come down (0 at the spine to 1 in front) at angle phi from the back midline."""
    return np.asarray((1 - np.cos(np.clip(phi, 0.0, 2.5))) / 1.8)


def rib_template_z(number: npt.ArrayLike, phi: npt.ArrayLike) -> Doubles:
    """Template height of rib `number` (1-12) at angle phi (0 back, pi front)."""
    u = np.asarray(number, float)
    return thoracic_top_mm(u) + (_FIRST_DROP_MM + _DROP_STEP_MM * (u - 1)) * _fall(phi)


def rib_number(template_z: float, phi: Floats) -> tuple[Floats, Floats]:
    """Return (the fractional rib number, mm between ribs) at angles phi (k,): the inverse of the height."""
    fall = _fall(phi)
    linear = 20.5 + _DROP_STEP_MM * fall
    reach = template_z - 90.0 - _FIRST_DROP_MM * fall
    u = (-linear + np.sqrt(np.maximum(linear**2 + 4 * 0.409 * reach, 0))) / (2 * 0.409)
    return (u + 1).astype(np.float32), (linear + 0.818 * u).astype(np.float32)


def draw_ribs(
    canvas: Canvas, cavity_depth: Floats, cavity_y: float, template_z: float, tissues: Tissues
) -> None:
    """Paint ribs and costal cartilages into the ring just outside the cavity."""
    ring = np.flatnonzero(((cavity_depth < 2.0) & (cavity_depth > -13.0)).ravel())
    if not ring.size:
        return
    out = -cavity_depth.ravel()[ring] - 4.5  # 0 in the middle of the rib
    x = canvas.x.ravel()[ring]
    phi = np.arctan2(np.abs(x), canvas.y.ravel()[ring] - np.float32(cavity_y))
    number, step = rib_number(template_z, phi)
    nearest = np.rint(number)
    off = (number - nearest) * step
    exists = (nearest >= 1) & (nearest <= RIBS)
    # The eleventh and twelfth float; 8 to 10 end in cartilage further back.
    end = np.where(nearest == 12, 1.0, np.where(nearest == 11, 1.5, np.where(nearest >= 8, 2.1, 2.4)))
    end = np.where(nearest == 1, 2.55, end)
    radius = np.sqrt((out / np.float32(4.2)) ** 2 + (off / np.float32(7.0)) ** 2)
    depth = (1 - radius) * np.float32(4.2)
    bone = canvas.cover(depth) * exists * (phi < end)
    cartilage = canvas.cover(depth) * exists * (phi >= end) * (nearest <= 10) * (phi < 2.95)
    inside = np.clip((depth - np.float32(1.3)) / np.float32(0.8), 0, 1)
    value = tissues["cortex"] * (1 - inside) + (tissues["spongiosa"] + 60) * inside
    flat = canvas.hu.reshape(-1)
    flat[ring] += cartilage * (tissues["cartilage"] - flat[ring])
    flat[ring] += bone * (value - flat[ring])


def vertebra_at(template_z: float) -> tuple[int, float]:
    """Return (index of the vertebra from C3, how far down it 0-1); index -1 above, 22 below L5."""
    borders = vertebra_borders_mm()
    index = int(np.searchsorted(borders, template_z, side="right")) - 1
    if index < 0 or index >= len(borders) - 1:
        return (-1 if index < 0 else len(borders) - 1), 0.0
    return index, float((template_z - borders[index]) / (borders[index + 1] - borders[index]))


def vertebral_halves(anatomy: Anatomy, template_z: float) -> tuple[float, float]:
    """Return half width and half depth (mm) of the vertebral body."""
    return (
        float(np.interp(template_z, _BODY[:, 0], _BODY[:, 1]) * anatomy.width),
        float(np.interp(template_z, _BODY[:, 0], _BODY[:, 2]) * anatomy.depth),
    )


def draw_vertebra(canvas: Canvas, anatomy: Anatomy, z_mm: float, tissues: Tissues) -> None:
    """Paint the vertebra or disc of this slice with its arch, processes and canal."""
    template_z = float(anatomy.template_z(z_mm))
    if template_z > 573:
        return
    index, down = vertebra_at(template_z)
    index, down = (0, 0.5) if index < 0 else (index, down)
    a, b = vertebral_halves(anatomy, template_z)
    cy = float(spine_y_mm(anatomy, z_mm))
    from_disc = min(down, 1 - down)
    bulge = 1.0 + 0.08 * float(np.cos(2 * np.pi * down))  # waisted between the end plates
    _arch(canvas, (cy, b), index, down, tissues)
    body = np.array([0, cy, a * bulge, b * bulge, 0.0])
    if from_disc < DISC_HALF:
        canvas.ellipse(body, tissues["disc"], square=0.25, texture_hu=4)
    else:
        plate = float(np.clip(1 - (from_disc - DISC_HALF) / 0.05, 0, 1))  # cortical end plates
        inner = tissues["spongiosa"] + plate * 0.3 * (tissues["cortex"] - tissues["spongiosa"])
        bone_ellipse(canvas, body, tissues["cortex"] * 0.75, inner, 1.6, square=0.25)
    canal_y = cy + b + 7.5 * anatomy.depth
    canvas.ellipse(np.array([0, canal_y, 11.0, 8.0, 0.0]), tissues["canal"], square=0.1)


def _arch(canvas: Canvas, body: tuple[float, float], index: int, down: float, tissues: Tissues) -> None:
    """Paint pedicles, laminae, transverse, articular and spinous processes."""
    cy, b = body
    canal_y = cy + b + 7.5
    cortex, spongy = tissues["cortex"] * 0.85, tissues["spongiosa"] + 80
    lumbar, thoracic = index >= 17, 5 <= index < 17
    if 0.15 < down < 0.55:  # pedicles close the ring
        bone_ellipse(canvas, np.array([0, canal_y - 2, 16.5, 14.0, 0.0]), cortex, spongy, 1.8)
        reach = 36.0 if lumbar else 29.0 if thoracic else 22.0
        tilt = np.deg2rad(8 if lumbar else 28 if thoracic else -12)
        for side in (-1, 1):
            centre = (side * (reach / 2 + 6), canal_y + (5 if thoracic else 1))
            section = np.array([*centre, reach / 2, 4.6, side * tilt])
            bone_ellipse(canvas, section, cortex, spongy, 1.5)
    else:
        for side in (-1, 1):  # facets and laminae behind the foramen
            section = np.array([side * 13.0, canal_y + 8, 8.5, 5.5, -side * 0.7])
            bone_ellipse(canvas, section, cortex, spongy, 1.6)
    length = 15.0 if lumbar else 12.0 if thoracic else 10.0
    section = np.array([0, canal_y + 11 + length, 3.4, length, 0.0])
    bone_ellipse(canvas, section, cortex, spongy, 1.4)


def bone_ellipse(
    canvas: Canvas, section: Doubles, cortex: float, inside: float, shell_mm: float, *, square: float = 0.0
) -> Floats:
    """Paint a bone's section: a cortical shell round a textured inside; return its coverage window."""
    window = canvas.window(section[0], section[1], max(section[2], section[3]))
    if window == EMPTY or min(section[2], section[3]) < 0.5:
        return np.zeros((0, 0), np.float32)
    depth, _ = canvas.depth_of(window, section, square)
    alpha = canvas.cover(depth)
    core = np.clip((depth - np.float32(shell_mm)) / np.float32(1.2) + np.float32(0.5), 0, 1)
    value = cortex + core * (inside + 28 * canvas.noise[window] - cortex)
    canvas.paint(window, alpha, value)
    return alpha
