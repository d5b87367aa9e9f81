"""What a source holds: marks found, marks rejected, organ landmarks, and the images they refer to.

The readers of the single kinds of object (SR, GSPS, RTSTRUCT, SEG, masks) all give these; `assemble`
turns them into catalogue rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Required, TypedDict, Unpack

import numpy as np

from lesiongraph.lesion import Axis, BoundingBox, RecistMark, Spacing
from lesiongraph.mining import rules
from lesiongraph.mining.own_reports import OwnMark
from lesiongraph.recipe import ImagingRecipe

BOX_PADDING_PX = ImagingRecipe().box_padding_px
PERPENDICULAR_TOLERANCE_DEG = rules.PERPENDICULAR_TOLERANCE_DEG  # pairing needs it beside the geometry


@dataclass(frozen=True)
class ImageRef:
    """One image (a slice) of the archive and where it lies in the patient.

    Attributes
    ----------
    slice_index : int
        Row of SLICES within the series, 0 = nearest the head.
    position_mm : float
        Along head → foot; NaN unknown.
    origin_mm : tuple of 3 floats
        Centre of the first stored pixel in patient coordinates (Image Position (Patient)); NaN unknown.
    column_step, row_step : tuple of 3 floats
        Unit vectors in patient coordinates along which x (columns) and y (rows) grow.
    """

    sop_instance_uid: str
    series_instance_uid: str
    slice_index: int
    path: str
    frame: int
    columns: int
    rows: int
    spacing_x_mm: float
    spacing_y_mm: float
    position_mm: float = math.nan
    origin_mm: tuple[float, float, float] = (math.nan, math.nan, math.nan)
    column_step: tuple[float, float, float] = (1.0, 0.0, 0.0)
    row_step: tuple[float, float, float] = (0.0, 1.0, 0.0)
    instance_number: int = -1
    study_instance_uid: str = ""
    patient_id: str = ""
    study_date: str = ""
    frame_of_reference_uid: str = ""

    @property
    def spacing(self) -> Spacing:
        """In-plane spacing; `z_mm` is NaN, since one image does not know it."""
        return Spacing(math.nan, self.spacing_y_mm, self.spacing_x_mm)

    def to_array(self, points_mm: np.ndarray) -> np.ndarray:
        """Return patient coordinates (N, 3) mm as array coordinates (N, 3): x px, y px, distance mm.

        The third value is the signed distance of the point from the image's plane.
        Source: DICOM PS3.3 C.7.6.2.1.1.
        """
        offsets = np.asarray(points_mm, float).reshape(-1, 3) - np.asarray(self.origin_mm)
        column_step, row_step = np.asarray(self.column_step), np.asarray(self.row_step)
        normal = np.cross(column_step, row_step)
        return np.stack(
            [
                offsets @ column_step / self.spacing_x_mm,
                offsets @ row_step / self.spacing_y_mm,
                offsets @ normal,
            ],
            axis=1,
        )


@dataclass(frozen=True)
class FoundMark:
    """One measurement in one image: it becomes a kept row of the catalogue.

    `mark` is None where the source gives a box only. Axes and box are array coordinates of the stored image.
    """

    mark: RecistMark | None
    box: BoundingBox
    image: ImageRef
    source: str  # SR | GSPS | RTSTRUCT | SEG | mask | box | DeepLesion
    source_item: str  # which mark inside that object
    type: str = ""
    finding: str = ""
    finding_site: str = ""
    tracking_uid: str = ""
    own: OwnMark | None = None  # of a report of ours: which mark it repeats
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class RejectedMark:
    """A mark, or a whole object, that cannot be used, with the reason; it becomes a rejected row."""

    reason: str
    source: str
    source_item: str
    sop_instance_uid: str = ""
    mark: RecistMark | None = None
    image: ImageRef | None = None
    type: str = ""
    finding: str = ""
    finding_site: str = ""
    tracking_uid: str = ""
    own: OwnMark | None = None


@dataclass(frozen=True)
class Landmark:
    """An organ's extent along a series, in slice indices (0 = nearest the head)."""

    series_instance_uid: str
    name: str
    top_index: float
    bottom_index: float
    centre_index: float


@dataclass(frozen=True)
class SourceObject:
    """A DICOM object (or table row) that holds marks: who it is about and where it lies.

    `key` makes lesion ids: the SOP Instance UID, or anything else that does not depend on the path.
    """

    key: str
    path: str
    modality: str = ""
    sop_class_uid: str = ""
    patient_id: str = ""
    study_instance_uid: str = ""
    study_date: str = ""
    patient_sex: str = ""
    patient_age: float = math.nan
    notes: tuple[str, ...] = field(default=())


class About(TypedDict, total=False):
    """What is known of a mark beside its place: fields that `FoundMark` and `RejectedMark` share."""

    source: Required[str]
    source_item: Required[str]
    type: str
    finding: str
    finding_site: str
    tracking_uid: str


def place_axes(
    first: Axis,
    second: Axis,
    image: ImageRef,
    **about: Unpack[About],
) -> FoundMark | RejectedMark:
    """Check two axes on their image and return the mark, or why it cannot be used.

    Parameters
    ----------
    first, second : Axis
        The stated long and short axis, array coordinates of the stored image.
    image : ImageRef
    **about : About
    """
    flags: list[str] = []
    if _length_mm(first, image) < _length_mm(second, image):
        first, second = second, first
        flags.append(rules.SHORT_LONGER.flag)
    mark = RecistMark(first, second)
    reason = _fault(mark, image)
    if reason:
        return RejectedMark(
            reason=reason, sop_instance_uid=image.sop_instance_uid, mark=mark, image=image, **about
        )
    if not axes_cross(first, second):
        flags.append(rules.NOT_CROSSING.flag)
    if abs(90 - angle_between_deg(first, second, image)) > PERPENDICULAR_TOLERANCE_DEG:
        flags.append(rules.ANGLE.flag)
    return FoundMark(
        mark=mark, box=mark.bounding_box(BOX_PADDING_PX), image=image, flags=tuple(flags), **about
    )


def angle_between_deg(first: Axis, second: Axis, image: ImageRef | None = None) -> float:
    """Angle between two axes in degrees, 0–90, measured in mm where the image's spacing is known."""
    scale_x, scale_y = 1.0, 1.0
    if image is not None and _known(image.spacing_x_mm) and _known(image.spacing_y_mm):
        scale_x, scale_y = image.spacing_x_mm, image.spacing_y_mm
    ux, uy = (first.x1 - first.x0) * scale_x, (first.y1 - first.y0) * scale_y
    vx, vy = (second.x1 - second.x0) * scale_x, (second.y1 - second.y0) * scale_y
    return math.degrees(math.atan2(abs(ux * vy - uy * vx), abs(ux * vx + uy * vy)))


def axes_cross(first: Axis, second: Axis, tolerance: float = rules.CROSSING_TOLERANCE) -> bool:
    """Whether two axes cross, each allowed to be longer by `tolerance` of its length at either end."""
    return shortfall(first, second) <= tolerance


def shortfall(first: Axis, second: Axis) -> float:
    """By which share of its length an axis ends short of the other; 0 where they cross, ∞ if parallel."""
    where = crossing(first, second)
    return math.inf if where is None else max(0.0, *(max(-t, t - 1) for t in where))


def crossing(first: Axis, second: Axis) -> tuple[float, float] | None:
    """Where the two lines cross, as a share (0–1) of the first and of the second; None if parallel."""
    ux, uy = first.x1 - first.x0, first.y1 - first.y0
    vx, vy = second.x1 - second.x0, second.y1 - second.y0
    cross = ux * vy - uy * vx
    if abs(cross) < 1e-9:
        return None
    dx, dy = second.x0 - first.x0, second.y0 - first.y0
    return (dx * vy - dy * vx) / cross, (dx * uy - dy * ux) / cross


def _known(spacing_mm: float) -> bool:
    return math.isfinite(spacing_mm) and spacing_mm > 0


def _length_mm(axis: Axis, image: ImageRef) -> float:
    if _known(image.spacing_x_mm) and _known(image.spacing_y_mm):
        return axis.length_mm(image.spacing)
    return axis.length_px


def _fault(mark: RecistMark, image: ImageRef) -> str:
    axes = (mark.long_axis, mark.short_axis)
    if not all(math.isfinite(value) for axis in axes for value in (axis.x0, axis.y0, axis.x1, axis.y1)):
        return rules.NOT_A_NUMBER.reason
    if any(axis.length_px < rules.ZERO_LENGTH_PX for axis in axes):
        return rules.ZERO_LENGTH.reason
    if not mark.bounding_box(0.0).is_inside(image.columns, image.rows):
        return rules.OFF_IMAGE.reason
    if angle_between_deg(*axes, image) < rules.LEAST_ANGLE_DEG:
        return rules.ANGLE.reason
    if shortfall(*axes) > rules.APART:
        return rules.NOT_CROSSING.reason
    return rules.length_fault(mark.long_axis.length_mm(image.spacing))
