"""What a training volume shows of the body: scan range, slices, field of view, reconstruction circle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lesiongraph.phantom.anatomy import Anatomy
from lesiongraph.phantom.contours import skin_outline
from lesiongraph.phantom.fields import Floats
from lesiongraph.phantom.scan import Ranges, ScanPlan, draw_range
from lesiongraph.phantom.tissues import PHASES

# Template heights (top from, to), (bottom from, to), and the share of volumes. Pelvis, thigh, neck and
# shoulders have more than a hospital's share: real volumes to train on are scarce there. Whole scans matter,
# because only they tie neck to thigh.
_REGIONS: Ranges = {
    "head-neck": ((-120, -40), (110, 200), 0.05),
    "neck-chest": ((-60, 30), (300, 430), 0.09),
    "shoulders": ((20, 80), (150, 260), 0.04),
    "chest": ((50, 112), (360, 440), 0.11),
    "chest-abdomen": ((50, 115), (460, 560), 0.08),
    "abdomen": ((240, 310), (480, 580), 0.05),
    "abdomen-pelvis": ((240, 310), (690, 780), 0.13),
    "chest-abdomen-pelvis": ((40, 115), (690, 790), 0.14),
    "pelvis": ((470, 560), (720, 800), 0.08),
    "pelvis-thigh": ((480, 680), (830, 900), 0.09),
    "neck-to-thigh": ((-60, 30), (760, 900), 0.14),
}
TRAINING_REGIONS = tuple(_REGIONS)
"""Names of the scan ranges of training volumes."""
_INTERVALS_MM = (2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
_SHORT_SHARE, _SHORT_MM = 0.15, (60.0, 150.0)  # pieces as in DeepLesion
_MOST_SLICES = 90
# Kind of field of view and its share.
_FIELDS = {"body": 0.34, "wide": 0.16, "trunk": 0.18, "cut": 0.20, "zoomed": 0.12}
_PADDINGS_HU = (-1024, -1024, -2000, -3024, -1000)


@dataclass(frozen=True)
class Aperture:
    """What the scanner reconstructs: a circle, and what the pixels outside it hold."""

    centre_px: tuple[float, float]  # row, column
    radius_px: float
    padding_hu: int
    rim_hu: float  # a body wider than the detector shines at the rim

    def apply(self, hu: Floats) -> None:
        """Pad the slices (n, rows, columns) outside the circle, in place."""
        rows, columns = np.ogrid[: hu.shape[1], : hu.shape[2]]
        distance = np.hypot(rows - self.centre_px[0], columns - self.centre_px[1])
        near = np.exp(np.minimum(distance - self.radius_px, 0) / 4.0).astype(np.float32)
        if self.rim_hu:
            hu += np.where(hu > -300, np.float32(self.rim_hu) * near, np.float32(0))
        hu[:, distance > self.radius_px] = self.padding_hu


def sample_training_plan(
    anatomy: Anatomy, rng: np.random.Generator, size_px: int, region: str | None = None
) -> ScanPlan:
    """Draw what is scanned of the body and how it lies in the image.

    Parameters
    ----------
    anatomy : Anatomy
    rng : numpy.random.Generator
    size_px : int
        Rows and columns.
    region : str, optional
        One of TRAINING_REGIONS; drawn when not given. Some volumes are short pieces of their region.

    Raises
    ------
    ValueError
        If the region is none of TRAINING_REGIONS.
    """
    region, top, bottom = draw_range(_REGIONS, anatomy, rng, region)
    if rng.random() < _SHORT_SHARE:
        length = min(float(rng.uniform(*_SHORT_MM)), bottom - top)
        top += float(rng.uniform(0, bottom - top - length))
        bottom = top + length
    interval = max(float(rng.choice(_INTERVALS_MM)), (bottom - top) / _MOST_SLICES)
    fov, centre_x, centre_y = _field_of_view(anatomy, (top, bottom), rng)
    return ScanPlan(
        top_mm=top,
        bottom_mm=bottom,
        slice_interval_mm=interval,
        rows=size_px,
        columns=size_px,
        pixel_mm=fov / size_px,
        centre_x_mm=centre_x,
        centre_y_mm=centre_y,
        arms_up=True,
        table=bool(rng.random() < 0.9),
        contrast_phase=str(rng.choice(PHASES, p=(0.3, 0.18, 0.42, 0.10))),
        noise_hu=float(rng.uniform(1, 9) if rng.random() < 0.6 else rng.uniform(9, 40)),
        kernel="sharp" if rng.random() < 0.3 else "smooth",
        region=region,
        rotation_deg=float(rng.normal(0, 4) if rng.random() < 0.95 else rng.uniform(-28, 28)),
        oral_contrast=bool(rng.random() < 0.4),
    )


def _field_of_view(
    anatomy: Anatomy, span: tuple[float, float], rng: np.random.Generator
) -> tuple[float, float, float]:
    """Return (mm across, centre x, centre y); shares and wandering are relative to the body's width."""
    skin = skin_outline(anatomy, np.linspace(*span, 30))
    widest = 2 * float(max(np.percentile(skin.half_x, 90), np.percentile(skin.half_y, 90)))
    middle = float(np.median(skin.centre_y))
    kind = str(rng.choice(list(_FIELDS), p=list(_FIELDS.values())))
    share, wander = {
        "body": ((1.05, 1.3), 0.03),
        "wide": ((1.3, 2.0), 0.10),
        "trunk": ((0.95, 1.08), 0.03),
        "cut": ((0.66, 0.95), 0.08),
        "zoomed": ((0.4, 0.66), 0.14),
    }[kind]
    fov = float(np.clip(widest * rng.uniform(*share), 140, 700))
    off = wander * widest
    return fov, float(rng.normal(0, off)), float(rng.normal(middle + 8, 0.7 * off))


def sample_aperture(plan: ScanPlan, rng: np.random.Generator) -> Aperture | None:
    """Draw the reconstruction circle: inscribed, or the scanner's own 500 mm; None for a full square."""
    if rng.random() < 0.45:
        return None
    inscribed = rng.random() < 0.6
    radius_mm = 0.5 * plan.pixel_mm * plan.rows if inscribed else float(rng.uniform(240, 275))
    off_mm = (0.0, 0.0) if inscribed else (-plan.centre_y_mm, -plan.centre_x_mm)
    middle = (plan.rows - 1) / 2
    return Aperture(
        centre_px=(middle + off_mm[0] / plan.pixel_mm, middle + off_mm[1] / plan.pixel_mm),
        radius_px=radius_mm / plan.pixel_mm,
        padding_hu=int(rng.choice(_PADDINGS_HU)),
        rim_hu=float(rng.uniform(0, 500)) if not inscribed and rng.random() < 0.5 else 0.0,
    )


def interval_blend(
    hu: Floats, interval_mm: float, tilt: float, rows_mm: npt.NDArray[np.floating], thick: float
) -> Floats:
    """Tilt the slices and average them over their thickness, in a stack (n, rows, columns).

    Parameters
    ----------
    hu : ndarray, shape (n, rows, columns)
    interval_mm : float
    tilt : float
        mm towards the feet for each mm towards the back.
    rows_mm : ndarray, shape (rows,)
        Rows' distance from the middle of the image.
    thick : float
        Slice thickness over the interval, 0 to about 1.3.
    """
    if len(hu) < 2:
        return hu
    side = np.float32(thick / 8)  # a box as wide as one interval over straight lines between slices
    padded = np.concatenate([hu[:1], hu, hu[-1:]])
    blurred = hu * (1 - 2 * side) + side * (padded[:-2] + padded[2:])
    if not tilt:
        return np.asarray(blurred, np.float32)
    at = np.arange(len(hu))[:, None] + tilt * rows_mm[None] / interval_mm  # (n, rows)
    at = np.clip(at, 0, len(hu) - 1)
    below = np.minimum(at.astype(int), len(hu) - 2)
    share = (at - below).astype(np.float32)[..., None]
    r = np.arange(hu.shape[1])[None]
    return np.asarray(blurred[below, r] * (1 - share) + blurred[below + 1, r] * share, np.float32)
