"""What was drawn for a measurement: SCOORD and SCOORD3D → points on one slice (PS3.3 C.18.6, C.18.9)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lesiongraph.lesion import Axis
from lesiongraph.mining import dicom_values as values
from lesiongraph.mining.dicom_scan import IMAGE_NOT_FOUND, DicomArchive
from lesiongraph.mining.dicom_series import ImageSeries
from lesiongraph.mining.marks import ImageRef
from lesiongraph.mining.mask import polygon_diameters
from lesiongraph.mining.sr_tree import Item

SCOORD_ORIGIN_PX = 0.5  # PS3.3 C.18.6.1.1: the origin is the corner, not the centre, of the first pixel
LINES = ("POLYLINE", "MULTIPOINT")
OUTLINES = ("POLYLINE", "POLYGON", "CIRCLE", "ELLIPSE")
SAME_PLANE = 0.5  # ours: patient coordinates belong to a slice within this share of the slice interval
SAME_PLANE_MM = 1.0  # ours: the same where the interval is unknown, or smaller


@dataclass(frozen=True)
class Shape:
    """One drawing: points in array coordinates (N, 2) of the image it was drawn on."""

    kind: str  # POLYLINE, POLYGON, CIRCLE, ELLIPSE, POINT, MULTIPOINT …
    points: np.ndarray
    image_uid: str  # "" not stated, or no slice lies there
    frame: int
    place: str
    absent: str = "image not stated"  # why there is no image, where `image_uid` is ""

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
        return self.kind in OUTLINES and self.line is None

    def outline_axes(self, image: ImageRef) -> tuple[Axis, Axis] | None:
        """Return both diameters of an outline, None where it encloses nothing."""
        points = self.points
        if self.kind == "CIRCLE" and len(points) == 2:
            (x, y), (rim_x, rim_y) = points.tolist()
            radius = math.hypot(rim_x - x, rim_y - y)
            return Axis(x - radius, y, x + radius, y), Axis(x, y - radius, x, y + radius)
        if self.kind == "ELLIPSE" and len(points) == 4:
            major, minor = points[:2].ravel().tolist(), points[2:].ravel().tolist()
            return Axis(*major), Axis(*minor)
        if len(points) < 3:
            return None
        mark = polygon_diameters(points, image.spacing)
        return mark.long_axis, mark.short_axis


def shapes_of(items: Sequence[Item], archive: DicomArchive) -> list[Shape]:
    """Return the drawings among these items, each once."""
    found: dict[str, Shape] = {}
    for item in items:
        if item.place in found:
            continue
        if item.value_type == "SCOORD":
            found[item.place] = _on_image(item, items)
        elif item.value_type == "SCOORD3D" and "ReferencedFrameOfReferenceUID" in item.dataset:
            found[item.place] = _in_patient(item, items, archive)
    return list(found.values())


def _points(item: Item, dimensions: int) -> np.ndarray:
    data = np.array(item.dataset.get("GraphicData") or [], float)
    return data[: len(data) // dimensions * dimensions].reshape(-1, dimensions)


def _on_image(item: Item, around: Sequence[Item]) -> Shape:
    images = [child for child in item.children if child.value_type == "IMAGE"]
    if not images:  # some writers name the image once, beside the measurement
        nearby = [other for other in around if other.value_type == "IMAGE"]
        images = nearby if len({_reference(other) for other in nearby}) == 1 else []
    uid, frame = _reference(images[0]) if images else ("", 0)
    points = _points(item, 2) - SCOORD_ORIGIN_PX
    return Shape(values.text(item.dataset, "GraphicType").upper(), points, uid, frame, item.place)


def _reference(image: Item) -> tuple[str, int]:
    """Return the SOP Instance UID and 0-based frame that an IMAGE item names."""
    sequence = image.dataset.get("ReferencedSOPSequence")
    if not sequence:
        return "", 0
    frame = values.whole(sequence[0], "ReferencedFrameNumber", 1)
    return values.text(sequence[0], "ReferencedSOPInstanceUID"), max(frame, 1) - 1


def _in_patient(item: Item, around: Sequence[Item], archive: DicomArchive) -> Shape:
    """Put patient coordinates on the slice they lie in; of several series, the one the group names."""
    kind = values.text(item.dataset, "GraphicType").upper()
    points = _points(item, 3)
    series = archive.series_in_frame(values.text(item.dataset, "ReferencedFrameOfReferenceUID"))
    named = {_reference(other)[0] for other in around if other.value_type == "IMAGE"}
    named |= {values.text(other.dataset, "UID") for other in around if other.value_type == "UIDREF"}
    series.sort(key=lambda one: not _is_named(one, named))  # stable: the fullest stays first
    for one in series:
        image, distance_mm = _nearest(one, points)
        reach = SAME_PLANE * one.slice_interval_mm if math.isfinite(one.slice_interval_mm) else 0.0
        if image is not None and distance_mm <= max(reach, SAME_PLANE_MM):
            flat = image.to_array(points)[:, :2]
            return Shape(kind, flat, image.sop_instance_uid, image.frame, item.place)
    reason = "not in the plane of a slice" if series else IMAGE_NOT_FOUND
    return Shape(kind, points[:, :2], "", 0, item.place, reason)


def _is_named(series: ImageSeries, uids: set[str]) -> bool:
    return series.series_instance_uid in uids or any(i.sop_instance_uid in uids for i in series.images)


def _nearest(series: ImageSeries, points: np.ndarray) -> tuple[ImageRef | None, float]:
    """Return the slice from which the farthest of the points is least far, and that distance (mm)."""
    if len(points) == 0 or not all(math.isfinite(image.spacing_x_mm) for image in series.images):
        return None, math.inf
    distances = [float(np.abs(image.to_array(points)[:, 2]).max()) for image in series.images]
    best = int(np.argmin(distances))
    return series.images[best], distances[best] if math.isfinite(distances[best]) else math.inf
