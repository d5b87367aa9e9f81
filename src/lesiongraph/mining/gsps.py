"""Grayscale softcopy presentation states → marks: pairs of crossing lines (PS3.3 C.10.5)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from pydicom import Dataset

from lesiongraph.lesion import Axis
from lesiongraph.mining import dicom_values as values
from lesiongraph.mining.dicom_scan import DicomArchive
from lesiongraph.mining.gsps_text import TEXT_REACH_PX, Drawn, Words, distance_px, target_of, words_of
from lesiongraph.mining.gsps_units import DisplayedArea, ImageKey, UnitsError, keys_of
from lesiongraph.mining.marks import About, FoundMark, ImageRef, RejectedMark, place_axes
from lesiongraph.mining.pairing import find_ticks, longer_first, pair_lines
from lesiongraph.mining.stated_size import STATED_DIFFERS, fits

GRAPHIC_TYPES = ("POINT", "POLYLINE", "INTERPOLATED", "CIRCLE", "ELLIPSE")  # PS3.3 C.10.5.1.1
MEASURING_COMPOUNDS = ("RULER", "MULTILINE")  # PS3.3 C.10.5.1.3; a line of another one measures nothing
# ours: what a pair of another layer, group or tracking id, or of another size than the text says, costs
# beside its geometry (1 = the whole tolerance of the angle); the same id or size counts as much for it
APART_COST = 1.0
ANNOTATION_COST = 0.1  # ours: settles ties in favour of lines that were filed together


@dataclass(frozen=True)
class Graphic:
    """One graphic object: points in array coordinates (N, 2)."""

    kind: str
    points: np.ndarray
    place: str  # "annotation.graphic", 1-based
    annotation: int
    layer: str
    group: str
    tracking_uid: str
    fault: str = ""  # why its points cannot be used

    @property
    def line(self) -> Axis | None:
        """The graphic as a straight line, None where it is none."""
        if self.fault or self.kind not in ("POLYLINE", "INTERPOLATED") or len(self.points) != 2:
            return None
        (x0, y0), (x1, y1) = self.points.tolist()
        return Axis(x0, y0, x1, y1)


@dataclass
class _Slide:
    """What is drawn and written on one image."""

    image: ImageRef
    graphics: list[Graphic] = field(default_factory=list)
    words: list[Words] = field(default_factory=list)

    @property
    def lines(self) -> list[tuple[Graphic, Axis]]:
        return [(graphic, line) for graphic in self.graphics if (line := graphic.line) is not None]


def read_gsps(dataset: Dataset, archive: DicomArchive) -> list[FoundMark | RejectedMark]:
    """Return the pairs of lines of a presentation state, and everything else drawn, rejected."""
    slides: dict[ImageKey, _Slide] = {}
    marks: list[FoundMark | RejectedMark] = []
    for number, annotation in enumerate(dataset.get("GraphicAnnotationSequence") or [], 1):
        drawn = _drawings(annotation)
        keys = _images_of(annotation, dataset, archive)
        image = archive.image(*keys[0]) if len(keys) == 1 else None
        if image is None:
            reason, uid = _why_no_image(keys, archive)
            marks += [_reject(reason, f"{number}.{i}", uid=uid) for i in range(1, len(drawn) + 1)]
            continue
        area = DisplayedArea.of(dataset, keys[0])
        slide = slides.setdefault(keys[0], _Slide(image))
        slide.graphics += _graphics(drawn, annotation, number, area)
        slide.words += words_of(annotation, number, area)
    tick_lengths_px: list[float] = []
    for slide in slides.values():
        lines = [line for _, line in slide.lines]
        tick_lengths_px += [lines[i].length_px for i in find_ticks(lines, slide.image)]
    for slide in slides.values():
        marks += _marks_on(slide, tick_lengths_px)
    return marks


def _why_no_image(keys: Sequence[ImageKey], archive: DicomArchive) -> tuple[str, str]:
    if len(keys) == 1:
        return archive.why_absent(keys[0][0]), keys[0][0]
    return ("several images stated" if keys else "image not stated"), ""


def _marks_on(slide: _Slide, tick_lengths_px: list[float]) -> list[FoundMark | RejectedMark]:
    graphics, lines = [graphic for graphic, _ in slide.lines], [line for _, line in slide.lines]
    pairing = pair_lines(lines, slide.image, tick_lengths_px, _Apart(slide))
    pairs = [(graphics[i], graphics[j]) for i, j in pairing.pairs]
    targets = [_drawn(pair, slide.image) for pair in [*pairs, *((graphics[i],) for i in pairing.single)]]
    spoken = [(words, target_of(words, targets)) for words in slide.words]
    marks: list[FoundMark | RejectedMark] = []
    for number, ((i, j), (first, second)) in enumerate(zip(pairing.pairs, pairs, strict=True)):
        own = [words for words, target in spoken if target == number]
        about: About = {
            "source": "GSPS",
            "source_item": f"{first.place}+{second.place}",
            "type": next((words.type for words in own if words.type), ""),
            "tracking_uid": first.tracking_uid or second.tracking_uid,
        }
        placed = place_axes(*longer_first(lines[i], lines[j], slide.image), slide.image, **about)
        marks.append(_compared(placed, own, targets[number]))
    marks += [_reject("tick line", graphics[i].place, image=slide.image) for i in pairing.ticks]
    for i in pairing.single:
        short = lines[i].length_px < 0.5
        marks.append(_reject("zero length" if short else "single line", graphics[i].place, image=slide.image))
    marks += [_reject("too many lines", graphics[i].place, image=slide.image) for i in pairing.too_many]
    for other in slide.graphics:
        if other.line is None:
            reason = other.fault or f"not a line ({other.kind.lower()})"
            marks.append(_reject(reason, other.place, image=slide.image))
    if not slide.graphics:
        sizes = [words for words in slide.words if words.sizes_mm]
        marks += [_reject("size stated, nothing drawn", f"{w.annotation}", image=slide.image) for w in sizes]
    return marks


def _compared(mark: FoundMark | RejectedMark, words: list[Words], drawn: Drawn) -> FoundMark | RejectedMark:
    """Flag a mark beside which another size is written than is drawn."""
    if not isinstance(mark, FoundMark) or not all(math.isfinite(mm) for mm in drawn.lengths_mm):
        return mark
    if all(fits(one.sizes_mm, drawn.lengths_mm) for one in words if one.sizes_mm):
        return mark
    return dataclasses.replace(mark, flags=(*mark.flags, STATED_DIFFERS))


def _drawn(graphics: Sequence[Graphic], image: ImageRef) -> Drawn:
    lines = [line for graphic in graphics if (line := graphic.line) is not None]
    return Drawn(
        points=np.concatenate([graphic.points for graphic in graphics]),
        lengths_mm=tuple(line.length_mm(image.spacing) for line in lines),
        annotations=tuple(graphic.annotation for graphic in graphics),
    )


class _Apart:
    """What beside the geometry speaks against two lines being one lesion's diameters; below 0, for it."""

    def __init__(self, slide: _Slide) -> None:
        self._graphics = [graphic for graphic, _ in slide.lines]
        self._image = slide.image
        self._sizes = [words for words in slide.words if len(words.sizes_mm) > 1]

    def __call__(self, i: int, j: int) -> float:
        first, second = self._graphics[i], self._graphics[j]
        cost = 0.0 if first.annotation == second.annotation else ANNOTATION_COST
        if first.layer != second.layer:
            cost += APART_COST
        for one, other in ((first.group, second.group), (first.tracking_uid, second.tracking_uid)):
            if one and other:
                cost += -APART_COST if one == other else APART_COST
        if self._sizes:
            cost += -APART_COST if self._is_stated(first, second) else APART_COST
        return cost

    def _is_stated(self, first: Graphic, second: Graphic) -> bool:
        pair = _drawn((first, second), self._image)
        return any(
            (words.annotation in pair.annotations or distance_px(pair.points, words) <= TEXT_REACH_PX)
            and fits(words.sizes_mm, pair.lengths_mm)
            for words in self._sizes
        )


def _reject(reason: str, place: str, *, uid: str = "", image: ImageRef | None = None) -> RejectedMark:
    return RejectedMark(
        reason=reason,
        source="GSPS",
        source_item=place,
        sop_instance_uid=image.sop_instance_uid if image is not None else uid,
        image=image,
    )


def _images_of(annotation: Dataset, dataset: Dataset, archive: DicomArchive) -> list[ImageKey]:
    """Return the images an annotation applies to; without a list of its own, those of the whole state."""
    entries = list(annotation.get("ReferencedImageSequence") or [])
    if not entries:
        series = dataset.get("ReferencedSeriesSequence") or []
        entries = [item for one in series for item in one.get("ReferencedImageSequence") or []]
    keys = {key for item in entries for key in keys_of(item)}
    for item in entries:  # no frame named: all frames of a multi-frame image are meant
        uid = values.text(item, "ReferencedSOPInstanceUID")
        if item.get("ReferencedFrameNumber") is None and archive.image(uid, 1) is not None:
            keys.add((uid, 1))
    return sorted(keys)


def _drawings(annotation: Dataset) -> list[Dataset]:
    """Return the graphic objects, and the compound graphics that no graphic object repeats."""
    simple = list(annotation.get("GraphicObjectSequence") or [])
    repeated = {values.whole(item, "CompoundGraphicInstanceID") for item in simple} - {-1}
    compounds = annotation.get("CompoundGraphicSequence") or []
    return simple + [one for one in compounds if _instance(one) not in repeated]


def _instance(item: Dataset) -> int:
    return values.whole(item, "CompoundGraphicInstanceID")


def _graphics(
    drawn: list[Dataset], annotation: Dataset, number: int, area: DisplayedArea
) -> Iterator[Graphic]:
    compounds = {
        _instance(one): values.text(one, "CompoundGraphicType").upper()
        for one in annotation.get("CompoundGraphicSequence") or []
    }
    for index, item in enumerate(drawn, 1):
        compound = values.text(item, "CompoundGraphicType").upper() or compounds.get(_instance(item), "")
        units = values.text(item, "GraphicAnnotationUnits") or values.text(item, "CompoundGraphicUnits")
        points, fault = _points(item, area, units)
        group = values.whole(item, "GraphicGroupID")
        yield Graphic(
            kind=_kind(item, compound),
            points=points,
            place=f"{number}.{index}",
            annotation=number,
            layer=values.text(annotation, "GraphicLayer").upper(),
            group="" if group < 0 else str(group),
            tracking_uid=values.text(item, "TrackingUID"),
            fault=fault,
        )


def _kind(item: Dataset, compound: str) -> str:
    if compound and compound not in MEASURING_COMPOUNDS:
        return compound
    kind = values.text(item, "GraphicType").upper() or ("POLYLINE" if compound else "")
    return kind if kind in GRAPHIC_TYPES else "unknown"


def _points(item: Dataset, area: DisplayedArea, units: str) -> tuple[np.ndarray, str]:
    """Return a graphic's points in array coordinates and why they cannot be used, "" where they can."""
    data = np.array(item.get("GraphicData") or [], float)
    if len(data) % 2 or values.whole(item, "GraphicDimensions", 2) != 2:
        return np.zeros((0, 2)), "damaged coordinates"
    stated = values.whole(item, "NumberOfGraphicPoints")
    if stated >= 0 and stated != len(data) // 2:
        return np.zeros((0, 2)), "damaged coordinates"
    try:
        return area.to_array(data.reshape(-1, 2), units), ""
    except UnitsError as error:
        return np.zeros((0, 2)), str(error)
