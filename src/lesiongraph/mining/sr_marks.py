"""Drawings of an SR → marks: named axes placed, loose lines paired, outlines measured, the rest rejected."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

from lesiongraph.lesion import Axis
from lesiongraph.mining.dicom_scan import DicomArchive
from lesiongraph.mining.marks import About, FoundMark, ImageRef, RejectedMark, place_axes
from lesiongraph.mining.pairing import Affinity, longer_first, pair_lines
from lesiongraph.mining.sr_segments import SegmentRef
from lesiongraph.mining.sr_shapes import Shape
from lesiongraph.mining.stated_size import STATED_DIFFERS, agrees


@dataclass(frozen=True)
class Drawing:
    """What the marks of one group share."""

    about: About
    archive: DicomArchive

    def image(self, shape: Shape) -> ImageRef | None:
        """Return the image a shape lies on, None where it is not here."""
        return None if shape.fault else self.archive.image(shape.image_uid, shape.frame)

    def absent(self, shape: Shape) -> str:
        """Return why `image` gave None."""
        return shape.fault or self.archive.why_absent(shape.image_uid)

    def at(self, shape: Shape) -> Drawing:
        """Return the same for one shape of several: its place tells the marks apart."""
        item = f"{self.about['source_item']} {shape.place}"
        return dataclasses.replace(self, about={**self.about, "source_item": item})

    def about_segment(self, segment: SegmentRef, among: Sequence[SegmentRef]) -> About:
        """Return what is known of the mark of a segment; its number tells several apart."""
        if len(among) == 1:
            return self.about
        return {**self.about, "source_item": f"{self.about['source_item']} segment {segment.number}"}

    def pair(self, shapes: Sequence[Shape], apart: Affinity | None = None) -> list[FoundMark | RejectedMark]:
        """Pair lines that no concept names as long or short (two lengths, a vendor's own codes).

        `apart` adds to the cost of pairing shapes i and j, see `pair_lines`.
        """
        marks, left = self.pair_some(shapes, apart)
        return marks + [single_diameter(shape, self.at(shape)) for shape in left]

    def pair_some(
        self, shapes: Sequence[Shape], apart: Affinity | None = None
    ) -> tuple[list[FoundMark | RejectedMark], list[Shape]]:
        """Pair what makes pairs; return marks (ticks rejected) and the lines left alone."""
        marks: list[FoundMark | RejectedMark] = []
        left: list[Shape] = []
        by_image: dict[tuple[str, int], list[int]] = {}
        for index, shape in enumerate(shapes):
            if self.image(shape) is None:
                marks.append(reject(self.absent(shape), shape, self.at(shape)))
                continue
            by_image.setdefault((shape.image_uid, shape.frame), []).append(index)
        for indices in by_image.values():
            drawn = [shapes[index] for index in indices]
            image, lines = self.image(drawn[0]), [s.line for s in drawn if s.line is not None]
            if image is None:
                continue
            pairing = pair_lines(lines, image, apart=_of_some(apart, indices))
            for i, j in pairing.pairs:
                first, second = longer_first(lines[i], lines[j], image)
                placed = place_axes(first, second, image, **self.at(drawn[i]).about)
                marks.append(_compared(placed, drawn[i], drawn[j]))
            marks += [reject("tick line", drawn[i], self.at(drawn[i])) for i in pairing.ticks]
            marks += [reject("too many lines", drawn[i], self.at(drawn[i])) for i in pairing.too_many]
            left += [drawn[i] for i in pairing.single]
        return marks, left


def _of_some(apart: Affinity | None, indices: list[int]) -> Affinity | None:
    """Return `apart` for some of its lines, counted anew from 0."""

    def renumbered(i: int, j: int) -> float:
        return apart(indices[i], indices[j]) if apart is not None else 0.0

    return None if apart is None else renumbered


def place_both(long: Shape, short: Shape, drawing: Drawing) -> FoundMark | RejectedMark:
    """Return the mark of two lines that the report names as long and short axis."""
    for shape in (long, short):
        if shape.fault:
            return reject(shape.fault, shape, drawing)
    if (long.image_uid, long.frame) != (short.image_uid, short.frame):
        return reject("axes on different images", long, drawing)
    image = drawing.image(long)
    if image is None:
        return reject(drawing.absent(long), long, drawing)
    if long.line is None or short.line is None:
        return reject("no diameters", long, drawing)
    return _compared(place_axes(long.line, short.line, image, **drawing.about), long, short)


def place_outlines(shapes: Sequence[Shape], drawing: Drawing) -> FoundMark | RejectedMark:
    """Return the mark of the outline with the longest axis (TID 1411 groups hold several)."""
    measured: list[tuple[float, Axis, Axis, ImageRef, Shape]] = []
    for shape in shapes:
        image = drawing.image(shape)
        axes = shape.outline_axes(image) if image is not None else None
        if image is not None and axes is not None:
            measured.append((axes[0].length_mm(image.spacing), *axes, image, shape))
    if not measured:
        absent = drawing.image(shapes[0]) is None
        return reject(drawing.absent(shapes[0]) if absent else "zero length", shapes[0], drawing)
    _, long, short, image, shape = max(measured, key=lambda entry: entry[0])
    return _flagged(place_axes(long, short, image, **drawing.about), shape)


def single_diameter(shape: Shape, drawing: Drawing) -> RejectedMark:
    """Reject a line that has no partner, or say why it could not have one."""
    absent = drawing.image(shape) is None
    return reject(drawing.absent(shape) if absent else "single diameter", shape, drawing)


def reject(reason: str, shape: Shape | None, drawing: Drawing) -> RejectedMark:
    """Return a rejection at the image of a shape, or at none."""
    if shape is None:
        return RejectedMark(reason=reason, **drawing.about)
    return RejectedMark(
        reason=reason,
        sop_instance_uid=shape.image_uid,
        image=drawing.archive.image(shape.image_uid, shape.frame),
        **drawing.about,
    )


def _compared(mark: FoundMark | RejectedMark, *shapes: Shape) -> FoundMark | RejectedMark:
    """Flag a mark whose measurements state other lengths than are drawn: wrong spacing, or a wrong image."""
    differs = False
    for shape in shapes:
        line = shape.line
        if line is None or not isinstance(mark, FoundMark) or not math.isfinite(shape.stated_mm):
            continue
        drawn_mm = line.length_mm(mark.image.spacing)
        differs |= math.isfinite(drawn_mm) and not agrees(shape.stated_mm, drawn_mm)
    return _flagged(mark, *shapes, flag=STATED_DIFFERS if differs else "")


def _flagged(mark: FoundMark | RejectedMark, *shapes: Shape, flag: str = "") -> FoundMark | RejectedMark:
    flags = [text for text in dict.fromkeys([*(shape.flag for shape in shapes), flag]) if text]
    if not flags or not isinstance(mark, FoundMark):
        return mark
    return dataclasses.replace(mark, flags=(*mark.flags, *flags))
