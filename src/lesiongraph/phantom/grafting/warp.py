"""The smooth deformation that makes a virtual patient, and each of his studies, unlike the real one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lesiongraph.phantom.fields import FieldGrid, Floats, lattice_of

PATIENT_MM, PATIENT_WAVE_MM = 2.2, 70.0  # standard deviation of a displacement, and over what it varies
STUDY_MM, STUDY_WAVE_MM = 0.9, 90.0
_LIMIT = 4.5  # standard deviations that no displacement exceeds


@dataclass(frozen=True)
class ImageGrid:
    """The pixels of one study in the background's coordinates (mm); `sources` names its slices."""

    x_mm: npt.NDArray[np.float64]  # (columns,)
    y_mm: npt.NDArray[np.float64]  # (rows,)
    z_mm: npt.NDArray[np.float64]  # (n,)
    pixel_mm: float
    sources: tuple[tuple[int, ...], ...]  # (n,) slices of the background averaged into each
    thickness_mm: float


@dataclass(frozen=True)
class Warp:
    """In-plane displacement fields of one study; none where `amount` is 0."""

    grids: tuple[FieldGrid, FieldGrid]
    seeds: tuple[int, int]
    amount: float = 1.0

    @classmethod
    def build(cls, grid: ImageGrid, patient_seed: int, study_seed: int, amount: float = 1.0) -> Warp:
        """Prepare the fields of one study."""
        grids = [
            FieldGrid.build(grid.x_mm, grid.y_mm, grid.z_mm, wave)
            for wave in (PATIENT_WAVE_MM, STUDY_WAVE_MM)
        ]
        return cls((grids[0], grids[1]), (patient_seed, study_seed), amount)

    @property
    def reach_mm(self) -> float:
        """No displacement is longer."""
        return self.amount * _LIMIT * (PATIENT_MM + STUDY_MM)

    def displacement(self, index: int) -> tuple[Floats, Floats]:
        """Return dx, dy (rows, columns) mm: where in the background a pixel of slice `index` looks."""
        found = []
        for channel in (0, 1):
            patient = self.grids[0].slice_of(lattice_of(self.seeds[0], channel), index)
            study = self.grids[1].slice_of(lattice_of(self.seeds[1], channel), index)
            shift = np.clip(patient, -_LIMIT, _LIMIT) * np.float32(PATIENT_MM)
            shift += np.clip(study, -_LIMIT, _LIMIT) * np.float32(STUDY_MM)
            found.append(np.asarray(shift * np.float32(self.amount), np.float32))
        return found[0], found[1]
