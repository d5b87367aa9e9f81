"""Phantom volumes that a body part regressor learns from: any body, any view, with true heights.

The hospital's series look like a hospital's; these vary more than reality does, because whatever they hold
constant the regressor may mistake for anatomy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lesiongraph.phantom.anatomy import Doubles, sample_anatomy
from lesiongraph.phantom.render import render
from lesiongraph.phantom.scan import sample_scan

_MOST_SLICES = 85


@dataclass(frozen=True)
class TrainingPhantom:
    """One phantom volume with what a regressor may learn from it or be judged by."""

    hu: npt.NDArray[np.int16]  # (n, rows, columns), canonical view, slice 0 nearest the head
    z01: Doubles  # (n,) true relative z: 0 vertex, 1 sole
    interval_mm: float
    pixel_mm: float
    landmarks: dict[str, float]  # name -> fractional slice index, of those within the scan
    region: str


def sample_training_volume(
    rng: np.random.Generator, size_px: int = 192, *, region: str | None = None
) -> TrainingPhantom:
    """Draw a domain-randomised volume; the same random state gives the same volume.

    Parameters
    ----------
    rng : numpy.random.Generator
    size_px : int
        Rows and columns.
    region : str, optional
        Scan range; drawn when not given.

    Returns
    -------
    TrainingPhantom
    """
    anatomy = sample_anatomy(rng)
    plan = sample_scan(anatomy, rng, rows=size_px, region=region)
    interval = float(rng.choice([3.0, 4.0, 5.0, 6.0, 8.0]))
    top = plan.top_mm - (float(rng.uniform(0, 90)) if rng.random() < 0.25 else 0.0)
    bottom = plan.bottom_mm + (float(rng.uniform(0, 120)) if rng.random() < 0.25 else 0.0)
    plan = replace(
        plan,
        top_mm=top,
        bottom_mm=bottom,
        slice_interval_mm=max(interval, (bottom - top) / _MOST_SLICES),
        pixel_mm=plan.pixel_mm * float(rng.uniform(0.9, 1.12)),
        centre_x_mm=plan.centre_x_mm + float(rng.normal(0, 12)),
        centre_y_mm=plan.centre_y_mm + float(rng.normal(0, 12)),
        arms_up=bool(rng.random() < 0.75),
        noise_hu=float(rng.uniform(3, 35)),
        rotation_deg=float(rng.normal(0, 4)),
    )
    series = render(anatomy, [], plan, rng)
    index = {
        name: (height - plan.top_mm) / plan.slice_interval_mm for name, height in anatomy.landmarks.items()
    }
    return TrainingPhantom(
        hu=series.hu,
        z01=series.z01,
        interval_mm=plan.slice_interval_mm,
        pixel_mm=plan.pixel_mm,
        landmarks={name: at for name, at in index.items() if 0 <= at <= len(series.hu) - 1},
        region=plan.region,
    )
