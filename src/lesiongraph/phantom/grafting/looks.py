"""How lesions of each type look in real tissue: the phantom's looks, drawn by type."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lesiongraph.phantom.lesions import PhantomLesion

Point = tuple[float, float, float]


@dataclass(frozen=True)
class TypeLooks:
    """What a type's lesions are drawn from."""

    shares: dict[str, float]  # look → how often
    contrast_hu: tuple[float, float]  # mean and deviation against the tissue the look refers to
    flatness: float  # short over long axis
    roughness: tuple[float, float]
    largest_mm: float  # a site in real tissue holds no more


TYPE_LOOKS = {
    "bone": TypeLooks({"lytic": 0.5, "sclerotic": 0.35, "mixed": 0.15}, (0, 40), 0.7, (0.05, 0.2), 40),
    "abdomen": TypeLooks({"solid": 0.78, "necrotic": 0.13, "cyst": 0.09}, (4, 20), 0.74, (0.03, 0.14), 60),
    "mediastinum": TypeLooks({"solid": 0.88, "necrotic": 0.12}, (8, 16), 0.68, (0.02, 0.12), 45),
    "liver": TypeLooks(
        {"hypodense": 0.6, "hyperdense": 0.12, "cyst": 0.12, "necrotic": 0.16},
        (-34, 14),
        0.82,
        (0.02, 0.14),
        80,
    ),
    "lung": TypeLooks(
        {"solid": 0.62, "spiculated": 0.16, "part-solid": 0.09, "ground-glass": 0.07, "cavity": 0.06},
        (0, 12),
        0.8,
        (0.05, 0.2),
        70,
    ),
    "kidney": TypeLooks(
        {"cyst": 0.45, "mass": 0.33, "necrotic": 0.14, "fatty": 0.08}, (0, 14), 0.86, (0.01, 0.09), 55
    ),
    "soft tissue": TypeLooks({"solid": 0.78, "necrotic": 0.12, "cyst": 0.1}, (0, 22), 0.74, (0.03, 0.14), 60),
    "pelvis": TypeLooks({"solid": 0.75, "necrotic": 0.14, "cyst": 0.11}, (4, 18), 0.74, (0.03, 0.14), 60),
}
SPICULATED_FROM_MM = 8.0  # smaller lesions show neither spicules nor cores


def draw_lesion(
    lesion_type: str, long_axis_mm: float, centre_mm: Point, identity: int, rng: np.random.Generator
) -> PhantomLesion:
    """Draw a lesion of that type and size at a point of the background (x, y, z mm)."""
    looks = TYPE_LOOKS[lesion_type]
    names, shares = list(looks.shares), np.array(list(looks.shares.values()))
    look = str(rng.choice(names, p=shares / shares.sum()))
    if lesion_type == "lung" and long_axis_mm < SPICULATED_FROM_MM:
        look = "solid"
    half = long_axis_mm / 2
    return PhantomLesion(
        identity=identity,
        type=lesion_type,
        organ=lesion_type,
        centre_mm=centre_mm,
        radii_mm=(
            half,
            half * float(np.clip(rng.normal(looks.flatness, 0.12), 0.35, 0.98)),
            half * float(np.clip(rng.normal(0.85, 0.15), 0.45, 1.3)),
        ),
        angle=float(rng.uniform(0, np.pi)),
        look=look,
        contrast_hu=_contrast(looks, look, rng),
        roughness=float(rng.uniform(*looks.roughness)),
        spiculation=float(rng.uniform(0.15, 0.4)) if look == "spiculated" else 0.0,
        texture_hu=float(rng.uniform(3, 14)),
        core=_core(look, half, rng),
        seed=int(rng.integers(2**31)),
    )


def _contrast(looks: TypeLooks, look: str, rng: np.random.Generator) -> float:
    drawn = float(rng.normal(*looks.contrast_hu))
    if look == "hyperdense":
        return abs(drawn) + 4
    return min(drawn, -14.0) if looks.contrast_hu[0] < -20 else drawn


def _core(look: str, half_mm: float, rng: np.random.Generator) -> float:
    if look in ("part-solid", "cavity", "necrotic", "mixed"):
        return float(rng.uniform(0.35, 0.7))
    return float(rng.uniform(0.4, 0.7)) if half_mm > 18 and look == "solid" and rng.random() < 0.4 else 0.0
