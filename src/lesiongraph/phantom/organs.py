"""The soft organs as painted parts, in the order in which they cover each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lesiongraph.phantom import organ_tables as tables
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


def _jitter(
    anatomy: Anatomy, organ: str, spread_mm: float, grow_std: float
) -> tuple[float, float, float, float]:
    rng = anatomy.rng(organ)
    dx, dy, dz = rng.normal(0, spread_mm * anatomy.spread, 3)
    grow = np.clip(rng.normal(1, grow_std * anatomy.spread), 0.7, 1.35)
    return float(dx), float(dy), float(dz), float(grow)


def _part(
    anatomy: Anatomy,
    organ: str,
    tissue: str,
    rows: Sequence[Row],
    *,
    group: str = "",
    spread_mm: float = 3.0,
    grow_std: float = 0.06,
    rough_mm: float = 0.0,
    texture_hu: float = 0.0,
    in_cavity: bool = False,
    square: float = 0.0,
) -> Part:
    """Place one part; parts of one `group` move and grow together."""
    dx, dy, dz, grow = _jitter(anatomy, group or organ, spread_mm, grow_std)
    shape = tube(anatomy, rows, square=square, grow=grow).shifted(dx, dy, dz)
    return Part(organ, tissue, shape, rough_mm, texture_hu, in_cavity)


@lru_cache(maxsize=8)
def thorax_parts(anatomy: Anatomy) -> tuple[Part, ...]:
    """Return diaphragm domes, mediastinum and heart, in painting order."""
    dome_shift = anatomy.diaphragm_mm
    parts = []
    for side, rows in tables.DOMES.items():
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
            tables.MEDIASTINUM,
            spread_mm=1.5,
            rough_mm=2.5,
            texture_hu=12,
            square=0.25,
            in_cavity=True,
        )
    )
    heart = [(name, tissue, rows) for name, (tissue, rows) in tables.HEART.items()]
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
    for tissue, rows in tables.CHAMBERS:
        parts.append(_part(anatomy, "heart", tissue, rows, group="heart", spread_mm=4, rough_mm=2.0))
    return tuple(parts)  # fmt: skip


@lru_cache(maxsize=8)
def abdomen_parts(anatomy: Anatomy) -> tuple[Part, ...]:
    """Return the organs below the diaphragm and the deep muscles, in painting order."""
    down = 0.8 * anatomy.diaphragm_mm  # a deep breath pushes the organs below it down
    return (*_upper_abdomen(anatomy, down), *_kidneys(anatomy, down), *_deep_muscles(anatomy))


def _upper_abdomen(anatomy: Anatomy, down: float) -> list[Part]:
    parts = [
        _part(
            anatomy,
            "stomach",
            "stomach wall",
            _lower(tables.STOMACH, down),
            spread_mm=6,
            grow_std=0.14,
            rough_mm=2.5,
            in_cavity=True,
        ),
        _part(
            anatomy,
            "stomach",
            "stomach content",
            _lower(_inner(tables.STOMACH, 5), down),
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
            _lower(tables.SPLEEN, down),
            spread_mm=4,
            grow_std=0.14,
            rough_mm=2.0,
            texture_hu=2.5,
            in_cavity=True,
        ),
    ]
    for rows in tables.LIVER:
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
            _lower(tables.GALLBLADDER, down),
            spread_mm=4,
            grow_std=0.18,
            rough_mm=1.0,
        )
    )
    return parts


def _kidneys(anatomy: Anatomy, down: float) -> list[Part]:
    parts: list[Part] = []
    for side, kidney in (
        ("left kidney", list(tables.KIDNEY)),
        ("right kidney", [(r[0] + 11, *r[1:]) for r in mirrored(tables.KIDNEY)]),
    ):
        for layer, tissue, margin in (("cortex", "kidney", 0.0), ("medulla", "medulla", 7.0)):
            texture = 3.0 if layer == "cortex" else 10.0
            parts.append(
                _part(
                    anatomy,
                    side,
                    tissue,
                    _inner(_lower(kidney, 0.5 * down), margin),
                    spread_mm=5,
                    grow_std=0.07,
                    rough_mm=1.2 if margin == 0 else 3.0,
                    texture_hu=texture,
                )
            )
        sinus = [(r[0], r[1] * 0.82, r[2] - 5, r[3] * 0.30, r[4] * 0.24, r[5]) for r in kidney[1:-1]]
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
    for side, adrenal in zip(
        ("left adrenal", "right adrenal"), (list(tables.ADRENAL[0]), mirrored(tables.ADRENAL[1])), strict=True
    ):
        parts.append(_part(anatomy, side, "adrenal", adrenal, spread_mm=2, rough_mm=0.8))
    return parts


def _deep_muscles(anatomy: Anatomy) -> list[Part]:
    parts: list[Part] = []
    for muscle, strands in (
        ("psoas", tables.PSOAS),
        ("erector", tables.ERECTOR),
        ("quadratus", tables.QUADRATUS),
    ):
        for flipped in (list(strands), mirrored(strands)):
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
    return parts


@lru_cache(maxsize=8)
def pelvis_parts(anatomy: Anatomy) -> tuple[Part, ...]:
    """Return bladder and genital organs, in painting order."""
    parts = [
        _part(
            anatomy,
            "bladder",
            "bowel wall",
            _inner(tables.BLADDER, -2.5),
            spread_mm=3,
            grow_std=0.2,
            rough_mm=1.5,
        ),
        _part(
            anatomy, "bladder", "bladder", tables.BLADDER, spread_mm=3, grow_std=0.2, rough_mm=1.5, square=0.2
        ),
    ]
    if anatomy.sex == "F":
        parts.append(
            _part(
                anatomy,
                "uterus",
                "uterus",
                tables.UTERUS,
                spread_mm=4,
                grow_std=0.15,
                rough_mm=1.5,
                texture_hu=4.0,
            )
        )
    else:
        parts.append(
            _part(
                anatomy,
                "seminal vesicles",
                "prostate",
                tables.VESICLES,
                spread_mm=1,
                rough_mm=1.5,
                texture_hu=4.0,
            )
        )
        parts.append(
            _part(
                anatomy,
                "prostate",
                "prostate",
                tables.PROSTATE,
                spread_mm=1,
                grow_std=0.15,
                rough_mm=1.5,
                texture_hu=4.0,
            )
        )
    return tuple(parts)


@lru_cache(maxsize=8)
def neck_parts(anatomy: Anatomy) -> tuple[Part, ...]:
    """Return the thyroid lobes."""
    return tuple(
        _part(anatomy, "thyroid", "thyroid", rows, spread_mm=1.5, grow_std=0.18, rough_mm=1.0, texture_hu=5)
        for rows in (list(tables.THYROID), mirrored(tables.THYROID))
    )


def _lower(rows: Sequence[Row], by_mm: float) -> list[Row]:
    return [(r[0] + by_mm, *r[1:]) for r in rows]


def _inner(rows: Sequence[Row], margin_mm: float) -> list[Row]:
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
    for n, rows in enumerate(tables.WALL_FAT):
        for side in (list(rows), mirrored(rows)):
            grown = [(r[0], r[1], r[2], r[3], r[4] * thick, *r[5:]) for r in side]
            parts.append(
                _part(anatomy, "fat plane", "fat", grown, group=f"plane {n}", rough_mm=2.5, spread_mm=1)
            )
    return tuple(parts)


@lru_cache(maxsize=8)
def paravertebral_parts(anatomy: Anatomy) -> tuple[Part, ...]:
    """Return the muscle that closes the cavity behind the spine."""
    return (
        _part(anatomy, "muscle", "muscle", tables.PARAVERTEBRAL, spread_mm=0.3, rough_mm=1.5, texture_hu=5),
    )
