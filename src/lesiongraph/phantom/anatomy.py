"""One synthetic adult: stature, build and the heights of the landmarks, the same in every study.

Body coordinates in mm: x to the patient's left (0 = midline), y to the back (0 = mid-trunk), z to the feet
(0 = vertex of the head). The template is a 1700 mm adult whose heights are counted from the top of C3; each
patient stretches it piecewise along z and scales it across.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

TEMPLATE_HEIGHT_MM = 1700.0
TEMPLATE_VERTEX_MM = -200.0
# Borders of the stretches: vertex, C3, T1, T12/L1, L5/S1, ischium, mid thigh, sole (template mm).
_BORDERS = (-200.0, 0.0, 90.0, 390.0, 573.0, 700.0, 880.0, 1500.0)
_STRETCH_STD = (0.03, 0.07, 0.045, 0.045, 0.045, 0.04, 0.04)

# Template heights (mm from the top of C3) of what a radiologist would use to find his way.
TEMPLATE_LANDMARKS: dict[str, float] = {
    "hyoid": 5.0,
    "thoracic inlet": 100.0,
    "sternal notch": 132.0,
    "aortic arch": 158.0,
    "carina": 186.0,
    "pulmonary trunk": 203.0,
    "heart": 258.0,
    "liver dome": 292.0,
    "adrenals": 378.0,
    "pancreas": 418.0,
    "kidney hilum": 434.0,
    "umbilicus": 500.0,
    "iliac crest": 505.0,
    "sacral promontory": 573.0,
    "femoral head": 655.0,
    "pubic symphysis": 685.0,
    "ischial tuberosity": 728.0,
    "mid thigh": 860.0,
}
CERVICAL_MM = 18.0
"""Height of one cervical vertebra with its disc in the template."""


def thoracic_top_mm(number: npt.ArrayLike) -> Doubles:
    """Template height of the top of thoracic vertebra `number` (1 = T1, 13 = L1); takes fractions."""
    k = np.asarray(number, float) - 1
    return np.asarray(90.0 + 20.5 * k + 0.409 * k * k)


def vertebra_borders_mm() -> Doubles:
    """Template heights of the disc centres from the top of C3 to L5/S1, (23,)."""
    cervical = CERVICAL_MM * np.arange(5)
    return np.concatenate([cervical, thoracic_top_mm(np.arange(1, 13)), 390.0 + 36.6 * np.arange(6)])


@dataclass(frozen=True)
class Anatomy:
    """What makes one patient: cheap to pickle, hashable; all shapes are built from it on demand."""

    seed: int
    sex: str  # "M" or "F"
    age: int
    z_borders_mm: tuple[float, ...]  # patient heights of the template's borders, vertex = 0
    width: float  # scale across, left-right
    depth: float  # scale front-back
    subcutaneous_mm: float  # mean thickness of the subcutaneous fat
    visceral: float  # 0 lean to 1 full: how far fat spreads the organs and the belly
    muscle: float  # scale of the muscles
    breast_mm: float
    diaphragm_mm: float  # how far the domes stand below (+) or above (-) the template's
    spread: float = 1.0  # how far organs stray from their usual place; 1 in the plain hospital
    node_spread: float = 1.0  # and how far nodes do

    @property
    def height_mm(self) -> float:
        """Stature."""
        return self.z_borders_mm[-1]

    def template_z(self, z_mm: npt.ArrayLike) -> Doubles:
        """Template height of a patient height."""
        return np.asarray(np.interp(np.asarray(z_mm, float), self.z_borders_mm, _BORDERS))

    def patient_z(self, template_mm: npt.ArrayLike) -> Doubles:
        """Patient height of a template height."""
        return np.asarray(np.interp(np.asarray(template_mm, float), _BORDERS, self.z_borders_mm))

    def relative_z(self, z_mm: npt.ArrayLike) -> Doubles:
        """True z in 0..1, head to foot, of many heights; anatomy, not stature, decides."""
        return (self.template_z(z_mm) - TEMPLATE_VERTEX_MM) / TEMPLATE_HEIGHT_MM

    def z01(self, z_mm: float) -> float:
        """True relative z in 0..1, head to foot: equal anatomy has equal z in every patient."""
        return float(self.relative_z(z_mm))

    @property
    def landmarks(self) -> dict[str, float]:
        """Patient heights (mm) of the landmarks."""
        shift = {"liver dome": self.diaphragm_mm}
        return {
            name: float(self.patient_z(z + shift.get(name, 0.0))) for name, z in TEMPLATE_LANDMARKS.items()
        }

    def rng(self, purpose: str) -> np.random.Generator:
        """Return the generator of one trait: the same trait comes out alike in every study."""
        return np.random.default_rng([self.seed, zlib.crc32(purpose.encode())])


def sample_anatomy(rng: np.random.Generator, *, spread: float = 1.0, node_spread: float = 1.0) -> Anatomy:
    """Draw one adult.

    Parameters
    ----------
    rng : numpy.random.Generator
    spread : float
        How much heights, domes, organs and fat differ between patients; 1 in the plain hospital.
    node_spread : float
        How far nodes and deposits scatter about their stations; 1 in the plain hospital.

    Returns
    -------
    Anatomy
        Stature about 1.77 +- 0.07 m (men) or 1.63 +- 0.065 m (women), lean to obese.
    """
    sex = "M" if rng.random() < 0.55 else "F"
    stature = rng.normal(1.04, 0.035) if sex == "M" else rng.normal(0.96, 0.035)
    stretches = np.clip(rng.normal(1.0, spread * np.array(_STRETCH_STD)), 0.85, 1.15) * np.clip(
        stature, 0.86, 1.16
    )
    borders = np.concatenate([[0.0], np.cumsum(np.diff(_BORDERS) * stretches)])
    fat = float(np.clip(rng.lognormal(np.log(15 if sex == "M" else 20), 0.5 * spread), 4, 48))
    return Anatomy(
        seed=int(rng.integers(2**31)),
        sex=sex,
        age=int(np.clip(rng.normal(60, 14), 20, 92)),
        z_borders_mm=tuple(float(z) for z in borders),
        width=float(np.clip(rng.normal(1.03 if sex == "M" else 0.94, 0.05), 0.82, 1.18)),
        depth=float(np.clip(rng.normal(1.02 if sex == "M" else 0.94, 0.06), 0.8, 1.2)),
        subcutaneous_mm=fat,
        visceral=float(np.clip(rng.beta(2, 2.5) * 0.6 + fat / 90, 0.02, 1.0)),
        muscle=float(np.clip(rng.normal(1.0 if sex == "M" else 0.88, 0.1), 0.65, 1.25)),
        breast_mm=float(rng.uniform(22, 60)) if sex == "F" else float(rng.uniform(0, 8)),
        diaphragm_mm=float(rng.normal(0, 9 * spread)),
        spread=spread,
        node_spread=node_spread,
    )
