"""What was drawn for a measurement: SCOORD and SCOORD3D → points on one slice (PS3.3 C.18.6, C.18.9)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset
from pydicom.sr.coding import Code

from lesiongraph.lesion import Axis
from lesiongraph.mining import dicom_values as values
from lesiongraph.mining.dicom_scan import IMAGE_NOT_FOUND, DicomArchive
from lesiongraph.mining.dicom_series import ImageSeries
from lesiongraph.mining.marks import ImageRef
from lesiongraph.mining.mask import polygon_diameters
from lesiongraph.mining.sr_images import Surroundings, place_of, reference
from lesiongraph.mining.sr_tree import Item

SCOORD_ORIGIN_PX = 0.5  # PS3.3 C.18.6.1.1: the origin is the corner, not the centre, of the first pixel
LINES = ("POLYLINE", "MULTIPOINT")
OUTLINES = ("POLYLINE", "POLYGON", "CIRCLE", "ELLIPSE")
SAME_PLANE = 0.5  # ours: patient coordinates belong to a slice within this share of the slice interval
SAME_PLANE_MM = 1.0  # ours: the same where the interval is unknown, or smaller
CLOSED_PX = 0.5  # ours: a polyline that ends this near to its start (px or mm) encloses an area
DAMAGED = "damaged coordinates"
OFF_SLICES = "not in the plane of a slice"
NO_FRAME_OF_REFERENCE = "frame of reference not stated"
OPEN_POLYLINE = "open polyline"
_COUNTS = {"CIRCLE": 2, "ELLIPSE": 4}  # PS3.3 C.18.6.1.2
# Concepts of coordinates that outline an area, whether or not the last point repeats the first
_REGIONS = tuple(
    Code(value, "DCM", meaning)
    for value, meaning in (
        ("111030", "Image Region"),
        ("111041", "Outline"),
        ("121056", "Area outline"),
        ("121057", "Perimeter outline"),
        ("121231", "Volume Surface"),
    )
)
# Measured over an area: its outline is closed. Not a length (an open path has one) nor an angle.
_AREA_UNITS = ("mm2", "cm2", "m2", "mm3", "cm3", "ml", "[hnsf'u]")
# What a viewer keeps for itself: where its text stands, the handles of a spline
_NOT_MEASURED = (Code("ControlPoints", "99CS3D", ""), Code("TextPosition", "99CS3D", ""))
_TO_MM = {"mm": 1.0, "cm": 10.0, "um": 0.001, "m": 1000.0}


@dataclass(frozen=True, eq=False)
class Shape:
    """One drawing: points in array coordinates (N, 2) of the image it was drawn on."""

    kind: str  # POLYLINE, POLYGON, CIRCLE, ELLIPSE, POINT, MULTIPOINT …
    points: np.ndarray
    image_uid: str  # "" not stated, or no slice lies there
    frame: int
    place: str
    fault: str = ""  # why it cannot be placed or read, "" where it can
    flag: str = ""
    stated_mm: float = math.nan  # what the measurement drawn says
    closed: bool = True
    is_region: bool = False  # its concept says that it outlines a region

    @property
    def line(self) -> Axis | None:
        """The shape as a straight line, None where it is none."""
        if self.kind not in LINES or len(self.points) != 2:
            return None
        (x0, y0), (x1, y1) = self.points.tolist()
        return Axis(x0, y0, x1, y1)

    @property
    def is_outline(self) -> bool:
        """Whether the shape encloses an area."""
        return self.kind in OUTLINES and self.line is None and self.closed

    @property
    def is_open(self) -> bool:
        """Whether the shape is a bent line that encloses nothing: an angle, a path."""
        return self.kind in OUTLINES and self.line is None and not self.closed

    def outline_axes(self, image: ImageRef) -> tuple[Axis, Axis] | None:
        """Return both diameters of an outline, None where it encloses nothing."""
        points = self.points
        if self.kind == "CIRCLE":
            (x, y), (rim_x, rim_y) = points.tolist()
            radius = math.hypot(rim_x - x, rim_y - y)
            return Axis(x - radius, y, x + radius, y), Axis(x, y - radius, x, y + radius)
        if self.kind == "ELLIPSE":
            major, minor = points[:2].ravel().tolist(), points[2:].ravel().tolist()
            return Axis(*major), Axis(*minor)
        if len(points) < 3:
            return None
        mark = polygon_diameters(points, image.spacing)
        return mark.long_axis, mark.short_axis


def shapes_of(items: Sequence[Item], archive: DicomArchive, root: Dataset) -> list[Shape]:
    """Return the drawings among these items, each once; `root` is the document."""
    found: dict[str, Shape] = {}
    around = Surroundings(items, archive, root)
    stated = stated_lengths(items)
    areas = {below.place for item in items if _measures_area(item) for below in item.descendants()}
    for item in items:
        if item.value_type not in ("SCOORD", "SCOORD3D") or item.place in found:
            continue
        if item.concept in _NOT_MEASURED:
            continue
        shape = _on_image(item, around) if item.value_type == "SCOORD" else _in_patient(item, around)
        found[item.place] = dataclasses.replace(
            shape,
            stated_mm=stated.get(item.place, math.nan),
            closed=shape.closed or item.concept in _REGIONS or item.place in areas,
            is_region=item.concept in _REGIONS,
        )
    return list(found.values())


def stated_lengths(items: Sequence[Item]) -> dict[str, float]:
    """Return place of coordinates → length in mm that the measurement inferred from them alone states."""
    stated: dict[str, float] = {}
    for item in items:
        value, unit = item.measured() if item.value_type == "NUM" else (math.nan, "")
        below = {i.place for i in item.descendants() if i.value_type in ("SCOORD", "SCOORD3D")}
        if len(below) == 1 and unit in _TO_MM and math.isfinite(value):
            stated[below.pop()] = value * _TO_MM[unit]
    return stated


def _measures_area(item: Item) -> bool:
    return item.value_type == "NUM" and item.measured()[1].lower() in _AREA_UNITS


def _points(item: Item, dimensions: int) -> tuple[np.ndarray, str]:
    """Return the points (N, dimensions) and what is wrong with them."""
    kind = values.text(item.dataset, "GraphicType").upper()
    try:
        data = np.array(item.dataset.get("GraphicData") or [], float).ravel()
    except Exception:  # pydicom raises many kinds for a damaged number
        data = np.zeros(0)
    if len(data) == 0 or len(data) % dimensions or not np.isfinite(data).all():
        return np.zeros((0, dimensions)), DAMAGED
    points = data.reshape(-1, dimensions)
    return points, "" if _COUNTS.get(kind, len(points)) == len(points) else DAMAGED


def _closes(points: np.ndarray, kind: str) -> bool:
    return kind != "POLYLINE" or bool(np.linalg.norm(points[0] - points[-1]) <= CLOSED_PX)


def _on_image(item: Item, around: Surroundings) -> Shape:
    kind = values.text(item.dataset, "GraphicType").upper()
    points, fault = _points(item, 2)
    place = place_of(item, around)
    return Shape(
        kind,
        points - SCOORD_ORIGIN_PX,
        place.image_uid,
        place.frame,
        item.place,
        fault=fault or place.fault,
        flag=place.flag,
        closed=fault != "" or _closes(points, kind),
    )


def _in_patient(item: Item, around: Surroundings) -> Shape:
    """Put patient coordinates on the slice they lie in; of several series, the one the group names."""
    kind = values.text(item.dataset, "GraphicType").upper()
    points, fault = _points(item, 3)
    closed = fault != "" or _closes(points, kind)
    frame_uid = values.text(item.dataset, "ReferencedFrameOfReferenceUID")
    fault = fault or ("" if frame_uid else NO_FRAME_OF_REFERENCE)
    if not fault:
        fault = IMAGE_NOT_FOUND
        for one in _series(frame_uid, around):
            fault = OFF_SLICES
            image = _slice_of(one, points)
            if image is not None:
                flat = image.to_array(points)[:, :2]
                return Shape(kind, flat, image.sop_instance_uid, image.frame, item.place, closed=closed)
    return Shape(kind, points[:, :2], "", 0, item.place, fault=fault, closed=closed)


def _series(frame_uid: str, around: Surroundings) -> Iterator[ImageSeries]:
    """Give the series of a frame of reference, those that the group names first, then the fullest."""
    series = around.archive.series_in_frame(frame_uid)
    named = {
        values.text(reference(other), "ReferencedSOPInstanceUID")
        for other in around.items
        if other.value_type == "IMAGE"
    }
    named |= {values.text(other.dataset, "UID") for other in around.items if other.value_type == "UIDREF"}
    yield from sorted(series, key=lambda one: not _is_named(one, named))  # stable


def _is_named(series: ImageSeries, uids: set[str]) -> bool:
    return series.series_instance_uid in uids or any(i.sop_instance_uid in uids for i in series.images)


def _slice_of(series: ImageSeries, points: np.ndarray) -> ImageRef | None:
    """Return the slice from whose plane no point is farther than half the slice interval; None if none is."""
    if not all(math.isfinite(image.spacing_x_mm) for image in series.images):
        return None
    distances = [float(np.abs(image.to_array(points)[:, 2]).max()) for image in series.images]
    best = int(np.argmin(np.nan_to_num(distances, nan=np.inf)))
    reach = SAME_PLANE * series.slice_interval_mm if math.isfinite(series.slice_interval_mm) else 0.0
    return series.images[best] if distances[best] <= max(reach, SAME_PLANE_MM) else None
