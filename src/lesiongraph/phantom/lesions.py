"""Lesions of the eight types: their shape, their look, and how they grow (paper Sec. 3)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lesiongraph.lesion import LESION_TYPES
from lesiongraph.phantom.anatomy import Anatomy
from lesiongraph.phantom.lesion_sites import Site, choose_site

_WAVES = 7


@dataclass(frozen=True)
class PhantomLesion:
    """One lesion of one patient at one time; `identity` stays the same over all studies."""

    identity: int
    type: str  # one of LESION_TYPES
    organ: str
    centre_mm: tuple[float, float, float]  # body coordinates
    radii_mm: tuple[float, float, float]  # along its own axes: long, short, z
    angle: float = 0.0  # of the long axis in the slice, radians from x towards y
    look: str = "solid"
    contrast_hu: float = 0.0  # against the tissue the look refers to
    roughness: float = 0.1  # of the outline, relative to the radius
    spiculation: float = 0.0
    texture_hu: float = 6.0
    core: float = 0.0  # relative radius of a necrotic, solid or air core
    seed: int = 0  # of outline bumps

    @property
    def reach_mm(self) -> float:
        """Radius of a ball that holds the lesion."""
        return max(self.radii_mm) * (1 + 2.2 * self.roughness + self.spiculation)

    def scaled(self, factor: float, rng: np.random.Generator | None = None) -> PhantomLesion:
        """Return the lesion grown or shrunk by `factor`; with `rng` shape and texture drift a little."""
        if factor <= 0:
            raise ValueError(f"scale factor {factor}: expected a positive number")
        stretch = np.ones(3) if rng is None else np.clip(rng.normal(1, 0.04, 3), 0.88, 1.12)
        r = np.array(self.radii_mm) * factor * stretch
        radii = (float(max(r[0], r[1])), float(r[1]), float(r[2]))
        if rng is None:
            return replace(self, radii_mm=radii)
        shrinking = factor < 0.9
        core = self.core
        if self.look == "necrotic" or (shrinking and self.core > 0):
            core = float(np.clip(core + rng.normal(0.05, 0.05), 0, 0.85))
        return replace(
            self,
            radii_mm=radii,
            angle=self.angle + float(rng.normal(0, 0.06)),
            contrast_hu=self.contrast_hu + float(rng.normal(0, 3)),
            texture_hu=max(2.0, self.texture_hu + float(rng.normal(0, 1))),
            core=core,
        )

    def resembling(self, kin: PhantomLesion, rng: np.random.Generator) -> PhantomLesion:
        """Return the lesion with the look of another: metastases of one primary resemble each other."""
        return replace(
            self,
            look=kin.look,
            contrast_hu=kin.contrast_hu + float(rng.normal(0, 4)),
            roughness=kin.roughness,
            spiculation=kin.spiculation,
            texture_hu=kin.texture_hu,
            core=kin.core,
        )

    def waves(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return directions (7, 3), phases (7,) and weights (7,) of the bumps of the outline."""
        rng = np.random.default_rng(self.seed)
        directions = rng.normal(0, 1, (_WAVES, 3)) * rng.uniform(1.2, 4.0, (_WAVES, 1))
        return (
            directions.astype(np.float32),
            rng.uniform(0, 2 * np.pi, _WAVES).astype(np.float32),
            (rng.uniform(0.3, 1, _WAVES) / np.sqrt(_WAVES / 2)).astype(np.float32),
        )


def place_lesion(
    anatomy: Anatomy, lesion_type: str, long_axis_mm: float, identity: int, rng: np.random.Generator
) -> PhantomLesion:
    """Put a lesion of that type and size where such lesions are found.

    Parameters
    ----------
    anatomy : Anatomy
    lesion_type : str
        One of LESION_TYPES.
    long_axis_mm : float
        Its long axis in the slice through its centre.
    identity : int
        Its number within the patient.
    rng : numpy.random.Generator

    Raises
    ------
    ValueError
        If the type is none of LESION_TYPES or the size is not positive.
    """
    if lesion_type not in LESION_TYPES:
        raise ValueError(f"lesion type {lesion_type!r}: expected one of {', '.join(LESION_TYPES)}")
    if not long_axis_mm > 0:
        raise ValueError(f"long axis {long_axis_mm} mm: expected a positive length")
    site = choose_site(anatomy, lesion_type, long_axis_mm, rng)
    half = long_axis_mm / 2
    short = half * float(np.clip(rng.normal(site.flatness, 0.12), 0.35, 0.98))
    depth = half * float(np.clip(rng.normal(0.85, 0.15), 0.45, 1.3))
    roughness = float(rng.uniform(*site.roughness))
    return PhantomLesion(
        identity=identity,
        type=lesion_type,
        organ=site.organ,
        centre_mm=(float(site.centre_mm[0]), float(site.centre_mm[1]), float(site.centre_mm[2])),
        radii_mm=(half, short, depth),
        angle=site.angle if site.angle is not None else float(rng.uniform(0, np.pi)),
        look=site.look,
        contrast_hu=site.contrast_hu,
        roughness=roughness,
        spiculation=float(rng.uniform(0.15, 0.4)) if site.look == "spiculated" else 0.0,
        texture_hu=float(rng.uniform(3, 14)),
        core=_core(site, half, rng),
        seed=int(rng.integers(2**31)),
    )


def _core(site: Site, half_mm: float, rng: np.random.Generator) -> float:
    """Large lesions die in the middle; part-solid ones have a solid core, cavities an air core."""
    if site.look in ("part-solid", "cavity", "necrotic", "mixed"):
        return float(rng.uniform(0.35, 0.7))
    if half_mm > 18 and site.look == "solid" and rng.random() < 0.4:
        return float(rng.uniform(0.4, 0.7))
    return 0.0
