"""Structured reports → marks: TID 1500 / 1501 / 1410 / 1411 groups, and any NUM with coordinates (PS3.16)."""

from __future__ import annotations

import dataclasses

from pydicom import Dataset
from pydicom.sr.coding import Code

from lesiongraph.mining.dicom_scan import DicomArchive
from lesiongraph.mining.marks import FoundMark, RejectedMark
from lesiongraph.mining.own_reports import own_mark
from lesiongraph.mining.sr_concepts import GROUP, LONG_AXES, SHORT_AXES, VOLUME, about_of, is_anatomy
from lesiongraph.mining.sr_loose import read_loose
from lesiongraph.mining.sr_marks import Drawing, place_both, place_outlines, reject, single_diameter
from lesiongraph.mining.sr_segments import Segmentations, segments_of
from lesiongraph.mining.sr_shapes import OPEN_POLYLINE, Shape, shapes_of
from lesiongraph.mining.sr_tree import Item, read_tree

NOT_A_LESION = "not a lesion structure"


def read_sr(dataset: Dataset, archive: DicomArchive) -> list[FoundMark | RejectedMark]:
    """Return one entry for each measurement group of an SR document, found or rejected.

    Measurements outside TID 1500 groups are gathered where they meet in the tree (`sr_loose`).

    Raises
    ------
    ValueError
        If the document has no content.
    """
    if "ContentSequence" not in dataset:
        raise ValueError("an SR document without content")
    root = read_tree(dataset)
    groups = [i for i in root.descendants() if i.value_type == "CONTAINER" and i.concept == GROUP]
    segmentations = Segmentations(archive)
    marks: list[FoundMark | RejectedMark] = []
    for group in groups:
        repeats = own_mark(group.children)
        read = _read_group(group, root, archive, segmentations)
        marks += [dataclasses.replace(mark, own=repeats) for mark in read]
    return marks + read_loose(root, archive)


def _read_group(
    group: Item, root: Item, archive: DicomArchive, segmentations: Segmentations
) -> list[FoundMark | RejectedMark]:
    items = list(group.within(GROUP))
    drawing = Drawing(about_of(group, items), archive)
    shapes = shapes_of(items, archive, root.dataset)
    long_axes, short_axes = drawn_for(items, shapes, LONG_AXES), drawn_for(items, shapes, SHORT_AXES)
    if len(long_axes) == len(short_axes) == 1:
        return [place_both(long_axes[0], short_axes[0], drawing)]
    lines = [shape for shape in shapes if shape.line is not None]
    if len(lines) >= 2:
        return drawing.pair(lines)
    outlines = [shape for shape in shapes if shape.is_outline]
    segments = segments_of(items)
    if (outlines or segments) and is_anatomy(items):
        image = outlines[0] if outlines else None
        return [reject(NOT_A_LESION, image, drawing)]
    if outlines:
        return [place_outlines(outlines, drawing)]
    if lines:
        return [single_diameter(lines[0], drawing)]
    if segments:
        return [segmentations.mark(segment, drawing.about_segment(segment, segments)) for segment in segments]
    return [reject(_why_no_diameters(items, shapes), next(iter(shapes), None), drawing)]


def drawn_for(items: list[Item], shapes: list[Shape], concepts: tuple[Code, ...]) -> list[Shape]:
    """Return the 2-point lines that measurements of one of these concepts were inferred from."""
    places = {
        below.place
        for item in items
        if item.value_type == "NUM" and item.concept in concepts
        for below in item.descendants()
    }
    return [shape for shape in shapes if shape.place in places and (shape.line is not None or shape.fault)]


def _why_no_diameters(items: list[Item], shapes: list[Shape]) -> str:
    if fault := next((shape.fault for shape in shapes if shape.fault and shape.kind != "POINT"), ""):
        return fault
    if any(shape.is_open for shape in shapes):
        return OPEN_POLYLINE
    numbers = [item.concept for item in items if item.value_type == "NUM"]
    if not shapes and any(concept in (*LONG_AXES, *SHORT_AXES) for concept in numbers):
        return "no coordinates"
    if any(item.value_type == "SCOORD3D" for item in items):
        return "no diameters (3-D coordinates only)"
    if numbers and all(concept == VOLUME for concept in numbers):
        return "no diameters (volume only)"
    return "no diameters"
