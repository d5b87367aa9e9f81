"""Metal and plastic that patients carry: prostheses, screws, wires, stents, ports, teeth, dense contrast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lesiongraph.phantom.anatomy import Anatomy, thoracic_top_mm
from lesiongraph.phantom.canvas import Canvas
from lesiongraph.phantom.contours import muscle_outline
from lesiongraph.phantom.shapes import Row, Tube, tube


@dataclass(frozen=True)
class Implant:
    """One dense piece and how strongly it streaks."""

    shape: Tube
    hu: float
    streaks: float


def sample_implants(anatomy: Anatomy, rng: np.random.Generator) -> tuple[Implant, ...]:
    """Draw what a body carries: mostly nothing, seldom several kinds."""
    pieces: list[Implant] = []
    for often, draw in (
        (0.10, _hip), (0.07, _screws), (0.3, _teeth), (0.07, _wires), (0.10, _port), (0.04, _pacemaker),
        (0.06, _stent), (0.12, _dense_vein),
    ):  # fmt: skip
        if rng.random() < often:
            pieces += draw(anatomy, rng)
    return tuple(pieces)


def paint_implants(
    canvas: Canvas, z_mm: float, implants: tuple[Implant, ...]
) -> list[tuple[float, float, float, float]]:
    """Paint the pieces cut at `z_mm`; return (row, column, radius px, strength) of those that streak."""
    sources = []
    for piece in implants:
        section = piece.shape.sections(z_mm)
        if min(section[2], section[3]) < 0.4:
            continue
        canvas.ellipse(section, piece.hu)
        x = canvas.cos * section[0] - canvas.sin * section[1] + canvas.shift[0]
        y = canvas.sin * section[0] + canvas.cos * section[1] + canvas.shift[1]
        radius = float(np.sqrt(section[2] * section[3])) / canvas.pixel_mm
        row, column = (y - canvas.top_mm) / canvas.pixel_mm, (x - canvas.left_mm) / canvas.pixel_mm
        sources.append((float(row), float(column), radius, piece.streaks))
    return sources


def _rod(
    anatomy: Anatomy, rows: tuple[Row, ...], rng: np.random.Generator, hu: float, streaks: float
) -> Implant:
    return Implant(
        tube(anatomy, rows), hu * float(rng.uniform(0.7, 1.2)), streaks * float(rng.uniform(0.4, 1.3))
    )


def _hip(anatomy: Anatomy, rng: np.random.Generator) -> list[Implant]:
    sides = [(-1,), (1,), (-1, 1)][int(rng.integers(3))]
    pieces = []
    for s in sides:
        head: tuple[Row, ...] = ((633, s * 90, 4, 0, 0), (640, s * 90, 4, 17, 17), (655, s * 91, 4, 24, 24),
                                 (670, s * 94, 5, 16, 16), (678, s * 98, 6, 0, 0))  # fmt: skip
        stem: tuple[Row, ...] = ((668, s * 104, 8, 0, 0), (676, s * 110, 10, 12, 7), (720, s * 113, 10, 9, 8),
                                 (800, s * 105, 5, 6, 6), (815, s * 104, 5, 0, 0))  # fmt: skip
        pieces += [_rod(anatomy, head, rng, 3000, 1.0), _rod(anatomy, stem, rng, 3000, 0.5)]
    return pieces


def _screws(anatomy: Anatomy, rng: np.random.Generator) -> list[Implant]:
    first = float(rng.choice([*np.atleast_1d(thoracic_top_mm(np.array([4, 8, 11]))), 390.0, 463.0, 500.0]))
    pieces = []
    for level in range(int(rng.integers(2, 5))):
        z = first + 33.0 * level
        y = float(np.interp(z, (90, 240, 390, 573), (45, 74, 60, 56)))
        for s in (-1, 1):
            screw: tuple[Row, ...] = ((z, s * 17, y, 0, 0, s * -70), (z + 3, s * 17, y, 21, 3, s * -70),
                                      (z + 6, s * 17, y, 0, 0, s * -70))  # fmt: skip
            rod: tuple[Row, ...] = ((z, s * 22, y + 22, 3, 3), (z + 33, s * 22, y + 22, 3, 3))
            pieces += [_rod(anatomy, screw, rng, 2800, 0.35), _rod(anatomy, rod, rng, 2800, 0.12)]
    return pieces


def _teeth(anatomy: Anatomy, rng: np.random.Generator) -> list[Implant]:
    pieces = []
    for _ in range(int(rng.integers(1, 6))):
        turn, z = rng.uniform(-1.3, 1.3), float(rng.uniform(-48, -24))
        x, y = 26 * float(np.sin(turn)), -40 - 24 * float(np.cos(turn))
        rows: tuple[Row, ...] = ((z, x, y, 4, 4), (z + 9, x, y, 4, 4))
        pieces.append(_rod(anatomy, rows, rng, 3000, 0.6))
    return pieces


def _wires(anatomy: Anatomy, rng: np.random.Generator) -> list[Implant]:
    pieces = []
    for z in np.linspace(142, 285, int(rng.integers(4, 8))):
        y = float(np.interp(z, (136, 182, 230, 292), (-50, -75, -88, -99)))
        rows: tuple[Row, ...] = ((z - 3, 0, y, 3, 2), (z + 3, 0, y, 9, 1.5))
        pieces.append(_rod(anatomy, rows, rng, 2500, 0.25))
    return pieces


def _port(anatomy: Anatomy, rng: np.random.Generator) -> list[Implant]:
    z, side = float(rng.uniform(125, 170)), float(rng.choice([-1, 1]))
    outline = muscle_outline(anatomy, np.atleast_1d(anatomy.patient_z(z)))
    x = side * 75.0
    drop = np.sqrt(1 - min(0.8, x / float(outline.half_x[0])) ** 2)
    y = float(outline.centre_y[0]) / anatomy.depth - float(outline.half_y[0]) / anatomy.depth * drop - 4
    body: tuple[Row, ...] = (
        (z - 12, x, y, 0, 0),
        (z - 8, x, y, 12, 6),
        (z + 8, x, y, 12, 6),
        (z + 12, x, y, 0, 0),
    )
    line: tuple[Row, ...] = (
        (z - 40, side * 40, -20, 1.8, 1.8),
        (150, -24, -16, 1.8, 1.8),
        (205, -26, -12, 1.8, 1.8),
    )
    return [_rod(anatomy, body, rng, 900, 0.2), _rod(anatomy, line, rng, 900, 0.0)]


def _pacemaker(anatomy: Anatomy, rng: np.random.Generator) -> list[Implant]:
    rows: tuple[Row, ...] = ((112, 92, -52, 0, 0, 25), (118, 92, -52, 24, 5, 25), (150, 92, -58, 24, 5, 25),
                             (158, 92, -60, 0, 0, 25))  # fmt: skip
    lead: tuple[Row, ...] = ((150, -24, -16, 1.5, 1.5), (230, -26, -14, 1.5, 1.5), (285, 12, -46, 1.5, 1.5))
    return [_rod(anatomy, rows, rng, 3000, 0.6), _rod(anatomy, lead, rng, 3000, 0.3)]


def _stent(anatomy: Anatomy, rng: np.random.Generator) -> list[Implant]:
    which = int(rng.integers(3))
    rows: tuple[Row, ...] = (
        ((395, -38, -14, 3, 3), (450, -30, -8, 3, 3)),  # bile duct
        ((430, 7, 2, 11, 11), (505, 7, -6, 10, 10)),  # aorta
        ((180, 4, 26, 7, 7), (290, 12, 20, 7, 7)),  # oesophagus
    )[which]
    return [_rod(anatomy, rows, rng, (900, 450, 700)[which], 0.05)]


def _dense_vein(anatomy: Anatomy, rng: np.random.Generator) -> list[Implant]:
    """Undiluted contrast in the veins of one arm and the upper vena cava."""
    s = float(rng.choice([-1, 1]))
    arm: tuple[Row, ...] = ((102, s * 150, 4, 0, 0), (106, s * 120, -6, 16, 5), (112, s * 90, -14, 20, 5),
                            (118, s * 50, -20, 18, 5), (128, s * 30, -14, 7, 6), (150, -22, -18, 7, 7),
                            (185, -25, -14, 8, 8), (205, -26, -12, 0, 0))  # fmt: skip
    return [_rod(anatomy, arm, rng, 1200, 0.45)]
