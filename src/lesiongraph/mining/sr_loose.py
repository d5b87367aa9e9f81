"""Measurements outside TID 1500 groups, as vendors file them → marks.

No template can be relied on: the two diameters of a lesion may hang in one container, in a container each, or
below each other. So lines are gathered upwards: at each container what makes a pair is a mark, what is left
alone waits for the container above. A line that is alone at the root is rejected. CAD reports (TID 4104) hang
outlines below the finding itself, without a measurement; those of one composite feature are one lesion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydicom.sr.coding import Code

from lesiongraph.mining.dicom_scan import DicomArchive
from lesiongraph.mining.marks import FoundMark, RejectedMark
from lesiongraph.mining.sr_concepts import GROUP, LONG_AXES, SHORT_AXES, about_of, is_anatomy
from lesiongraph.mining.sr_marks import Drawing, place_both, place_outlines, reject, single_diameter
from lesiongraph.mining.sr_shapes import OPEN_POLYLINE, Shape, shapes_of
from lesiongraph.mining.sr_tree import Item

_DESCRIBING = ("CODE", "TEXT", "UIDREF")
_COMPOSITE = Code("111015", "DCM", "Composite Feature")  # one lesion seen in several images
_FINDINGS = (Code("111059", "DCM", "Single Image Finding"), _COMPOSITE)
NOT_MEASURED = "coordinates without a measurement"


def read_loose(root: Item, archive: DicomArchive) -> list[FoundMark | RejectedMark]:
    """Return the marks of all measurements with coordinates that no TID 1500 group holds."""
    items = [root, *root.within(GROUP)]
    measurements = [item for item in items if item.value_type == "NUM"]
    shapes = {shape.place: shape for shape in shapes_of(items, archive, root.dataset)}
    # Also by measurements inside groups: those may refer to coordinates that are listed outside.
    everywhere = [item for item in root.descendants() if item.value_type == "NUM"]
    measured = {below.place for num in everywhere for below in num.descendants()}
    walk = _Walk(
        archive,
        {place: shape for place, shape in shapes.items() if place in measured},
        _named(measurements, LONG_AXES),
        _named(measurements, SHORT_AXES),
    )
    left = walk.gather(root)
    walk.bare([item for item in items if item.place in shapes and item.place not in measured], shapes)
    drawing = walk.drawing(root)
    walk.marks += [single_diameter(shape, drawing.at(shape)) for shape in left]
    return walk.marks


def _named(measurements: Sequence[Item], concepts: tuple[Code, ...]) -> set[str]:
    return {i.place for num in measurements if num.concept in concepts for i in num.descendants()}


@dataclass
class _Walk:
    archive: DicomArchive
    shapes: dict[str, Shape]  # by place
    long: set[str]  # places drawn for a measurement named long axis
    short: set[str]
    marks: list[FoundMark | RejectedMark] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)  # shapes that two measurements share are read once

    def gather(self, item: Item, *, measured: bool = False) -> list[Shape]:
        """Resolve what lies below an item; return the lines that are still alone.

        Coordinates are taken where a measurement holds them, not where one only refers to them.
        """
        waiting: list[Shape] = []
        if measured and item.place in self.shapes and item.place not in self.taken:
            self.taken.add(item.place)
            waiting.append(self.shapes[item.place])
        measured = measured or item.value_type == "NUM"
        for child in item.children:
            if child.value_type == "CONTAINER" and child.concept == GROUP:
                continue
            waiting += self.gather(child, measured=measured)
        if item.value_type == "NUM":
            return self._measured(item, waiting)
        return self._resolved(item, waiting) if item.value_type == "CONTAINER" else waiting

    def _measured(self, num: Item, shapes: list[Shape]) -> list[Shape]:
        """Take the outlines of one measurement as one lesion; its lines go on."""
        lines = [shape for shape in shapes if shape.line is not None]
        outlines = [shape for shape in shapes if shape.is_outline]
        others = [shape for shape in shapes if shape.line is None and not shape.is_outline]
        if outlines:
            self._outlined(num, outlines)
        elif others:
            drawing = self.drawing(num)
            for shape in others:
                reason = shape.fault or (OPEN_POLYLINE if shape.is_open else "no diameters")
                self.marks.append(reject(reason, shape, drawing.at(shape)))
        elif not lines and num.concept in (*LONG_AXES, *SHORT_AXES):
            self.marks.append(reject("no coordinates", None, self.drawing(num)))
        return lines

    def _outlined(self, holder: Item, outlines: list[Shape]) -> None:
        drawing = self.drawing(holder).at(outlines[0])
        if is_anatomy(self._described_by(holder)):
            self.marks.append(reject("not a lesion structure", outlines[0], drawing))
        else:
            self.marks.append(place_outlines(outlines, drawing))

    def _resolved(self, container: Item, lines: list[Shape]) -> list[Shape]:
        if len(lines) < 2:
            return lines
        drawing = self.drawing(container)
        long = [shape for shape in lines if shape.place in self.long]
        short = [shape for shape in lines if shape.place in self.short]
        if len(long) == len(short) == 1 and (long[0].image_uid, long[0].frame) == (
            short[0].image_uid,
            short[0].frame,
        ):
            self.marks.append(place_both(long[0], short[0], drawing.at(long[0])))
            lines = [shape for shape in lines if shape is not long[0] and shape is not short[0]]
        if len(lines) < 2:
            return lines
        marks, left = drawing.pair_some(lines, lambda i, j: self._apart(lines[i], lines[j]))
        self.marks += marks
        return left

    def _apart(self, first: Shape, second: Shape) -> float:
        """Two long axes, or two short ones, are not one lesion's."""
        both = {first.place, second.place}
        return 1.0 if both <= self.long or both <= self.short else 0.0

    def bare(self, items: Sequence[Item], shapes: Mapping[str, Shape]) -> None:
        """Take the regions that hang below a finding without a measurement; reject other drawings there."""
        regions: dict[str, tuple[Item, list[Shape]]] = {}
        for item in items:
            shape = shapes[item.place]
            above = list(item.ancestors())
            holder = next((i for i in above if i.concept == _COMPOSITE), above[0])
            if shape.is_region and shape.is_outline:
                regions.setdefault(holder.place, (holder, []))[1].append(shape)
            elif shape.line is not None or shape.is_outline or shape.is_open:
                drawing = self.drawing(holder).at(shape)
                self.marks.append(reject(shape.fault or NOT_MEASURED, shape, drawing))
        for holder, outlines in regions.values():
            self._outlined(holder, outlines)

    def drawing(self, holder: Item) -> Drawing:
        about = about_of(holder, self._described_by(holder))
        findings = [i.code.meaning for i in (holder, *holder.ancestors()) if i.concept in _FINDINGS]
        return Drawing({**about, "finding": about.get("finding") or next(iter(findings), "")}, self.archive)

    def _described_by(self, holder: Item) -> list[Item]:
        """Return what describes an item: its own children and those of the items above, the nearest first."""
        return [
            child
            for item in (holder, *holder.ancestors())
            for child in item.children
            if child.value_type in _DESCRIBING
        ]
