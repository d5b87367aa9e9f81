"""Bones other than ribs and vertebrae: pelvis, femora, shoulder girdle, sternum, arms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from lesiongraph.phantom.anatomy import Anatomy
from lesiongraph.phantom.shapes import Row, Tube, mirrored, tube


@dataclass(frozen=True)
class Bone:
    """One bone: a cortical shell round spongy bone or marrow."""

    organ: str
    tube: Tube
    shell_mm: float
    inside: str = "spongiosa"
    halo_mm: float = 0.0  # joint space round it


_PELVIS: tuple[tuple[str, float, tuple[Row, ...]], ...] = (
    ("ilium", 2.2, ((502, 104, 14, 0, 0, -50), (510, 104, 14, 26, 4.5, -50), (540, 96, 19, 54, 6.5, -55),
        (575, 88, 26, 58, 7.5, -60), (602, 83, 28, 47, 9, -64), (628, 82, 22, 30, 12, -68),
        (645, 76, 14, 20, 9, -72), (656, 74, 10, 0, 0, -72))),
    ("ischium", 2.2, ((622, 80, 32, 0, 0, -50), (640, 84, 30, 15, 11, -50), (665, 82, 33, 13, 11, -60),
        (700, 66, 36, 13, 11, -70), (724, 60, 32, 13, 11, -70), (738, 58, 30, 0, 0, -70))),
    ("pubis", 2.0, ((630, 80, -14, 0, 0, 35), (642, 78, -17, 15, 10, 35), (658, 62, -30, 24, 7, 25),
        (674, 36, -42, 28, 7, 15), (690, 17, -46, 13, 10, 10), (708, 18, -38, 9, 9, 30),
        (728, 38, -4, 9, 6, 60), (742, 50, 20, 0, 0, 60))),
    ("acetabulum", 2.0, ((630, 64, 6, 0, 0, 90), (640, 62, 6, 27, 6, 90), (668, 60, 6, 25, 5, 92),
        (684, 58, 6, 0, 0, 92))),
)  # fmt: skip
_FEMUR: tuple[tuple[float, str, tuple[Row, ...]], ...] = (
    (1.6, "spongiosa", ((631, 90, 4, 0, 0), (638, 90, 4, 18, 18), (655, 91, 4, 24.5, 24.5),
        (672, 94, 5, 17, 17), (680, 96, 6, 0, 0))),
    (2.2, "spongiosa", ((660, 112, 8, 0, 0, 15), (672, 116, 10, 27, 13, 15), (690, 121, 14, 24, 17, 10),
        (712, 117, 13, 19, 17, 0), (735, 112, 9, 17, 16, 0), (752, 110, 8, 0, 0, 0))),
    (6.0, "marrow", ((735, 112, 9, 15, 15), (790, 106, 5, 14.5, 14.5), (880, 96, 2, 14, 14))),
)  # fmt: skip
_SACRUM: tuple[tuple[Row, ...], ...] = (
    ((566, 0, 36, 0, 0), (572, 0, 38, 27, 17), (590, 0, 54, 53, 22), (620, 0, 70, 47, 17),
        (648, 0, 80, 29, 12), (678, 0, 86, 14, 8), (690, 0, 86, 0, 0)),
    ((684, 0, 86, 5, 5), (706, 0, 80, 4, 4), (716, 0, 74, 0, 0)),
)  # fmt: skip
_STERNUM: tuple[Row, ...] = ((130, 0, -38, 0, 0), (136, 0, -42, 27, 8), (160, 0, -55, 22, 7),
    (182, 0, -66, 15, 7), (230, 0, -80, 17, 6), (270, 0, -88, 18, 6), (292, 0, -92, 9, 4.5),
    (312, 0, -93, 0, 0))  # fmt: skip
_SCAPULA: tuple[tuple[Row, ...], ...] = (
    ((92, 112, 44, 0, 0, -32), (102, 112, 46, 34, 4.5, -30), (130, 114, 52, 38, 4.0, -32),
        (180, 116, 62, 30, 3.4, -40), (220, 114, 72, 18, 3.2, -40), (242, 112, 76, 0, 0, -40)),
    ((88, 138, 50, 0, 0, 18), (94, 138, 50, 40, 5, 18), (110, 124, 64, 34, 4, 12), (124, 112, 70, 0, 0, 12)),
    ((98, 138, 22, 0, 0, 80), (106, 139, 22, 17, 8, 80), (130, 138, 24, 16, 8, 80), (142, 134, 28, 0, 0, 80)),
    ((94, 132, 0, 0, 0, 30), (98, 130, 2, 15, 5, 30), (108, 134, 6, 12, 5, 60), (114, 136, 10, 0, 0, 60)),
)  # fmt: skip
_HUMERUS_DOWN: tuple[tuple[float, str, tuple[Row, ...]], ...] = (
    (1.8, "spongiosa", ((92, 166, 14, 0, 0), (100, 167, 14, 20, 20), (115, 168, 14, 24, 24),
        (135, 172, 14, 18, 19), (150, 178, 14, 0, 0))),
    (4.5, "marrow", ((140, 176, 14, 13, 13), (300, 206, 20, 12, 12), (380, 214, 24, 14, 12),
        (400, 216, 25, 26, 9), (408, 216, 25, 0, 0))),
    (4.0, "marrow", ((404, 214, 30, 12, 12), (430, 212, 30, 8, 8), (600, 204, 8, 8, 7), (610, 204, 8, 0, 0))),
    (4.0, "marrow", ((404, 228, 20, 11, 11), (430, 228, 18, 7, 7), (600, 226, 0, 11, 9),
        (610, 226, 0, 0, 0))),
)  # fmt: skip
_HUMERUS_UP: tuple[tuple[float, str, tuple[Row, ...]], ...] = (
    (1.8, "spongiosa", ((124, 160, 8, 0, 0), (116, 160, 8, 17, 17), (102, 160, 8, 24, 24),
        (86, 162, 4, 20, 20), (74, 166, 0, 0, 0))[::-1]),
    (4.5, "marrow", ((-170, 196, -60, 12, 12), (80, 164, 0, 13, 13), (86, 164, 2, 0, 0))),
)  # fmt: skip
ARM_DOWN: tuple[Row, ...] = ((108, 176, 14, 0, 0), (118, 180, 14, 34, 44), (160, 190, 16, 42, 50),
    (260, 206, 20, 42, 48), (380, 220, 24, 38, 42), (470, 222, 18, 36, 38), (590, 216, 4, 28, 26),
    (660, 212, -6, 38, 22), (740, 208, -14, 30, 16), (760, 208, -14, 0, 0))  # fmt: skip
ARM_UP: tuple[Row, ...] = ((-170, 196, -60, 42, 48), (-60, 186, -36, 44, 52), (40, 172, -4, 48, 60),
    (90, 158, 12, 44, 62), (130, 148, 20, 24, 60), (150, 146, 20, 0, 0))  # fmt: skip


# The slope from neck to shoulder: trapezius and supraspinatus under their fat.
_SHOULDER: tuple[Row, ...] = (
    (28, 48, 46, 0, 0, -8), (42, 62, 48, 38, 16, -8), (62, 80, 44, 62, 24, -7), (82, 100, 36, 80, 36, -5),
    (102, 108, 28, 88, 50, 0), (124, 112, 22, 74, 50, 0), (136, 112, 22, 0, 0, 0),
)  # fmt: skip
_RAISED_MM = 22.0
"""How much higher the shoulders stand with the arms up."""


def _pair(rows: tuple[Row, ...]) -> tuple[list[Row], list[Row]]:
    return list(rows), mirrored(rows)


@lru_cache(maxsize=8)
def pelvic_bones(anatomy: Anatomy) -> tuple[Bone, ...]:
    """Return pelvis, sacrum and femora."""
    bones = []
    for name, shell, rows in _PELVIS:
        bones += [Bone(name, tube(anatomy, side, square=0.15), shell) for side in _pair(rows)]
    bones += [Bone("sacrum", tube(anatomy, rows), 1.8) for rows in _SACRUM]
    for shell, inside, rows in _FEMUR:
        halo = 2.6 if shell < 2 else 0.0  # the head sits in a joint
        bones += [Bone("femur", tube(anatomy, side), shell, inside, halo) for side in _pair(rows)]
    return tuple(bones)


@lru_cache(maxsize=8)
def thoracic_bones(anatomy: Anatomy) -> tuple[Bone, ...]:
    """Return sternum and scapulae."""
    bones = [Bone("sternum", tube(anatomy, _STERNUM, square=0.3), 1.5)]
    for rows in _SCAPULA:
        bones += [Bone("scapula", tube(anatomy, side), 1.6) for side in _pair(rows)]
    return tuple(bones)


@lru_cache(maxsize=16)
def arm_tubes(anatomy: Anatomy, up: bool) -> tuple[Tube, ...]:
    """Return the soft outlines of both arms and shoulders."""
    raised = _RAISED_MM if up else 0.0
    shoulder: tuple[Row, ...] = tuple((row[0] - raised, *row[1:]) for row in _SHOULDER)
    arms = [tube(anatomy, side) for side in _pair(ARM_UP if up else ARM_DOWN)]
    return (*arms, *(tube(anatomy, side, square=0.2) for side in _pair(shoulder)))


@lru_cache(maxsize=16)
def arm_bones(anatomy: Anatomy, up: bool) -> tuple[Bone, ...]:
    """Return the bones of both arms."""
    bones = []
    for shell, inside, rows in _HUMERUS_UP if up else _HUMERUS_DOWN:
        bones += [Bone("humerus", tube(anatomy, side), shell, inside) for side in _pair(rows)]
    return tuple(bones)
