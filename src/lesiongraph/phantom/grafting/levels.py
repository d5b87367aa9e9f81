"""A background's slices → where along the body they lie, by the packaged SSBR and its atlas (Sec. 4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from lesiongraph.bodypart import (
    NO_TRUNK,
    Atlas,
    SsbrModel,
    cross_section,
    locate_series,
    slice_input,
)
from lesiongraph.phantom.grafting.backgrounds import BackgroundVolume


@dataclass(frozen=True)
class Levels:
    """z (0–1) of each slice; `shows_trunk` is False for a series of heads or limbs."""

    slice_z01: npt.NDArray[np.float64]  # (n,) growing with the slice index
    z_mm: npt.NDArray[np.float64]  # (n,)
    shows_trunk: bool

    def z01(self, z_mm: float) -> float:
        """Return z at a position of the background."""
        return float(np.interp(z_mm, self.z_mm, self.slice_z01))


def find_levels(volume: BackgroundVolume) -> Levels:
    """Score all slices of a background."""
    model, atlas = _model()
    seen = np.stack([slice_input(hu, volume.pixel_mm, mode=model.slice_mode) for hu in volume.hu])
    sections = [cross_section(hu, volume.pixel_mm) for hu in volume.hu]
    found = locate_series(model, seen, volume.z_mm, atlas, sections)
    return Levels(np.asarray(found.z, float), volume.z_mm, NO_TRUNK not in found.flags)


def landmark_z(name: str) -> float:
    """Return z of a landmark of the packaged atlas."""
    return next(row.z for row in _model()[1].table if row.name == name)


@cache
def _model() -> tuple[SsbrModel, Atlas]:
    model = SsbrModel.load(None)
    return model, Atlas.load().for_model(model)
