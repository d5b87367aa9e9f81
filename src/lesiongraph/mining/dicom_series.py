"""CT image headers → series of one orientation, sorted head → foot, with their flips and flags."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lesiongraph.mining.marks import ImageRef
from lesiongraph.mining.rules import AXIAL_MIN_COSINE, NOT_AXIAL

SAME_ORIENTATION_COSINE = 0.999  # ours: about 2.5°, rounding in the header is far below
GAP_FACTOR = 1.5  # ours: a gap of 1.5 usual intervals means that a slice is missing
SAME_POSITION_MM = 1e-3
BURNED_IN = "burned-in text suspected"


@dataclass(frozen=True)
class ImageHeader:
    """What one CT image (or one frame of a multi-frame image) states about itself."""

    image: ImageRef  # slice_index and position_mm not yet known
    description: str
    kernel: str
    slice_thickness_mm: float
    has_position: bool
    has_orientation: bool
    patient_id_made_up: bool
    patient_sex: str
    patient_age: float
    body_part_examined: str = ""
    burned_in: bool = False  # Burned In Annotation says so (PS3.3 C.7.6.1.1)

    @property
    def normal(self) -> np.ndarray:
        """Unit vector across the image, pointing towards the head. (3,)."""
        normal = np.cross(self.image.column_step, self.image.row_step)
        return normal if normal[2] >= 0 else -normal

    @property
    def is_axial(self) -> bool:
        """Whether the image lies across the body."""
        return abs(float(self.normal[2])) >= AXIAL_MIN_COSINE


@dataclass
class ImageSeries:
    """One CT series of one orientation, its images sorted head → foot."""

    series_instance_uid: str
    study_instance_uid: str
    patient_id: str
    study_date: str  # YYYY-MM-DD, "" unknown
    frame_of_reference_uid: str
    description: str
    kernel: str
    columns: int
    rows: int
    spacing_x_mm: float
    spacing_y_mm: float
    slice_interval_mm: float  # NaN unknown
    slice_thickness_mm: float
    flip_x: bool
    flip_y: bool
    images: list[ImageRef]  # images[i].slice_index == i
    flags: tuple[str, ...] = ()
    patient_sex: str = ""
    patient_age: float = math.nan
    body_part_examined: str = ""


def build_series(headers: Sequence[ImageHeader]) -> tuple[ImageSeries | None, dict[str, str]]:
    """Build one series from the headers that share a Series Instance UID.

    Returns
    -------
    series : ImageSeries or None
        None where no image can be used.
    left_out : dict of str to str
        SOP Instance UID → reason, for each image that is not part of the series.
    """
    flags: list[str] = []
    left_out = {h.image.sop_instance_uid: NOT_AXIAL.reason for h in headers if not h.is_axial}
    axial = [h for h in headers if h.is_axial]
    if left_out and axial:
        flags.append("two orientations")
    axial, minority = _majority(axial, _same_orientation)
    if minority:
        flags.append("two orientations")
        left_out |= {h.image.sop_instance_uid: "second orientation of its series" for h in minority}
    axial, minority = _majority(axial, _same_size)
    if minority:
        flags.append("two image sizes")
        left_out |= {h.image.sop_instance_uid: "second image size of its series" for h in minority}
    if not axial:
        return None, left_out
    images, sort_flags = _sorted_images(axial)
    return _describe(axial[0], images, [*flags, *sort_flags, *_header_flags(axial)]), left_out


def _majority(
    headers: list[ImageHeader], same: Callable[[ImageHeader, ImageHeader], bool]
) -> tuple[list[ImageHeader], list[ImageHeader]]:
    """Split into the largest group of images alike and the rest; ties go to the smallest UID."""
    groups: list[list[ImageHeader]] = []
    for header in sorted(headers, key=lambda h: (h.image.sop_instance_uid, h.image.frame)):
        for group in groups:
            if same(group[0], header):
                group.append(header)
                break
        else:
            groups.append([header])
    if not groups:
        return [], []
    groups.sort(key=len, reverse=True)  # stable: among equals the smallest UID stays first
    return groups[0], [header for group in groups[1:] for header in group]


def _same_orientation(a: ImageHeader, b: ImageHeader) -> bool:
    columns = float(np.dot(a.image.column_step, b.image.column_step))
    rows = float(np.dot(a.image.row_step, b.image.row_step))
    return min(columns, rows) >= SAME_ORIENTATION_COSINE


def _same_size(a: ImageHeader, b: ImageHeader) -> bool:
    return (a.image.columns, a.image.rows) == (b.image.columns, b.image.rows)


def _sorted_images(headers: list[ImageHeader]) -> tuple[list[ImageRef], list[str]]:
    """Sort head → foot by the projection on the normal; by Instance Number where positions lack."""
    flags = []
    if all(h.has_position for h in headers):
        normal = headers[0].normal
        positions = [-float(np.dot(h.image.origin_mm, normal)) for h in headers]
    else:
        # Without positions the order is a guess: most scanners number from head to foot.
        flags.append("positions missing")
        positions = [math.nan] * len(headers)
    order = sorted(
        range(len(headers)),
        key=lambda i: (
            positions[i] if math.isfinite(positions[i]) else 0.0,
            headers[i].image.instance_number,
            headers[i].image.frame,
            headers[i].image.sop_instance_uid,
        ),
    )
    images = [
        dataclasses.replace(headers[i].image, slice_index=rank, position_mm=positions[i])
        for rank, i in enumerate(order)
    ]
    return images, flags


def _header_flags(headers: list[ImageHeader]) -> list[str]:
    flags = []
    if any(not h.has_orientation for h in headers):
        flags.append("orientation missing")
    if any(not math.isfinite(h.image.spacing_x_mm) for h in headers):
        flags.append("pixel spacing unknown")
    if len({(round(h.image.spacing_x_mm, 4), round(h.image.spacing_y_mm, 4)) for h in headers}) > 1:
        flags.append("pixel spacing varies")
    if any(h.patient_id_made_up for h in headers):
        flags.append("patient id missing")
    if len({h.image.patient_id for h in headers}) > 1:
        flags.append("two patient ids")
    if any(h.burned_in for h in headers):
        flags.append(BURNED_IN)
    return flags


def _describe(first: ImageHeader, images: list[ImageRef], flags: list[str]) -> ImageSeries:
    interval_mm, gap_flags = _interval(images)
    column_step, row_step = first.image.column_step, first.image.row_step
    if abs(column_step[0]) < abs(column_step[1]):
        flags.append("rotated in plane")
    spacings = Counter((image.spacing_x_mm, image.spacing_y_mm) for image in images)
    (spacing_x_mm, spacing_y_mm), _ = min(spacings.items(), key=lambda item: (-item[1], item[0]))
    return ImageSeries(
        series_instance_uid=first.image.series_instance_uid,
        study_instance_uid=first.image.study_instance_uid,
        patient_id=first.image.patient_id,
        study_date=first.image.study_date,
        frame_of_reference_uid=first.image.frame_of_reference_uid,
        description=first.description,
        kernel=first.kernel,
        columns=first.image.columns,
        rows=first.image.rows,
        spacing_x_mm=spacing_x_mm,
        spacing_y_mm=spacing_y_mm,
        slice_interval_mm=interval_mm,
        slice_thickness_mm=first.slice_thickness_mm,
        flip_x=column_step[0] < 0,
        flip_y=row_step[1] < 0,
        images=images,
        flags=tuple(dict.fromkeys([*flags, *gap_flags])),
        patient_sex=first.patient_sex,
        patient_age=first.patient_age,
        body_part_examined=first.body_part_examined,
    )


def _interval(images: list[ImageRef]) -> tuple[float, list[str]]:
    """Return the median distance of neighbouring slices (mm) and what is odd about the distances."""
    positions = np.array([image.position_mm for image in images])
    if len(positions) < 2 or not np.isfinite(positions).all():
        return math.nan, []
    gaps = np.diff(positions)
    flags = []
    if (gaps < SAME_POSITION_MM).any():
        flags.append("duplicate positions")
    gaps = gaps[gaps >= SAME_POSITION_MM]
    if len(gaps) == 0:
        return math.nan, flags
    interval_mm = float(np.median(gaps))
    if (gaps > GAP_FACTOR * interval_mm).any():
        flags.append("missing slices")
    return interval_mm, flags
