"""What lies round the patient: couches, cushions, blankets, leads and lines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lesiongraph.phantom.canvas import EMPTY, Canvas
from lesiongraph.phantom.fields import Floats


@dataclass(frozen=True)
class TableShape:
    """A couch: shells (mm below the back, curl, half width, thickness, HU) over foam, and cushions."""

    shells: tuple[tuple[float, float, float, float, float], ...]
    profile: str  # "curve", "flat" or "trough"
    foam_hu: float
    gap_mm: float
    cushion_hu: float
    blanket_mm: float  # how far a blanket lies off the skin, 0: none


def sample_table(rng: np.random.Generator) -> TableShape:
    """Draw a couch: curved, flat or like a trough, of one to three shells, bright or hardly seen."""
    profile = str(rng.choice(("curve", "flat", "trough"), p=(0.6, 0.2, 0.2)))
    curl, half = float(rng.uniform(5, 70)), float(rng.uniform(110, 270))
    depth, shells = 0.0, []
    for _ in range(int(rng.integers(1, 4))):
        shells.append(
            (depth, curl * float(rng.uniform(0.6, 1.3)), half * float(rng.uniform(0.5, 1.05)),
             float(rng.uniform(0.6, 3.0)), float(rng.uniform(-400, 500)))
        )  # fmt: skip
        depth += float(rng.uniform(12, 60))
    return TableShape(
        shells=tuple(shells),
        profile=profile,
        foam_hu=float(rng.uniform(-990, -860)),
        gap_mm=float(rng.uniform(0, 12) if rng.random() < 0.6 else rng.uniform(12, 55)),
        cushion_hu=float(rng.uniform(-960, -800) if rng.random() < 0.8 else rng.uniform(-800, -120)),
        blanket_mm=float(rng.uniform(2, 22)) if rng.random() < 0.2 else 0.0,
    )


def paint_table(level: tuple[Floats, Floats], back_mm: float, table: TableShape) -> Floats:
    """Paint a couch on air (rows, columns).

    Parameters
    ----------
    level : tuple of ndarray (rows, columns)
        x and y in mm, upright as the couch is.
    back_mm : float
        y of the lowest back.
    table : TableShape
    """
    x, y = level
    image = np.full(x.shape, -1000, float)
    start = np.float32(back_mm + table.gap_mm)
    lowest = max(depth for depth, *_ in table.shells)
    first = table.shells[0]
    surface = y - start - _profile(x, table.profile, first[1], first[2])
    wide = np.clip(np.float32(first[2]) - np.abs(x), 0, 1)
    foam = np.clip(surface, 0, 1) * np.clip(np.float32(lowest) - surface, 0, 1) * wide
    cushion = np.clip(-surface, 0, 1) * np.clip(y - np.float32(back_mm - 25), 0, 1) * wide
    image += foam * np.float32(table.foam_hu + 1000) + cushion * np.float32(table.cushion_hu + 1000)
    for depth, curl, half, thick, hu in table.shells:
        off = np.abs(y - start - np.float32(depth) - _profile(x, table.profile, curl, half))
        shell = np.clip(np.float32(thick) - off + np.float32(0.5), 0, 1) * np.clip(
            np.float32(half) - np.abs(x), 0, 1
        )
        np.maximum(image, -1000 + shell * np.float32(hu + 1000), out=image)
    return image.astype(np.float32)


def _profile(x: Floats, profile: str, curl: float, half: float) -> Floats:
    """How much lower than its edge-free middle the couch lies at x; edges curl up."""
    across = np.abs(x) / np.float32(half)
    if profile == "flat":
        return np.zeros_like(x)
    rise = across**2 if profile == "curve" else np.clip(across - 0.55, 0, 1) * 2.2
    return np.asarray(-curl * rise, np.float32)


@dataclass(frozen=True)
class Line:
    """A lead, a drip or a drain: straight between two points of the body's frame, seen as a dot."""

    start_mm: tuple[float, float, float]
    end_mm: tuple[float, float, float]
    radius_mm: float
    hu: float


def sample_lines(rng: np.random.Generator, z_span_mm: tuple[float, float]) -> tuple[Line, ...]:
    """Draw leads and lines in front of and beside the patient."""
    if rng.random() < 0.55:
        return ()

    def point() -> tuple[float, float, float]:
        turn = rng.uniform(-0.55, 0.55) * np.pi
        x, y = 185 * np.sin(turn), -135 * np.cos(turn)
        return float(x), float(y), float(rng.uniform(*z_span_mm))

    return tuple(
        Line(point(), point(), float(rng.uniform(1, 4)), float(rng.uniform(50, 2500)))
        for _ in range(int(rng.integers(1, 7)))
    )


def paint_lines(canvas: Canvas, z_mm: float, lines: tuple[Line, ...]) -> None:
    """Paint the dots where lines cross this slice; a line lies on the skin, not in the body."""
    for line in lines:
        (x0, y0, z0), (x1, y1, z1) = line.start_mm, line.end_mm
        if not min(z0, z1) <= z_mm <= max(z0, z1):
            continue
        share = (z_mm - z0) / (z1 - z0) if z1 != z0 else 0.0
        section = np.array(
            [x0 + share * (x1 - x0), y0 + share * (y1 - y0), line.radius_mm, line.radius_mm, 0.0]
        )
        window = canvas.window(section[0], section[1], line.radius_mm)
        if window == EMPTY:
            continue
        depth, _ = canvas.depth_of(window, section)
        outside = np.clip((np.float32(-300) - canvas.hu[window]) / 200, 0, 1)
        canvas.paint(window, np.asarray(canvas.cover(depth) * outside, np.float32), line.hu)


def paint_blanket(canvas: Canvas, skin_depth: Floats, off_mm: float) -> None:
    """Paint a blanket: a thin layer that follows the skin at a distance."""
    layer = np.clip(np.float32(2.0) - np.abs(skin_depth + np.float32(off_mm)), 0, 1)
    air = np.clip((np.float32(-500) - canvas.hu) / 200, 0, 1)
    canvas.paint((slice(None), slice(None)), np.asarray(layer * air, np.float32), -140.0)
