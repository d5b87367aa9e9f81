"""Disease, operations and body composition of training volumes: what makes a level look unlike itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lesiongraph.phantom.canvas import Canvas
from lesiongraph.phantom.fields import Floats
from lesiongraph.phantom.tissues import Tissues

_REMOVABLE = {"left kidney": 0.03, "right kidney": 0.03, "spleen": 0.05, "gallbladder": 0.2, "uterus": 0.15,
              "prostate": 0.05, "stomach": 0.02}  # fmt: skip
_SCALES = {"liver": (0.85, 1.2), "spleen": (0.75, 1.7), "heart": (0.85, 1.3), "left kidney": (0.75, 1.2),
           "right kidney": (0.75, 1.2), "thyroid": (0.6, 1.9), "uterus": (0.6, 2.2),
           "stomach": (0.6, 1.3)}  # fmt: skip


@dataclass(frozen=True)
class Mass:
    """A large round tumour or cyst; heights in the organs' template frame."""

    x_mm: float
    y_mm: float
    z_mm: float
    radius_mm: float
    hu: float


@dataclass(frozen=True)
class Pathology:
    """What ails one training body."""

    missing: frozenset[str] = frozenset()
    organ_scale: tuple[tuple[str, float], ...] = ()
    muscle_gaps: float = 6.5
    effusion: float = 0.0  # share of the chest's depth
    bladder_mm: float = 0.0
    bowel_scale: float = 1.0
    bowel_gas: float = 0.0  # the least gas in any loop
    ascites: float = 0.0  # how far the mesentery's fat is replaced by fluid
    oedema_hu: float = 0.0
    solid_side: int = 0  # a lung that is all solid: -1 right, 1 left
    solid_range_mm: tuple[float, float] = (0.0, 0.0)
    patchy: float = 0.0  # share of lung with consolidation
    masses: tuple[Mass, ...] = ()

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Pathology:
        """Draw what ails a body; most have something."""
        solid = rng.random() < 0.08
        solid_top = float(rng.uniform(90, 260)) if rng.random() < 0.6 else 90.0
        return cls(
            missing=frozenset(organ for organ, often in _REMOVABLE.items() if rng.random() < often),
            organ_scale=tuple((organ, float(rng.uniform(*span))) for organ, span in _SCALES.items()),
            muscle_gaps=float(rng.uniform(3.5, 10)),
            effusion=float(rng.uniform(0.05, 0.65)) if rng.random() < 0.2 else 0.0,
            bladder_mm=float(rng.uniform(-30, 20)),
            bowel_scale=float(rng.uniform(0.7, 1.5)),
            bowel_gas=float(rng.uniform(0.6, 1.0)) if rng.random() < 0.15 else 0.0,
            ascites=float(rng.uniform(0.4, 1.0)) if rng.random() < 0.15 else 0.0,
            oedema_hu=float(rng.uniform(10, 60)) if rng.random() < 0.15 else 0.0,
            solid_side=int(rng.choice([-1, 1])) if solid else 0,
            solid_range_mm=(solid_top, solid_top + float(rng.uniform(80, 320))),
            patchy=float(rng.uniform(0.05, 0.6)) if rng.random() < 0.2 else 0.0,
            masses=_sample_masses(rng),
        )

    def alter(self, tissues: Tissues, rng: np.random.Generator) -> Tissues:
        """Return tissues with fluid in the fat, more or less contrast, and a shift of each tissue."""
        values = {name: hu + float(rng.normal(0, 6)) for name, hu in tissues.values.items()}
        values["mesentery"] += self.ascites * (8.0 - values["mesentery"])
        for name in ("fat", "mesentery", "mediastinal fat"):
            values[name] += self.oedema_hu * (0.4 if name == "fat" else 1.0)
        values["muscle"] -= float(rng.uniform(0, 30))  # fat within the muscles
        values["cortex"] *= float(rng.uniform(0.75, 1.5))
        values["spongiosa"] *= float(rng.uniform(0.7, 2.0))
        for name in ("artery", "heart blood", "right heart", "pulmonary"):
            values[name] = 40 + (values[name] - 40) * float(rng.uniform(0.8, 1.7))
        return Tissues(values)


def _sample_masses(rng: np.random.Generator) -> tuple[Mass, ...]:
    if rng.random() > 0.3:
        return ()
    return tuple(
        Mass(
            x_mm=float(rng.uniform(-75, 75)),
            y_mm=float(rng.uniform(-60, 40)),
            z_mm=float(rng.uniform(140, 720)),
            radius_mm=float(rng.uniform(15, 75) if rng.random() < 0.5 else rng.uniform(12, 35)),
            hu=float(rng.uniform(0, 120)),
        )
        for _ in range(int(rng.integers(1, 4)))
    )


def paint_lung_disease(
    pathology: Pathology, canvas: Canvas, organ_z: float, cavity: Floats, tissues: Tissues
) -> None:
    """Paint solid and patchy lung into the cavity's coverage (rows, columns)."""
    everywhere = (slice(None), slice(None))
    value = np.float32(tissues["muscle"]) + 8 * canvas.noise
    if pathology.patchy:
        cloudy = np.clip((canvas.bend + np.float32(2.4 * pathology.patchy - 1.6)) * 2, 0, 1)
        canvas.paint(everywhere, cavity * cloudy, value - 15 + 60 * canvas.noise)
    top, bottom = pathology.solid_range_mm
    if pathology.solid_side and top < organ_z < bottom:
        side = np.clip(canvas.x * pathology.solid_side / 10, 0, 1)
        canvas.paint(everywhere, np.asarray(cavity * side, np.float32), value)


def paint_masses(
    pathology: Pathology, canvas: Canvas, organ_z: float, cavity: Floats, tissues: Tissues
) -> None:
    """Paint the masses this slice cuts, within the cavity or, below it, anywhere in the pelvis."""
    for mass in pathology.masses:
        square = mass.radius_mm**2 - (organ_z - mass.z_mm) ** 2
        if square <= 4:
            continue
        radius = float(np.sqrt(square))
        section = np.array([mass.x_mm, mass.y_mm, radius, 0.9 * radius, 0.0])
        canvas.ellipse(section, mass.hu, rough_mm=4.0, texture_hu=12, clip=cavity)
