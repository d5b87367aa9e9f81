"""Phantom volumes that a body part regressor learns from: any body, any view, with true heights.

The hospital's series look like a hospital's; these vary more than reality does, because whatever they hold
constant the regressor may mistake for anatomy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lesiongraph.phantom.anatomy import Doubles, sample_anatomy
from lesiongraph.phantom.artefacts import Scanner, ScannerLook
from lesiongraph.phantom.fields import Floats
from lesiongraph.phantom.implants import paint_implants, sample_implants
from lesiongraph.phantom.painting import paint_slice
from lesiongraph.phantom.render import render
from lesiongraph.phantom.scan import sample_scan
from lesiongraph.phantom.surroundings import sample_lines
from lesiongraph.phantom.tissues import sample_tissues
from lesiongraph.phantom.training_body import (
    TrainingStudy,
    landmark_heights_mm,
    sample_pose,
    sample_training_anatomy,
    with_full_belly,
)
from lesiongraph.phantom.training_view import (
    TRAINING_REGIONS,
    interval_blend,
    sample_aperture,
    sample_training_plan,
)

__all__ = ["TRAINING_REGIONS", "TrainingPhantom", "sample_plain_volume", "sample_training_volume"]

_PLAIN_INTERVALS_MM = (3.0, 4.0, 5.0, 6.0, 8.0)
_MOST_PLAIN_SLICES = 85
_TILT_STD = 0.05  # mm along z for each mm to the back: about 3 degrees


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
    rng: np.random.Generator, size_px: int = 192, *, region: str | None = None, full_belly: bool = False
) -> TrainingPhantom:
    """Draw a domain-randomised volume; the same random state gives the same volume.

    Parameters
    ----------
    rng : numpy.random.Generator
    size_px : int
        Rows and columns.
    region : str, optional
        One of TRAINING_REGIONS; drawn when not given.
    full_belly : bool
        Stretch the belly and fill it with fluid, one huge growth, or both.

    Returns
    -------
    TrainingPhantom

    Raises
    ------
    ValueError
        If the region is none of TRAINING_REGIONS.
    """
    anatomy = sample_training_anatomy(rng)
    plan = sample_training_plan(anatomy, rng, size_px, region)
    pose = sample_pose(rng, plan.region)
    if full_belly:
        pose = with_full_belly(pose, rng)
    z_mm = np.asarray(plan.top_mm + plan.slice_interval_mm * np.arange(plan.slices), float)
    tissues = pose.pathology.alter(sample_tissues(plan.contrast_phase, anatomy.age, rng), rng)
    study = TrainingStudy(anatomy, plan, tissues, z_mm, rng, pose=pose)
    heights = landmark_heights_mm(anatomy, pose)
    index = {name: (height - plan.top_mm) / plan.slice_interval_mm for name, height in heights.items()}
    return TrainingPhantom(
        hu=_scan(study, rng),
        z01=anatomy.relative_z(z_mm),
        interval_mm=plan.slice_interval_mm,
        pixel_mm=plan.pixel_mm,
        landmarks={name: at for name, at in index.items() if 0 <= at <= len(z_mm) - 1},
        region=plan.region,
    )


def sample_plain_volume(rng: np.random.Generator, size_px: int = 192) -> TrainingPhantom:
    """Draw a volume as the phantom hospital scans it, over a wider range and with looser fields of view.

    Regressors that saw only `sample_training_volume` took shoulders for a pelvis more often than those that
    saw ordinary bodies beside it: what varies too much is no anchor.

    Parameters
    ----------
    rng : numpy.random.Generator
    size_px : int
        Rows and columns.
    """
    anatomy = sample_anatomy(rng)
    plan = sample_scan(anatomy, rng, rows=size_px)
    top = plan.top_mm - (float(rng.uniform(0, 90)) if rng.random() < 0.25 else 0.0)
    bottom = plan.bottom_mm + (float(rng.uniform(0, 120)) if rng.random() < 0.25 else 0.0)
    plan = replace(
        plan,
        top_mm=top,
        bottom_mm=bottom,
        slice_interval_mm=max(float(rng.choice(_PLAIN_INTERVALS_MM)), (bottom - top) / _MOST_PLAIN_SLICES),
        pixel_mm=plan.pixel_mm * float(rng.uniform(0.9, 1.12)),
        centre_x_mm=plan.centre_x_mm + float(rng.normal(0, 12)),
        centre_y_mm=plan.centre_y_mm + float(rng.normal(0, 12)),
        arms_up=bool(rng.random() < 0.75),
        noise_hu=float(rng.uniform(3, 35)),
        rotation_deg=float(rng.normal(0, 4)),
    )
    series = render(anatomy, [], plan, rng)
    heights = anatomy.landmarks.items()
    index = {name: (height - plan.top_mm) / plan.slice_interval_mm for name, height in heights}
    return TrainingPhantom(
        hu=series.hu,
        z01=series.z01,
        interval_mm=plan.slice_interval_mm,
        pixel_mm=plan.pixel_mm,
        landmarks={name: at for name, at in index.items() if 0 <= at <= len(series.hu) - 1},
        region=plan.region,
    )


def _scan(study: TrainingStudy, rng: np.random.Generator) -> npt.NDArray[np.int16]:
    """Paint, tilt, average and spoil all slices (n, rows, columns)."""
    plan, z_mm = study.plan, study.z_mm
    implants = sample_implants(study.anatomy, rng)
    lines = sample_lines(rng, (float(z_mm[0]), float(z_mm[-1])))
    stack: Floats = np.empty((len(z_mm), plan.rows, plan.columns), np.float32)
    metal = []
    for i in range(len(z_mm)):
        canvas, _ = paint_slice(study, i)
        metal.append(paint_implants(canvas, float(z_mm[i]), implants))
        study.paint_surroundings(canvas, i, lines)
        stack[i] = canvas.hu
    rows_mm = (np.arange(plan.rows) - (plan.rows - 1) / 2) * plan.pixel_mm
    stack = interval_blend(
        stack, plan.slice_interval_mm, float(rng.normal(0, _TILT_STD)), rows_mm, float(rng.uniform(0.2, 1.3))
    )
    scanner = Scanner(
        ScannerLook.sample(rng, plan.noise_hu, plan.kernel), (plan.rows, plan.columns), plan.pixel_mm, rng
    )
    for i, sources in enumerate(metal):
        stack[i] = scanner.spoil(stack[i], sources)
    aperture = sample_aperture(plan, rng)
    if aperture is not None:
        aperture.apply(stack)
    return np.rint(stack).astype(np.int16)
