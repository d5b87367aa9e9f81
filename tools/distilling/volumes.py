"""CT volumes at 1 mm/px whose licence lets weights be shipped, and phantom bodies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom

from lesiongraph.phantom import sample_plain_volume, sample_training_volume
from ssbr_volumes import RealVolume, dicom_volumes, sarcoma_volumes

# "ship: yes" in the data folder's README: weights learned from these may be distributed
SHIP = (
    "LIDC-IDRI-0001",
    "Pancreas-CT-CB_001",
    "CRLM-CT-1004",
    "Lung_Dx-A0001_s2",
    "Lung_Dx-A0001_s3",
    "ACRIN-FLT-Breast_001_19600101",
    "ACRIN-FLT-Breast_001_19600305",
    "STS_002",
    "STS_005",
    "STS_044",
)
HELD_OUT = ("LIDC-IDRI-0001", "STS_005")
PHANTOM_PX = 352  # rows and columns: close to 1 mm/px, so that little is resampled


@dataclass(frozen=True)
class Volume:
    """One CT at 1 mm/px in-plane."""

    name: str
    hu: NDArray[np.int16]  # (n, h, w), head to foot
    interval_mm: float


def ship_volumes(data: Path) -> list[Volume]:
    """Read every volume of `SHIP`; say which are not there."""
    found = [_resampled(volume) for volume in _real(data)]
    for name in SHIP:
        if name not in {volume.name for volume in found}:
            print(f"{name}: not there, left out")
    return found


def _real(data: Path) -> Iterator[RealVolume]:
    yield from (volume for volume in sarcoma_volumes(data) if volume.name in SHIP)
    folders = [data / "dicom" / name for name in SHIP]
    yield from dicom_volumes([folder for folder in folders if folder.is_dir()])


def _resampled(volume: RealVolume) -> Volume:
    interval_mm = float(np.median(np.abs(np.diff(volume.position_mm))))
    return Volume(volume.name, at_1_mm(volume.hu, volume.spacing_mm), interval_mm)


def at_1_mm(hu: NDArray[np.int16], spacing_mm: tuple[float, float]) -> NDArray[np.int16]:
    """Resample slices (n, h, w) to 1 mm/px in-plane, bilinear."""
    resized = [zoom(one.astype(np.float32), spacing_mm, order=1) for one in hu]
    return np.stack(resized).astype(np.int16)


def phantom_volumes(count: int, rng_seed: int) -> list[Volume]:
    """Draw phantom bodies; every second is an ordinary one, the others vary more than reality does."""
    volumes = []
    for i in range(count):
        sample = sample_training_volume if i % 2 else sample_plain_volume
        drawn = sample(np.random.default_rng([rng_seed, i]), PHANTOM_PX)
        hu = at_1_mm(drawn.hu, (drawn.pixel_mm, drawn.pixel_mm))
        volumes.append(Volume(f"phantom {i}", hu, drawn.interval_mm))
    return volumes
