"""The soft organs as painted parts, in the order in which they cover each other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lesiongraph.phantom.anatomy import Anatomy
from lesiongraph.phantom.shapes import Row, Tube, mirrored, tube


@dataclass(frozen=True)
class Part:
    """One shape with its tissue; several parts may make one organ."""

    organ: str
    tissue: str
    tube: Tube
    rough_mm: float = 0.0  # how far the noise moves its edge
    texture_hu: float = 0.0
    in_cavity: bool = False  # clipped to the body cavity
    offset_hu: float = 0.0


# Template rows: z, centre x, centre y, half x, half y[, angle].
_HEART: dict[str, tuple[str, tuple[Row, ...]]] = {
    "pericardium": (
        "mediastinal fat",
        (
            (198, 4, -14, 0, 0, 20),
            (206, 6, -16, 44, 34, 20),
            (230, 14, -18, 58, 46, 25),
            (258, 24, -22, 70, 50, 30),
            (285, 32, -28, 68, 44, 28),
            (303, 34, -34, 56, 34, 20),
            (315, 34, -38, 0, 0, 10),
        ),
    ),
    "heart": (
        "heart",
        (
            (203, 4, -14, 0, 0, 20),
            (212, 6, -16, 36, 30, 25),
            (232, 14, -18, 52, 42, 28),
            (258, 25, -23, 64, 44, 32),
            (283, 33, -30, 62, 37, 28),
            (300, 36, -36, 46, 26, 18),
            (310, 36, -40, 0, 0, 10),
        ),
    ),
}
_CHAMBERS: tuple[tuple[str, tuple[Row, ...]], ...] = (
    ("heart blood", ((206, 2, 6, 0, 0), (215, 2, 6, 30, 13), (238, 4, 8, 33, 16), (255, 6, 8, 26, 13), (262, 8, 6, 0, 0))),  # left atrium
    ("right heart", ((212, -26, -18, 0, 0, 60), (232, -28, -16, 20, 15, 60), (270, -24, -10, 22, 17, 60), (292, -20, -8, 14, 12, 60), (300, -20, -5, 0, 0, 60))),  # right atrium
    ("right heart", ((215, 10, -42, 0, 0, 25), (235, 12, -46, 22, 13, 25), (268, 22, -46, 34, 14, 25), (292, 30, -48, 30, 11, 18), (300, 32, -46, 0, 0, 15))),  # right ventricle
    ("heart blood", ((235, 36, -16, 0, 0, 38), (246, 40, -18, 24, 15, 38), (270, 48, -24, 26, 15, 35), (288, 54, -30, 18, 10, 28), (296, 56, -32, 0, 0, 25))),  # left ventricle
)  # fmt: skip
_DOMES: dict[str, tuple[Row, ...]] = {
    "right": ((284, -58, -10, 0, 0), (294, -60, -12, 42, 40), (312, -61, -16, 62, 70), (345, -62, -24, 76, 92), (375, -62, -18, 90, 106), (420, -62, -8, 120, 140)),
    "left": ((300, 60, -14, 0, 0), (310, 60, -16, 44, 40), (328, 61, -20, 62, 66), (355, 62, -24, 76, 90), (380, 62, -18, 92, 104), (420, 62, -8, 120, 140)),
    "middle": ((303, 6, -36, 0, 0), (312, 6, -40, 52, 38), (325, 4, -46, 66, 46), (345, 0, -50, 84, 56), (392, 0, -34, 110, 80)),
}  # fmt: skip
_LIVER: tuple[tuple[Row, ...], ...] = (
    ((288, -58, -6, 0, 0), (298, -60, -6, 38, 36), (315, -60, -6, 60, 66), (345, -60, -6, 66, 78), (385, -66, -2, 58, 74), (420, -76, 4, 45, 62), (448, -86, 6, 32, 48), (475, -94, 4, 20, 32), (490, -96, 2, 0, 0)),
    ((304, -8, -44, 0, 0, -8), (312, 0, -46, 46, 26, -8), (335, 4, -52, 62, 32, -6), (362, -6, -56, 56, 30, -4), (395, -20, -58, 36, 24, 0), (418, -28, -58, 0, 0, 0)),
    ((318, -18, 4, 0, 0), (330, -20, 2, 22, 22), (365, -22, -2, 24, 20), (385, -26, -8, 0, 0)),
)  # fmt: skip
_SPLEEN: tuple[Row, ...] = ((306, 86, 36, 0, 0, -35), (316, 86, 38, 30, 22, -35), (345, 92, 34, 40, 24, -50), (378, 97, 26, 36, 20, -62), (402, 98, 20, 24, 14, -70), (414, 98, 18, 0, 0, -70))  # fmt: skip
_STOMACH: tuple[Row, ...] = ((304, 58, -6, 0, 0), (316, 58, -10, 36, 32), (345, 56, -22, 38, 34, -20), (378, 48, -38, 36, 28, -15), (404, 24, -50, 46, 20, -5), (424, -4, -54, 38, 16, 5), (438, -20, -50, 0, 0, 5))  # fmt: skip
_KIDNEY: tuple[Row, ...] = ((374, 50, 32, 0, 0, 30), (386, 53, 31, 23, 19, 30), (408, 56, 29, 31, 24, 40), (434, 60, 27, 32, 25, 45), (460, 64, 24, 30, 23, 50), (480, 67, 21, 22, 17, 50), (491, 68, 20, 0, 0, 50))  # fmt: skip
_GALLBLADDER: tuple[Row, ...] = ((398, -40, -34, 0, 0, 30), (410, -44, -42, 13, 17, 30), (440, -52, -54, 16, 20, 25), (458, -54, -58, 0, 0, 25))  # fmt: skip
_ADRENAL: tuple[tuple[Row, ...], ...] = (
    ((362, 30, 22, 0, 0, 65), (368, 31, 22, 15, 2.6, 65), (384, 33, 22, 14, 2.8, 60), (390, 34, 22, 0, 0, 60)),
    ((364, 35, 24, 0, 0, 115), (372, 36, 24, 11, 2.4, 115), (386, 37, 23, 11, 2.6, 115), (391, 37, 23, 0, 0, 115)),
)  # fmt: skip
_BLADDER: tuple[Row, ...] = ((628, 0, -26, 0, 0), (640, 0, -30, 28, 20), (662, 0, -32, 38, 28), (684, 0, -28, 26, 20), (694, 0, -26, 0, 0))  # fmt: skip
_UTERUS: tuple[Row, ...] = ((615, 4, 6, 0, 0), (625, 4, 4, 24, 18), (648, 2, 10, 28, 20), (670, 0, 16, 18, 14), (684, 0, 18, 14, 10), (698, 0, 18, 0, 0))  # fmt: skip
_PROSTATE: tuple[Row, ...] = ((678, 0, -2, 0, 0), (684, 0, -4, 21, 16), (700, 0, -6, 20, 15), (712, 0, -8, 0, 0))  # fmt: skip
_VESICLES: tuple[Row, ...] = (
    (664, 0, 14, 0, 0),
    (669, 0, 14, 30, 7),
    (679, 0, 12, 24, 6),
    (683, 0, 10, 0, 0),
)
_PSOAS: tuple[Row, ...] = ((385, 24, 34, 0, 0, 20), (410, 31, 30, 9, 12, 20), (450, 37, 27, 15, 19, 15), (500, 44, 22, 21, 22, 0), (550, 52, 12, 23, 20, -20), (600, 66, -8, 22, 16, -40), (640, 82, -24, 20, 15, -45), (680, 96, -22, 17, 15, 0), (700, 98, -10, 0, 0, 0))  # fmt: skip
_ERECTOR: tuple[Row, ...] = ((80, 20, 52, 14, 12, 0), (150, 26, 74, 20, 12, 15), (250, 29, 80, 25, 14, 18), (390, 33, 70, 32, 19, 15), (480, 35, 60, 35, 23, 8), (540, 32, 68, 30, 20, 10), (600, 22, 88, 18, 8, 25), (640, 14, 96, 0, 0, 25))  # fmt: skip
_QUADRATUS: tuple[Row, ...] = ((400, 56, 44, 0, 0, -30), (420, 58, 44, 14, 8, -30), (490, 66, 42, 18, 9, -35), (515, 72, 40, 0, 0, -35))  # fmt: skip
_THYROID: tuple[Row, ...] = ((72, 19, -12, 0, 0, 60), (80, 19, -12, 13, 8, 60), (100, 17, -14, 15, 9, 60), (115, 15, -14, 0, 0, 60))  # fmt: skip
_MEDIASTINUM: tuple[Row, ...] = ((92, 0, 8, 26, 30), (125, 0, -2, 30, 42), (150, 2, -8, 31, 54), (180, 2, -10, 33, 66), (205, 3, -8, 36, 72), (235, 4, -5, 36, 78), (280, 8, -4, 34, 82), (330, 8, 4, 26, 74), (392, 4, 12, 20, 60))  # fmt: skip

# Fat between the muscles of the wall, painted on both sides: what keeps a wall from being one grey mass.
_WALL_FAT: tuple[tuple[Row, ...], ...] = (
    ((-60, 38, 14, 12, 18, 20), (20, 40, 16, 8, 20, 20), (60, 44, 18, 9, 18, 10), (92, 52, 8, 16, 12, 0), (112, 66, 0, 20, 9, 0), (122, 70, 0, 0, 0, 0)),
    ((108, 118, 2, 0, 0, 0), (125, 128, 0, 18, 17, -10), (155, 132, -2, 17, 26, -10), (190, 134, -2, 11, 27, -5), (225, 136, -4, 5, 18, 0), (240, 136, -4, 0, 0, 0)),
    ((100, 88, -26, 0, 0, 12), (120, 92, -34, 34, 4, 12), (170, 88, -58, 34, 3.5, 30), (200, 84, -74, 26, 2.5, 30), (215, 84, -74, 0, 0, 30)),
    ((110, 80, 76, 0, 0, -18), (130, 84, 78, 42, 3, -18), (180, 92, 78, 40, 3, -24), (240, 100, 72, 28, 2.5, -30), (260, 100, 70, 0, 0, -30)),
    ((560, 96, 58, 0, 0, -42), (580, 100, 56, 42, 3.2, -42), (640, 110, 58, 50, 4.0, -40), (690, 112, 54, 42, 4.0, -38), (724, 104, 50, 0, 0, -38)),
    ((560, 126, 10, 0, 0, -70), (590, 128, 8, 40, 2.6, -72), (650, 136, -12, 34, 3.0, -66), (690, 134, -26, 22, 3.0, -50), (712, 130, -30, 0, 0, -50)),
    ((672, 22, 48, 0, 0, 60), (690, 25, 46, 22, 13, 70), (722, 22, 48, 20, 11, 80), (740, 16, 50, 0, 0, 80)),
    ((655, 66, -52, 0, 0, 0), (680, 70, -56, 22, 17, 0), (730, 72, -52, 19, 17, 0), (800, 66, -36, 12, 12, 0), (880, 58, -20, 7, 9, 0)),
    ((712, 62, 30, 0, 0, 0), (730, 68, 34, 17, 10, 0), (800, 78, 34, 12, 8, 0), (880, 80, 30, 14, 10, 0)),
)  # fmt: skip
_PARAVERTEBRAL: tuple[Row, ...] = ((96, 0, 54, 0, 0), (102, 0, 56, 26, 13), (150, 0, 72, 28, 15), (240, 0, 81, 29, 17), (330, 0, 76, 30, 18), (400, 0, 64, 32, 18), (430, 0, 60, 0, 0))  # fmt: skip


def _jitter(
    anatomy: Anatomy, organ: str, spread_mm: float, grow_std: float
) -> tuple[float, float, float, float]:
    rng = anatomy.rng(organ)
    dx, dy, dz = rng.normal(0, spread_mm, 3)
    return float(dx), float(dy), float(dz), float(np.clip(rng.normal(1, grow_std), 0.7, 1.35))


def _part(
    anatomy: Anatomy,
    organ: str,
    tissue: str,
    rows: tuple[Row, ...] | list[Row],
    *,
    group: str = "",
    spread_mm: float = 3.0,
    grow_std: float = 0.06,
    **looks: float | bool,
) -> Part:
    """Place one part; parts of one `group` move and grow together."""
    dx, dy, dz, grow = _jitter(anatomy, group or organ, spread_mm, grow_std)
    shape = tube(anatomy, rows, square=float(looks.pop("square", 0.0)), grow=grow)
    return Part(organ, tissue, shape.shifted(dx, dy, dz), **looks)  # type: ignore[arg-type]


@lru_cache(maxsize=8)
def thorax_parts(anatomy: Anatomy) -> tuple[Part, ...]:
    """Return diaphragm domes, mediastinum and heart, in painting order."""
    dome_shift = anatomy.diaphragm_mm
    parts = []
    for side, rows in _DOMES.items():
        lowered = [(r[0] + dome_shift, *r[1:]) for r in rows]
        parts.append(
            _part(
                anatomy,
                "abdominal fat",
                "mesentery",
                lowered,
                group=f"dome {side}",
                spread_mm=1.5,
                grow_std=0.02,
                rough_mm=2.0,
                in_cavity=True,
            )
        )
    parts.append(
        _part(
            anatomy,
            "mediastinum",
            "mediastinal fat",
            _MEDIASTINUM,
            spread_mm=1.5,
            rough_mm=2.5,
            texture_hu=12,
            square=0.25,
            in_cavity=True,
        )
    )
    heart = [(name, tissue, rows) for name, (tissue, rows) in _HEART.items()]
    for name, tissue, rows in heart:
        parts.append(
            _part(
                anatomy,
                name,
                tissue,
                rows,
                group="heart",
                spread_mm=4,
                rough_mm=2.0,
                texture_hu=4,
                in_cavity=True,
            )
        )
    for tissue, rows in _CHAMBERS:
        parts.append(_part(anatomy, "heart", tissue, rows, group="heart", spread_mm=4, rough_mm=2.0))
    return tuple(parts)  # fmt: skip


@lru_cache(maxsize=8)
def abdomen_parts(anatomy: Anatomy) -> tuple[Part, ...]:
    """Return the organs below the diaphragm and the deep muscles, in painting order."""
    down = 0.8 * anatomy.diaphragm_mm
    parts = [
        _part(
            anatomy,
            "stomach",
            "stomach wall",
            _lower(_STOMACH, down),
            spread_mm=6,
            grow_std=0.14,
            rough_mm=2.5,
            in_cavity=True,
        ),
        _part(
            anatomy,
            "stomach",
            "stomach content",
            _lower(_inner(_STOMACH, 5), down),
            group="stomach",
            spread_mm=6,
            grow_std=0.14,
            rough_mm=2.5,
            in_cavity=True,
        ),
        _part(
            anatomy,
            "spleen",
            "spleen",
            _lower(_SPLEEN, down),
            spread_mm=4,
            grow_std=0.14,
            rough_mm=2.0,
            texture_hu=2.5,
            in_cavity=True,
        ),
    ]
    for rows in _LIVER:
        parts.append(
            _part(
                anatomy,
                "liver",
                "liver",
                _lower(rows, down),
                spread_mm=4,
                grow_std=0.05,
                rough_mm=2.5,
                texture_hu=2.5,
                in_cavity=True,
            )
        )
    parts.append(
        _part(
            anatomy,
            "gallbladder",
            "gallbladder",
            _lower(_GALLBLADDER, down),
            spread_mm=4,
            grow_std=0.18,
            rough_mm=1.0,
        )
    )
    for side, rows in (
        ("left kidney", list(_KIDNEY)),
        ("right kidney", [(r[0] + 11, *r[1:]) for r in mirrored(_KIDNEY)]),
    ):
        for layer, tissue, margin in (("cortex", "kidney", 0.0), ("medulla", "medulla", 7.0)):
            texture = 3.0 if layer == "cortex" else 10.0
            parts.append(
                _part(
                    anatomy,
                    side,
                    tissue,
                    _inner(_lower(rows, 0.5 * down), margin),
                    spread_mm=5,
                    grow_std=0.07,
                    rough_mm=1.2 if margin == 0 else 3.0,
                    texture_hu=texture,
                )
            )
        sinus = [(r[0], r[1] * 0.82, r[2] - 5, r[3] * 0.32, r[4] * 0.26, r[5]) for r in rows[1:-1]]
        parts.append(
            _part(
                anatomy,
                side,
                "mesentery",
                _closed(_lower(sinus, 0.5 * down)),
                spread_mm=5,
                grow_std=0.07,
                rough_mm=2.5,
                texture_hu=18,
            )
        )
    for side, rows in zip(
        ("left adrenal", "right adrenal"), (list(_ADRENAL[0]), mirrored(_ADRENAL[1])), strict=True
    ):
        parts.append(_part(anatomy, side, "adrenal", rows, spread_mm=2, rough_mm=0.8))
    for muscle, rows in (("psoas", _PSOAS), ("erector", _ERECTOR), ("quadratus", _QUADRATUS)):
        for flipped in (list(rows), mirrored(rows)):
            parts.append(
                _part(
                    anatomy,
                    "muscle",
                    "muscle",
                    flipped,
                    group=muscle,
                    spread_mm=0.5,
                    grow_std=0.05,
                    rough_mm=1.5,
                    texture_hu=5,
                )
            )
    return tuple(parts)  # fmt: skip


@lru_cache(maxsize=8)
def pelvis_parts(anatomy: Anatomy) -> tuple[Part, ...]:
    """Return bladder and genital organs, in painting order."""
    looks = {"rough_mm": 1.5, "texture_hu": 4.0}
    parts = [
        _part(
            anatomy, "bladder", "bowel wall", _inner(_BLADDER, -2.5), spread_mm=3, grow_std=0.2, rough_mm=1.5
        ),
        _part(anatomy, "bladder", "bladder", _BLADDER, spread_mm=3, grow_std=0.2, rough_mm=1.5, square=0.2),
    ]
    if anatomy.sex == "F":
        parts.append(_part(anatomy, "uterus", "uterus", _UTERUS, spread_mm=4, grow_std=0.15, **looks))
    else:
        parts.append(_part(anatomy, "seminal vesicles", "prostate", _VESICLES, spread_mm=1, **looks))
        parts.append(_part(anatomy, "prostate", "prostate", _PROSTATE, spread_mm=1, grow_std=0.15, **looks))
    return tuple(parts)


@lru_cache(maxsize=8)
def neck_parts(anatomy: Anatomy) -> tuple[Part, ...]:
    """Return the thyroid lobes."""
    return tuple(
        _part(anatomy, "thyroid", "thyroid", rows, spread_mm=1.5, grow_std=0.18, rough_mm=1.0, texture_hu=5)
        for rows in (list(_THYROID), mirrored(_THYROID))
    )


def _lower(rows: tuple[Row, ...] | list[Row], by_mm: float) -> list[Row]:
    return [(r[0] + by_mm, *r[1:]) for r in rows]


def _inner(rows: tuple[Row, ...] | list[Row], margin_mm: float) -> list[Row]:
    """Shrink rows by a margin on every side; ends stay closed."""
    ends = (0, len(rows) - 1)
    shrunk = []
    for k, r in enumerate(rows):
        z = r[0] + margin_mm * (k == 0) - margin_mm * (k == ends[1])
        a, b = (0.0, 0.0) if k in ends else (max(r[3] - margin_mm, 0.5), max(r[4] - margin_mm, 0.5))
        shrunk.append((z, r[1], r[2], a, b, *r[5:]))
    return shrunk


def _closed(rows: list[Row]) -> list[Row]:
    """Add closed ends 4 mm beyond the first and the last row."""
    first, last = rows[0], rows[-1]
    return [
        (first[0] - 4, first[1], first[2], 0.0, 0.0, *first[5:]),
        *rows,
        (last[0] + 4, last[1], last[2], 0.0, 0.0, *last[5:]),
    ]


@lru_cache(maxsize=8)
def wall_parts(anatomy: Anatomy) -> tuple[Part, ...]:
    """Return the fat planes of neck, chest wall, buttocks and thighs."""
    parts = []
    thick = 0.55 + 0.02 * anatomy.subcutaneous_mm
    for n, rows in enumerate(_WALL_FAT):
        for side in (list(rows), mirrored(rows)):
            grown = [(r[0], r[1], r[2], r[3], r[4] * thick, *r[5:]) for r in side]
            parts.append(
                _part(anatomy, "fat plane", "fat", grown, group=f"plane {n}", rough_mm=2.5, spread_mm=1)
            )
    return tuple(parts)


@lru_cache(maxsize=8)
def paravertebral_parts(anatomy: Anatomy) -> tuple[Part, ...]:
    """Return the muscle that closes the cavity behind the spine."""
    return (_part(anatomy, "muscle", "muscle", _PARAVERTEBRAL, spread_mm=0.3, rough_mm=1.5, texture_hu=5),)
