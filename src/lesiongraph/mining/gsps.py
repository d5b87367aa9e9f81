"""Grayscale softcopy presentation states → marks: pairs of crossing lines (PS3.3 C.10.5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset

from lesiongraph.lesion import Axis, BoundingBox
from lesiongraph.mining import dicom_values as values
from lesiongraph.mining.dicom_scan import DicomArchive
from lesiongraph.mining.marks import About, FoundMark, ImageRef, RejectedMark, place_axes
from lesiongraph.mining.pairing import find_ticks, pair_lines
from lesiongraph.mining.sites import type_of_text

PIXEL_ORIGIN_PX = 0.5  # PS3.3 C.10.5.1.2: the origin is the corner, not the centre, of the first pixel
GRAPHIC_TYPES = ("POINT", "POLYLINE", "INTERPOLATED", "CIRCLE", "ELLIPSE")  # PS3.3 C.10.5.1.1
TEXT_REACH_PX = 80.0  # ours: a type name further than this from the lines belongs to something else

ImageKey = tuple[str, int]  # SOP Instance UID, 0-based frame


@dataclass(frozen=True)
class Graphic:
    """One graphic object: points in array coordinates (N, 2)."""

    kind: str
    points: np.ndarray
    place: str  # "annotation.graphic", 1-based
    annotation: int
    tracking_uid: str

    @property
    def line(self) -> Axis | None:
        """The graphic as a straight line, None where it is none."""
        if self.kind != "POLYLINE" or len(self.points) != 2:
            return None
        (x0, y0), (x1, y1) = self.points.tolist()
        return Axis(x0, y0, x1, y1)


@dataclass(frozen=True)
class TypeName:
    """A text that names a lesion type, and where it stands (array coordinates)."""

    type: str
    x: float
    y: float
    annotation: int


def read_gsps(dataset: Dataset, archive: DicomArchive) -> list[FoundMark | RejectedMark]:
    """Return the pairs of lines of a presentation state, and everything else drawn, rejected."""
    graphics: dict[ImageKey, list[Graphic]] = {}
    names: dict[ImageKey, list[TypeName]] = {}
    marks: list[FoundMark | RejectedMark] = []
    for number, annotation in enumerate(dataset.get("GraphicAnnotationSequence") or [], 1):
        drawn = list(annotation.get("GraphicObjectSequence") or [])
        keys = _images_of(annotation, dataset)
        if len(keys) != 1:
            reason = "image not stated" if not keys else "several images stated"
            marks += [_reject(reason, f"{number}.{i}") for i in range(1, len(drawn) + 1)]
            continue
        image = archive.image(*keys[0])
        if image is None:
            reason, uid = archive.why_absent(keys[0][0]), keys[0][0]
            marks += [_reject(reason, f"{number}.{i}", uid=uid) for i in range(1, len(drawn) + 1)]
            continue
        frame = _DisplayedArea.of(dataset, keys[0], image)
        graphics.setdefault(keys[0], []).extend(_graphics(drawn, number, frame))
        names.setdefault(keys[0], []).extend(_type_names(annotation, number, frame))
    placed = [(image, graphics[key], names[key]) for key in graphics if (image := archive.image(*key))]
    tick_lengths_px: list[float] = []
    for image, found, _ in placed:
        lines = [line for graphic in found if (line := graphic.line) is not None]
        tick_lengths_px += [lines[i].length_px for i in find_ticks(lines, image)]
    for image, found, texts in placed:
        marks += _marks_on(image, found, texts, tick_lengths_px)
    return marks


def _marks_on(
    image: ImageRef, graphics: list[Graphic], names: list[TypeName], tick_lengths_px: list[float]
) -> list[FoundMark | RejectedMark]:
    drawn = [(graphic, line) for graphic in graphics if (line := graphic.line) is not None]
    others = [graphic for graphic in graphics if graphic.line is None]
    lines = [line for _, line in drawn]
    pairing = pair_lines(lines, image, tick_lengths_px)
    pairs = [(drawn[i][0], drawn[j][0]) for i, j in pairing.pairs]
    types = _types_of_pairs(pairs, names)
    marks: list[FoundMark | RejectedMark] = []
    for (i, j), (first, second), name in zip(pairing.pairs, pairs, types, strict=True):
        about: About = {
            "source": "GSPS",
            "source_item": f"{first.place}+{second.place}",
            "type": name,
            "tracking_uid": first.tracking_uid or second.tracking_uid,
        }
        marks.append(place_axes(lines[i], lines[j], image, **about))
    marks += [_reject("tick line", drawn[i][0].place, image=image) for i in pairing.ticks]
    for i in pairing.single:
        short = lines[i].length_px < 0.5
        marks.append(_reject("zero length" if short else "single line", drawn[i][0].place, image=image))
    marks += [_reject(f"not a line ({other.kind.lower()})", other.place, image=image) for other in others]
    return marks


def _reject(reason: str, place: str, *, uid: str = "", image: ImageRef | None = None) -> RejectedMark:
    return RejectedMark(
        reason=reason,
        source="GSPS",
        source_item=place,
        sop_instance_uid=image.sop_instance_uid if image is not None else uid,
        image=image,
    )


def _images_of(annotation: Dataset, dataset: Dataset) -> list[ImageKey]:
    """Return the images an annotation applies to; without a list of its own, those of the whole state."""
    own = annotation.get("ReferencedImageSequence")
    if own:
        return sorted({key for item in own for key in _keys(item)})
    series = dataset.get("ReferencedSeriesSequence") or []
    return sorted(
        {key for one in series for item in one.get("ReferencedImageSequence") or [] for key in _keys(item)}
    )


def _keys(item: Dataset) -> Iterator[ImageKey]:
    uid = values.text(item, "ReferencedSOPInstanceUID")
    frames = item.get("ReferencedFrameNumber")
    for frame in [1] if frames is None else np.atleast_1d(frames):
        yield uid, int(frame) - 1


def _graphics(drawn: list[Dataset], number: int, frame: _DisplayedArea) -> Iterator[Graphic]:
    for index, graphic in enumerate(drawn, 1):
        data = np.array(graphic.get("GraphicData") or [], float)
        points = data[: len(data) // 2 * 2].reshape(-1, 2)
        kind = values.text(graphic, "GraphicType").upper()
        yield Graphic(
            kind=kind if kind in GRAPHIC_TYPES else "unknown",
            points=frame.to_array(points, values.text(graphic, "GraphicAnnotationUnits")),
            place=f"{number}.{index}",
            annotation=number,
            tracking_uid=values.text(graphic, "TrackingUID"),
        )


def _type_names(annotation: Dataset, number: int, frame: _DisplayedArea) -> Iterator[TypeName]:
    for item in annotation.get("TextObjectSequence") or []:
        name = type_of_text(values.text(item, "UnformattedTextValue"))
        if not name:
            continue
        anchor = values.numbers(item, "AnchorPoint", 2)
        units = values.text(item, "AnchorPointAnnotationUnits")
        if not np.isfinite(anchor).all():
            corner = values.numbers(item, "BoundingBoxTopLeftHandCorner", 2)
            opposite = values.numbers(item, "BoundingBoxBottomRightHandCorner", 2)
            anchor = ((corner[0] + opposite[0]) / 2, (corner[1] + opposite[1]) / 2)
            units = values.text(item, "BoundingBoxAnnotationUnits")
        x, y = frame.to_array(np.array([anchor]), units)[0].tolist()
        yield TypeName(name, x, y, number)


def _types_of_pairs(pairs: list[tuple[Graphic, Graphic]], names: list[TypeName]) -> list[str]:
    """Give each type name to one pair: of its own annotation if there is one, else the nearest."""
    types = [""] * len(pairs)
    for name in names:
        own = [i for i, pair in enumerate(pairs) if name.annotation in (g.annotation for g in pair)]
        reach = {i: _distance(pairs[i], name) for i in own or range(len(pairs))}
        if not own:
            reach = {i: distance for i, distance in reach.items() if distance <= TEXT_REACH_PX}
        if reach:
            nearest = min(reach, key=lambda i: (reach[i], i))
            types[nearest] = types[nearest] or name.type
    return types


def _distance(pair: tuple[Graphic, Graphic], name: TypeName) -> float:
    """Return the distance (px) of a text from the box round a pair; 0 inside, NaN-free."""
    points = np.concatenate([graphic.points for graphic in pair])
    box = BoundingBox(*points.min(axis=0).tolist(), *points.max(axis=0).tolist())
    dx = max(box.x0 - name.x, 0.0, name.x - box.x1)
    dy = max(box.y0 - name.y, 0.0, name.y - box.y1)
    distance = float(np.hypot(dx, dy))
    return distance if np.isfinite(distance) else 0.0


@dataclass(frozen=True)
class _DisplayedArea:
    """The part of the image shown, needed for units DISPLAY (PS3.3 C.10.4).

    `left`, `top`, `right`, `bottom` are the outer edges in array coordinates, as seen after rotation and
    flip: on a mirrored image `left` is larger than `right`.
    """

    left: float
    top: float
    right: float
    bottom: float
    turned: bool  # rotated by 90° or 270°: across the screen is down the image

    @classmethod
    def of(cls, dataset: Dataset, key: ImageKey, image: ImageRef) -> _DisplayedArea:
        turned = values.whole(dataset, "ImageRotation", 0) in (90, 270)
        first, last = _corners(dataset, key) or ((1.0, 1.0), (float(image.columns), float(image.rows)))
        left, right = _outer_edges(first[0], last[0])
        top, bottom = _outer_edges(first[1], last[1])
        return cls(left, top, right, bottom, turned)

    def to_array(self, points: np.ndarray, units: str) -> np.ndarray:
        """Return points (N, 2) of the given annotation units in array coordinates (N, 2)."""
        if units.upper() != "DISPLAY":  # PIXEL, or MATRIX (the whole matrix of a tiled image)
            return points - PIXEL_ORIGIN_PX
        across = points[:, ::-1] if self.turned else points
        start = np.array([self.left, self.top])
        placed: np.ndarray = start + across * (np.array([self.right, self.bottom]) - start)
        return placed


def _corners(dataset: Dataset, key: ImageKey) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Return the displayed area's corners (column, row), 1-based, of the item that holds for the image."""
    for item in dataset.get("DisplayedAreaSelectionSequence") or []:
        referenced = {key[0] for entry in item.get("ReferencedImageSequence") or [] for key in _keys(entry)}
        if referenced and key[0] not in referenced:
            continue
        first = values.numbers(item, "DisplayedAreaTopLeftHandCorner", 2)
        last = values.numbers(item, "DisplayedAreaBottomRightHandCorner", 2)
        if np.isfinite([*first, *last]).all():
            return first, last
    return None


def _outer_edges(first: float, last: float) -> tuple[float, float]:
    """Return the outer edges (array coordinates) of the pixels numbered `first` to `last` from 1."""
    step = 0.5 if last >= first else -0.5
    return first - 1 - step, last - 1 + step
