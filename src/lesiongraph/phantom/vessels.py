"""Curved hollow things: great vessels, airways, the lungs' vessel trees, bowel, and two curved bones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lesiongraph.phantom.anatomy import Anatomy, Doubles
from lesiongraph.phantom.contours import cavity_outline
from lesiongraph.phantom.shapes import Curve, Row, curve, fill_in


@dataclass(frozen=True)
class Vessel:
    """One curve with its tissue; `wall_mm` of wall tissue round a hollow one."""

    organ: str
    tissue: str
    curve: Curve
    wall_mm: float = 0.0


# Template rows: x, y, z, radius.
_ONE_SIDED: tuple[tuple[str, str, tuple[Row, ...]], ...] = (
    ("vena cava", "vein", ((-25, -16, 142, 7), (-25, -14, 175, 8.5), (-26, -12, 218, 9))),
    ("innominate vein", "vein", ((52, -28, 124, 6), (22, -36, 138, 6.5), (-10, -32, 146, 7),
        (-24, -18, 150, 8))),
    ("innominate vein", "vein", ((-34, -14, 118, 6.5), (-28, -18, 140, 7.5))),
    ("pulmonary artery", "pulmonary", ((14, -42, 224, 13), (15, -32, 206, 13.5), (12, -14, 201, 12.5))),
    ("pulmonary artery", "pulmonary", ((13, -16, 202, 12), (-6, -8, 203, 11), (-30, -2, 206, 10.5),
        (-46, 2, 212, 8))),
    ("pulmonary artery", "pulmonary", ((15, -18, 200, 12), (34, 2, 197, 11), (46, 12, 203, 9),
        (49, 16, 216, 7))),
    ("aorta", "artery", ((0, -15, 228, 15), (-13, -24, 207, 16), (-15, -27, 184, 15.5), (-9, -22, 164, 15),
        (4, -4, 154, 14), (18, 20, 157, 13.5), (25, 38, 172, 12.5), (24, 44, 200, 12), (22, 44, 250, 11.5),
        (15, 37, 330, 11), (8, 20, 390, 10.5), (7, 3, 440, 9.5), (7, -6, 505, 8.8))),
    ("aortic branch", "artery", ((-8, -16, 153, 6), (-20, -10, 128, 6), (-24, -3, 108, 4),
        (-25, 2, 70, 3.6), (-26, 6, 0, 3.4), (-30, 6, -60, 3))),
    ("aortic branch", "artery", ((6, -6, 154, 4.2), (18, -2, 125, 4), (25, 2, 70, 3.6), (26, 6, 0, 3.4),
        (30, 6, -60, 3))),
    ("aortic branch", "artery", ((18, 16, 156, 5), (28, 14, 125, 5), (52, 6, 106, 4.6), (110, 8, 112, 4.4),
        (138, 8, 140, 4))),
    ("aortic branch", "artery", ((-22, -8, 120, 5), (-50, 4, 107, 4.6), (-110, 8, 112, 4.4),
        (-138, 8, 140, 4))),
    ("azygos", "vein", ((-5, 40, 360, 3.2), (-8, 44, 240, 3.6), (-10, 40, 190, 4), (-20, 18, 176, 4),
        (-24, -8, 180, 4))),
    ("vena cava", "vein", ((-22, -6, 300, 10), (-24, 2, 325, 11), (-24, 8, 360, 11), (-21, 6, 400, 11),
        (-19, 2, 450, 10.5), (-18, 2, 512, 10))),
    ("portal vein", "portal vein", ((-8, -18, 420, 6.5), (-18, -14, 402, 7), (-34, -14, 384, 7),
        (-52, -12, 374, 6), (-74, -4, 366, 4.5))),
    ("portal vein", "portal vein", ((-34, -14, 384, 6), (-14, -36, 362, 5), (10, -48, 352, 4),
        (32, -52, 348, 2.6))),
    ("portal vein", "portal vein", ((-52, -12, 374, 4.5), (-72, 18, 385, 3.6), (-84, 34, 398, 2.4))),
    ("splenic vein", "portal vein", ((-8, -18, 412, 5), (20, -8, 404, 4.5), (52, 10, 392, 4),
        (82, 22, 370, 3.4))),
    ("hepatic vein", "portal vein", ((-24, 0, 314, 5), (-48, -8, 322, 4.6), (-78, 4, 345, 3.2),
        (-92, 14, 365, 2))),
    ("hepatic vein", "portal vein", ((-23, -2, 312, 5), (-40, -30, 326, 4), (-56, -48, 350, 2.6))),
    ("hepatic vein", "portal vein", ((-22, -4, 311, 4.5), (2, -34, 322, 3.6), (26, -50, 332, 2.4))),
    ("mesenteric vein", "portal vein", ((-9, -20, 416, 5.5), (-8, -28, 440, 5), (-10, -32, 490, 4),
        (-30, -30, 540, 2.4))),
    ("mesenteric artery", "artery", ((7, -8, 402, 3.6), (5, -22, 420, 3.5), (2, -30, 450, 3.2),
        (0, -30, 520, 2.2))),
    ("coeliac trunk", "artery", ((7, 4, 394, 3.6), (4, -16, 396, 3.4), (-22, -14, 392, 3),
        (-36, -16, 384, 2.5))),
    ("splenic artery", "artery", ((4, -14, 396, 3), (30, 2, 386, 2.8), (56, 14, 390, 2.6),
        (82, 24, 372, 2.4))),
    ("renal vein", "vein", ((-16, -4, 424, 4.5), (6, -16, 424, 4), (26, 4, 428, 4.4), (50, 20, 432, 4.2))),
    ("renal vein", "vein", ((-20, 4, 434, 4.5), (-36, 14, 438, 4.4), (-50, 20, 444, 4))),
    ("pancreas", "pancreas", ((76, 16, 386, 8), (52, 2, 394, 9), (28, -14, 402, 9), (6, -26, 408, 8.5),
        (-14, -24, 416, 10), (-26, -16, 428, 13), (-28, -10, 446, 11), (-20, -8, 456, 7))),
)  # fmt: skip
_TWO_SIDED: tuple[tuple[str, str, tuple[Row, ...]], ...] = (
    ("jugular vein", "vein", ((34, 8, -50, 5), (34, 6, 20, 6), (33, 4, 80, 6.5), (32, -8, 120, 6))),
    ("subclavian vein", "vein", ((32, -10, 122, 6), (56, -20, 112, 5), (90, -14, 110, 4.5),
        (125, -4, 128, 4.5), (140, 2, 155, 4))),
    ("iliac artery", "artery", ((7, -6, 503, 6.5), (22, 0, 530, 5.6), (44, 6, 570, 5.2), (56, -2, 610, 5),
        (64, -32, 650, 5), (70, -48, 690, 4.8), (74, -48, 760, 4.4), (70, -38, 880, 4))),
    ("iliac artery", "artery", ((40, 6, 565, 4), (46, 26, 595, 3.6), (52, 34, 630, 3))),
    ("iliac vein", "vein", ((-18, 4, 512, 7.5), (26, 14, 545, 7), (46, 16, 580, 6.6), (54, 6, 615, 6.4),
        (58, -26, 652, 6.4), (62, -42, 690, 6.2), (68, -40, 760, 5.4), (64, -30, 880, 5))),
    ("pulmonary vein", "heart blood", ((20, 6, 232, 7), (38, 6, 230, 6), (54, 4, 226, 4.5))),
    ("pulmonary vein", "heart blood", ((20, 10, 250, 7), (40, 16, 254, 6), (56, 22, 262, 4.5))),
    ("breast artery", "artery", ((70, -52, 700, 2), (66, -54, 650, 2), (58, -60, 590, 2))),
)  # fmt: skip
_AIRWAYS: tuple[tuple[Row, ...], ...] = (
    ((0, -26, -60, 8), (0, -22, 0, 8.5), (0, -22, 22, 6), (0, -22, 36, 3.5), (0, -20, 48, 6.5),
        (0, -16, 70, 8.5), (0, -8, 110, 8.8), (-1, 2, 150, 8.8), (-1, 8, 180, 9.2)),
    ((-1, 9, 182, 8), (-16, 10, 192, 7.5), (-32, 11, 202, 6.5), (-40, 12, 216, 5), (-44, 16, 240, 3.6)),
    ((-1, 9, 183, 7.8), (16, 13, 197, 6.8), (34, 17, 210, 6.2), (42, 19, 222, 4.6), (46, 24, 244, 3.4)),
    ((-34, 10, 203, 4.6), (-48, 2, 196, 3.6), (-58, -6, 188, 2.6)),
    ((36, 15, 212, 4.2), (46, 2, 210, 3.4), (52, -12, 206, 2.6)),
)  # fmt: skip
_OESOPHAGUS: tuple[Row, ...] = ((2, 2, 60, 5), (4, 12, 110, 5), (6, 22, 150, 5.5), (8, 28, 190, 5.5),
    (8, 32, 240, 5.5), (14, 22, 290, 6), (26, 4, 312, 7), (40, -4, 322, 8))  # fmt: skip
_COLON: dict[str, tuple[Row, ...]] = {
    "ascending colon": ((-78, -18, 566, 17), (-88, -6, 545, 23), (-94, 4, 505, 22), (-95, 6, 462, 21),
        (-88, -14, 436, 20)),
    "transverse colon": ((-86, -18, 434, 19), (-62, -48, 444, 18), (-28, -62, 458, 18), (8, -64, 462, 18),
        (44, -58, 446, 17), (76, -34, 416, 17), (90, 4, 396, 16)),
    "descending colon": ((92, 10, 398, 15), (98, 18, 440, 14), (98, 18, 490, 13.5), (94, 6, 540, 14),
        (84, -12, 570, 14)),
    "sigmoid colon": ((84, -12, 570, 14), (56, -22, 592, 14), (22, -8, 612, 15), (-14, 12, 604, 15),
        (-10, 38, 606, 14), (2, 48, 622, 15)),
    "rectum": ((2, 48, 622, 15), (0, 56, 645, 17), (0, 54, 668, 17), (0, 44, 690, 13), (0, 44, 706, 11),
        (0, 52, 728, 11)),
    "duodenum": ((-14, -46, 424, 11), (-44, -22, 424, 12), (-48, -4, 446, 12), (-40, 2, 468, 12),
        (-10, -12, 474, 10), (14, -16, 462, 10), (30, -26, 446, 11)),
}  # fmt: skip
_CLAVICLE: tuple[Row, ...] = ((20, -42, 128, 8), (48, -48, 114, 6), (84, -28, 102, 5.5), (114, -8, 96, 6),
    (132, 2, 95, 7))  # fmt: skip
_LUNG_ROOTS, _PIECES_A_ROOT = 17, 85
_MANDIBLE: tuple[Row, ...] = ((47, -6, -75, 6), (45, -12, -46, 6), (36, -34, -30, 6), (18, -52, -22, 6.5),
    (0, -57, -20, 7))  # fmt: skip


def _mirror(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    return tuple((-r[0], *r[1:]) for r in rows)


def _bent(anatomy: Anatomy, name: str, rows: tuple[Row, ...], spread_mm: float) -> Curve:
    """Move each knot a little: no two patients have the same course."""
    table = np.array(rows, float)
    rng = anatomy.rng("curve " + name)
    table[:, :3] += rng.normal(0, spread_mm, (len(table), 3))
    table[:, 3] *= np.clip(rng.normal(1, 0.1), 0.75, 1.4)
    return curve(anatomy, [tuple(row) for row in table])


@lru_cache(maxsize=8)
def great_vessels(anatomy: Anatomy) -> tuple[Vessel, ...]:
    """Return arteries, veins and the pancreas, in painting order."""
    vessels = []
    for n, (organ, tissue, rows) in enumerate(_ONE_SIDED):
        vessels.append(Vessel(organ, tissue, _bent(anatomy, f"{organ} {n}", rows, 1.2)))
    for n, (organ, tissue, rows) in enumerate(_TWO_SIDED):
        for side, version in (("left", rows), ("right", _mirror(rows))):
            if organ == "iliac vein" and side == "right":
                version = ((-18, 4, 512, 7.5), *version[1:])
            vessels.append(Vessel(organ, tissue, _bent(anatomy, f"{organ} {n} {side}", version, 1.2)))
    vessels += [Vessel("mesenteric branch", "portal vein", twig) for twig in _mesenteric_twigs(anatomy)]
    vessels.append(Vessel("oesophagus", "bowel wall", _bent(anatomy, "oesophagus", _OESOPHAGUS, 1.2)))
    return tuple(vessels)


@lru_cache(maxsize=8)
def airways(anatomy: Anatomy) -> tuple[Vessel, ...]:
    """Return trachea and main bronchi as hollow curves."""
    return tuple(
        Vessel("airway", "air", _bent(anatomy, f"airway {n}", rows, 0.6), wall_mm=1.8)
        for n, rows in enumerate(_AIRWAYS)
    )


@lru_cache(maxsize=8)
def bowel(anatomy: Anatomy) -> tuple[Vessel, ...]:
    """Return small bowel loops, then colon and rectum, as hollow curves with haustra."""
    loops = [Vessel("small bowel", "bowel", loop, wall_mm=2.2) for loop in _small_bowel(anatomy)]
    for name, rows in _COLON.items():
        shape = _bent(anatomy, name, rows, 4.0 if name != "rectum" else 1.5)
        rng = anatomy.rng("haustra " + name)
        phase = np.cumsum(np.full(len(shape.radii_mm), 1.0)) * 0.5 * shape.radii_mm.min()
        depth = 0.14 if "colon" in name else 0.05
        wavy = shape.radii_mm * (1 + depth * np.sin(2 * np.pi * phase / rng.uniform(26, 36)))
        loops.append(
            Vessel(name, "colon" if name != "duodenum" else "bowel", Curve(shape.points_mm, wavy), 2.4)
        )
    return tuple(loops)


def _small_bowel(anatomy: Anatomy) -> list[Curve]:
    """Random loops that stay within the front of the abdominal cavity."""
    rng = anatomy.rng("small bowel")
    loops = []
    # Fat spreads the loops; in a lean belly they lie wall to wall.
    for _ in range(int(rng.integers(34, 42) - 16 * anatomy.visceral)):
        upper_left = rng.random() < 0.25  # jejunum
        low, high = ((24, -50, 402), (84, -2, 470)) if upper_left else ((-62, -60, 440), (74, -8, 615))
        at = rng.uniform(low, high)
        heading = rng.normal(0, 1, 3)
        knots = []
        radius = rng.uniform(8.5, 14)
        for _ in range(int(rng.integers(5, 10))):
            knots.append((*at, radius * rng.uniform(0.85, 1.15)))
            heading = 0.6 * heading / np.linalg.norm(heading) + rng.normal(0, 0.7, 3)
            at = at + heading * np.array([17, 12, 13])
            at = np.clip(at, (-80, -66, 396 if upper_left else 445), (84, -6 if at[2] < 560 else 20, 632))
        loops.append(curve(anatomy, knots))
    return loops


def _mesenteric_twigs(anatomy: Anatomy) -> list[Curve]:
    """Thin vessels that fan through the fat of the mesentery."""
    rng = anatomy.rng("mesenteric twigs")
    twigs = []
    for _ in range(36):
        start = np.array([rng.normal(2, 14), rng.uniform(-40, -24), rng.uniform(430, 540)])
        end = start + np.array([rng.normal(0, 34), rng.normal(-6, 14), rng.normal(18, 26)])
        middle = (start + end) / 2 + rng.normal(0, 5, 3)
        twigs.append(curve(anatomy, [(*start, 1.9), (*middle, 1.5), (*end, 1.1)], step=0.9))
    return twigs


@lru_cache(maxsize=8)
def curved_bones(anatomy: Anatomy) -> tuple[Vessel, ...]:
    """Return clavicles and mandible."""
    bones = []
    for name, rows in (("clavicle", _CLAVICLE), ("mandible", _MANDIBLE)):
        for version in (rows, _mirror(rows)):
            bones.append(Vessel(name, "cortex", curve(anatomy, version), wall_mm=2.0))
    return tuple(bones)


@lru_cache(maxsize=8)
def lung_tree(anatomy: Anatomy) -> Curve:
    """Return the lungs' vessels as the balls of one curve."""
    rng = anatomy.rng("lung tree")
    hilum_z = float(anatomy.patient_z(214.0))
    pieces: list[Curve] = []
    for side in (-1, 1):
        for n in range(_LUNG_ROOTS):
            start = np.array([side * 42 * anatomy.width, 8 * anatomy.depth, hilum_z]) + rng.normal(0, 7, 3)
            # Roots fan out up, down, to the front and to the back; fewer straight to the side.
            turn = 2 * np.pi * (n + rng.random()) / _LUNG_ROOTS
            direction = np.array([side * rng.uniform(0.1, 1.1), np.cos(turn), 0.3 + 1.2 * np.sin(turn)])
            pieces += _grow(start, direction, float(rng.uniform(2.6, 4.4)), rng)
    points = np.concatenate([piece.points_mm for piece in pieces])
    radii = np.concatenate([piece.radii_mm for piece in pieces])
    inside = cavity_outline(anatomy, points[:, 2]).radius_at(points[:, 0], points[:, 1]) < 0.97
    return Curve(points[inside], radii[inside])


def _grow(start: Doubles, direction: Doubles, radius: float, rng: np.random.Generator) -> list[Curve]:
    """Grow one vessel and its children, thickest first, until they are too thin to be seen."""
    pieces: list[Curve] = []
    open_ends = [(radius, start, direction)]
    while open_ends and len(pieces) < _PIECES_A_ROOT:
        thickest = max(range(len(open_ends)), key=lambda k: open_ends[k][0])
        radius, start, direction = open_ends.pop(thickest)
        if radius < 0.5:
            break
        direction = direction / np.linalg.norm(direction)
        length = float(rng.uniform(9, 14) * radius**0.6)
        bend = start + direction * length / 2 + rng.normal(0, length * 0.06, 3)
        end = start + direction * length
        pieces.append(fill_in(np.stack([start, bend, end]), radius * np.array([1, 0.93, 0.86]), 0.9))
        open_ends.append((radius * 0.88, end, direction + rng.normal(0, 0.3, 3)))
        open_ends.append((radius * float(rng.uniform(0.5, 0.82)), end, direction + rng.normal(0, 0.75, 3)))
    return pieces
