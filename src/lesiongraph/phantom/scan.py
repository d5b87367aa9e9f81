"""How one study scans the patient: range, field of view, pose, arms, phase, kernel and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lesiongraph.phantom.anatomy import Anatomy
from lesiongraph.phantom.contours import skin_outline
from lesiongraph.phantom.difficulty import PLAIN, Difficulty
from lesiongraph.phantom.tissues import PHASES

Ranges = dict[str, tuple[tuple[float, float], tuple[float, float], float]]

# Template heights of the scan ranges: (top from, to), (bottom from, to), and how often each is scanned.
_REGIONS: Ranges = {
    "chest": ((52, 112), (375, 440), 0.24),
    "chest-abdomen": ((60, 112), (470, 540), 0.10),
    "abdomen": ((265, 300), (500, 560), 0.12),
    "abdomen-pelvis": ((260, 300), (710, 760), 0.27),
    "chest-abdomen-pelvis": ((60, 112), (700, 770), 0.21),
    "neck-chest": ((-15, 30), (330, 420), 0.04),
    "pelvis": ((490, 540), (740, 820), 0.02),
}
REGIONS = tuple(_REGIONS)
"""Names of the scan ranges."""
_INTERVALS_MM = ((1.0, 0.01), (1.25, 0.01), (2.0, 0.02), (2.5, 0.06), (3.0, 0.1), (5.0, 0.8))
_LONG_SCAN_MM, _LONG_INTERVAL_MM = (
    420.0,
    2.5,
)  # thin slices only on short scans: a study stays below 400 images


@dataclass(frozen=True)
class ScanPlan:
    """One series' geometry and looks; heights and centre in body coordinates (mm)."""

    top_mm: float
    bottom_mm: float
    slice_interval_mm: float
    rows: int
    columns: int
    pixel_mm: float
    centre_x_mm: float  # body point in the middle of the image
    centre_y_mm: float
    arms_up: bool
    table: bool
    contrast_phase: str
    noise_hu: float
    kernel: str  # "smooth" or "sharp"
    region: str = "chest-abdomen-pelvis"
    rotation_deg: float = 0.0
    breath_mm: float = 0.0  # breath held higher (-) or lower (+) than usual
    oral_contrast: bool = False

    @property
    def slices(self) -> int:
        """Number of slices."""
        return int(np.floor((self.bottom_mm - self.top_mm) / self.slice_interval_mm)) + 1


def sample_scan(
    anatomy: Anatomy,
    rng: np.random.Generator,
    *,
    rows: int = 256,
    region: str | None = None,
    difficulty: Difficulty = PLAIN,
) -> ScanPlan:
    """Draw the plan of one study.

    Parameters
    ----------
    anatomy : Anatomy
    rng : numpy.random.Generator
    rows : int
        Image rows and columns (px).
    region : str, optional
        One of REGIONS; drawn like a hospital's mix when not given.
    difficulty : Difficulty
        How much pose differs between studies.

    Returns
    -------
    ScanPlan

    Raises
    ------
    ValueError
        If the region is none of REGIONS.
    """
    region, top, bottom = draw_range(_REGIONS, anatomy, rng, region)
    intervals, often = zip(*_INTERVALS_MM, strict=True)
    interval = float(rng.choice(intervals, p=often))
    if bottom - top > _LONG_SCAN_MM:
        interval = max(interval, _LONG_INTERVAL_MM)
    fov, centre_x, centre_y = _field_of_view(anatomy, (top, bottom), rng)
    return ScanPlan(
        top_mm=top,
        bottom_mm=bottom,
        slice_interval_mm=interval,
        rows=rows,
        columns=rows,
        pixel_mm=round(fov / rows, 4),
        centre_x_mm=centre_x,
        centre_y_mm=centre_y,
        arms_up=bool(rng.random() < 1 - difficulty.arms_down_share),
        table=bool(rng.random() < 0.9),
        contrast_phase=str(rng.choice(PHASES, p=(0.22, 0.13, 0.55, 0.10))),
        noise_hu=float(np.clip(rng.lognormal(np.log(12), 0.4), 4, 40)),
        kernel="sharp" if rng.random() < (0.3 if "chest" in region else 0.08) else "smooth",
        region=region,
        rotation_deg=float(rng.normal(0, difficulty.rotation_deg)),
        breath_mm=float(rng.normal(0, difficulty.breath_mm)),
        oral_contrast=bool(rng.random() < 0.4),
    )


def draw_range(
    ranges: Ranges, anatomy: Anatomy, rng: np.random.Generator, region: str | None
) -> tuple[str, float, float]:
    """Draw (region, top, bottom) of a scan in patient heights (mm); the region too, where none is given.

    Raises
    ------
    ValueError
        If the region is none of the ranges'.
    """
    if region is None:
        shares = np.array([share for *_, share in ranges.values()])
        region = str(rng.choice(list(ranges), p=shares / shares.sum()))
    if region not in ranges:
        raise ValueError(f"region {region!r}: expected one of {', '.join(ranges)}")
    tops, bottoms, _ = ranges[region]
    top, bottom = anatomy.patient_z([rng.uniform(*tops), rng.uniform(*bottoms)])
    return region, float(top), float(bottom)


def _field_of_view(
    anatomy: Anatomy, span: tuple[float, float], rng: np.random.Generator
) -> tuple[float, float, float]:
    """Return (mm across, centre x, centre y): mostly the whole body, sometimes zoomed or wide."""
    z = np.linspace(*span, 30)
    skin = skin_outline(anatomy, z)
    kind = rng.random()
    if kind < 0.10:  # zoomed on one region: the body outline leaves the image
        fov = float(rng.uniform(240, 330))
        return fov, float(rng.normal(0, 45)), float(rng.normal(0, 20))
    widest = 2 * float(max(np.percentile(skin.half_x, 90), np.percentile(skin.half_y, 90)))
    fov = float(np.clip(widest * rng.uniform(1.02, 1.16), 300, 500)) if kind < 0.8 else 500.0
    return fov, float(rng.normal(0, 6)), float(np.median(skin.centre_y) + rng.normal(8, 8))
