"""Paints lesions into a slice and returns which pixels they took."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lesiongraph.phantom.canvas import EMPTY, Canvas, Window
from lesiongraph.phantom.fields import Floats
from lesiongraph.phantom.lesions import PhantomLesion
from lesiongraph.phantom.tissues import Tissues

Mask = npt.NDArray[np.bool_]


def paint_lesion(
    canvas: Canvas, lesion: PhantomLesion, z_mm: float, tissues: Tissues, cavity: Floats
) -> tuple[Window, Mask] | None:
    """Paint the cut of a lesion at body height `z_mm`; return its window and mask, None where it misses."""
    dz = z_mm - lesion.centre_mm[2]
    if abs(dz) > lesion.reach_mm:
        return None
    window = canvas.window(lesion.centre_mm[0], lesion.centre_mm[1], lesion.reach_mm)
    if window == EMPTY:
        return None
    depth, radius = _depth(canvas, lesion, dz, window)
    alpha = canvas.cover(depth)
    if lesion.type == "lung":
        alpha = alpha * np.maximum(cavity[window], np.float32(radius < 0.4))
    if lesion.type == "bone":
        alpha = _within_bone(canvas, window, lesion, alpha, radius)
    mask = alpha > 0.5
    if not mask.any():
        return None
    _LOOKS.get(lesion.look, _solid)(canvas, window, lesion, alpha, radius, tissues)
    return window, mask


def _depth(canvas: Canvas, lesion: PhantomLesion, dz: float, window: Window) -> tuple[Floats, Floats]:
    """Return depth in mm and relative radius of a bumpy ellipsoid on the window."""
    cos, sin = np.float32(np.cos(lesion.angle)), np.float32(np.sin(lesion.angle))
    dx = canvas.x[window] - np.float32(lesion.centre_mm[0])
    dy = canvas.y[window] - np.float32(lesion.centre_mm[1])
    a, b, c = (np.float32(r) for r in lesion.radii_mm)
    u, v, w = (cos * dx + sin * dy) / a, (cos * dy - sin * dx) / b, np.float32(dz) / c
    radius = np.sqrt(u * u + v * v + w * w)
    scale = 1 / np.maximum(radius, np.float32(0.05))
    directions, phases, weights = lesion.waves()
    bumps = np.zeros_like(radius)
    for (kx, ky, kz), phase, weight in zip(directions, phases, weights, strict=True):
        bumps += weight * np.cos((kx * u + ky * v + kz * w) * scale + phase)
    edge = 1 + np.float32(lesion.roughness) * bumps
    if lesion.spiculation:
        spikes = np.cos(4 * bumps + 7 * np.arctan2(v, u))
        edge = edge + np.float32(lesion.spiculation) * np.clip(spikes - np.float32(0.6), 0, 1)
    depth = (edge - radius) * min(a, b)
    return np.asarray(depth, np.float32), np.asarray(radius / np.maximum(edge, np.float32(0.3)), np.float32)


def _within_bone(
    canvas: Canvas, window: Window, lesion: PhantomLesion, alpha: Floats, radius: Floats
) -> Floats:
    """Keep sclerosis inside the bone; lysis may break through the cortex."""
    bony = np.clip((canvas.hu[window] - np.float32(95)) / 60, 0, 1)
    core = 0.45 if lesion.look == "sclerotic" else 0.85
    return np.asarray(alpha * np.maximum(bony, np.float32(radius < core)), np.float32)


def _base_hu(lesion: PhantomLesion, tissues: Tissues) -> float:
    """What the lesion's own tissue measures in this phase."""
    if lesion.look == "cyst":
        return 8.0 + 0.2 * lesion.contrast_hu
    if lesion.look == "fatty":
        return -45.0 + lesion.contrast_hu
    if lesion.type == "liver":
        return tissues["liver"] + lesion.contrast_hu
    if lesion.type == "kidney":
        return 0.45 * tissues["kidney"] + 22 + lesion.contrast_hu
    if lesion.organ == "spleen":
        return tissues["spleen"] + lesion.contrast_hu
    if lesion.type == "lung":
        return 0.5 * (tissues["muscle"] + 30) + lesion.contrast_hu
    # Soft-tissue tumours and nodes take up some contrast: muscle plus a third of the spleen's uptake.
    return tissues["muscle"] - 6 + 0.33 * (tissues["spleen"] - 48) + lesion.contrast_hu


def _solid(
    canvas: Canvas, window: Window, lesion: PhantomLesion, alpha: Floats, radius: Floats, tissues: Tissues
) -> None:
    value = np.float32(_base_hu(lesion, tissues)) + np.float32(lesion.texture_hu) * canvas.noise[window]
    if lesion.core and lesion.look not in ("part-solid", "cavity"):
        dead = np.clip((np.float32(lesion.core) - radius) * 5, 0, 1)
        value = value - dead * np.float32(24)
    canvas.paint(window, alpha, value)


def _hazy(
    canvas: Canvas, window: Window, lesion: PhantomLesion, alpha: Floats, radius: Floats, tissues: Tissues
) -> None:
    haze = np.float32(-520) + np.float32(35) * canvas.noise[window] + 4 * np.float32(lesion.contrast_hu)
    soft = alpha * np.clip((np.float32(1.05) - radius) * 4, 0, 1)
    canvas.paint(window, soft, np.maximum(haze, canvas.hu[window]))
    if lesion.look == "part-solid":
        canvas.paint(window, np.clip((np.float32(lesion.core) - radius) * 6, 0, 1), _base_hu(lesion, tissues))


def _cavity(
    canvas: Canvas, window: Window, lesion: PhantomLesion, alpha: Floats, radius: Floats, tissues: Tissues
) -> None:
    _solid(canvas, window, lesion, alpha, radius, tissues)
    canvas.paint(window, alpha * np.clip((np.float32(lesion.core) - radius) * 6, 0, 1), -930.0)


def _bony(
    canvas: Canvas, window: Window, lesion: PhantomLesion, alpha: Floats, radius: Floats, tissues: Tissues
) -> None:
    noise = canvas.noise[window]
    if lesion.look == "sclerotic":
        value = np.float32(560 + lesion.contrast_hu) + 90 * noise
    elif lesion.look == "mixed":
        value = np.float32(230 + lesion.contrast_hu) + 190 * noise
    else:
        value = np.float32(tissues["muscle"] + 10 + 0.3 * lesion.contrast_hu) + 12 * noise
    canvas.paint(window, alpha, value)


_LOOKS = {
    "part-solid": _hazy,
    "ground-glass": _hazy,
    "cavity": _cavity,
    "lytic": _bony,
    "sclerotic": _bony,
    "mixed": _bony,
}
