"""Structured reports → marks: TID 1500 / 1501 / 1410 groups, and any NUM with coordinates (PS3.16)."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom import Dataset
from pydicom.sr._snomed_dict import mapping as snomed_mapping  # the table behind `Code` equality
from pydicom.sr.coding import Code

from lesiongraph.lesion import Axis
from lesiongraph.mining import dicom_values as values
from lesiongraph.mining.dicom_scan import DicomArchive
from lesiongraph.mining.marks import About, FoundMark, ImageRef, RejectedMark, place_axes
from lesiongraph.mining.pairing import longer_first, pair_lines
from lesiongraph.mining.sites import type_of_site
from lesiongraph.mining.sr_shapes import Shape, shapes_of
from lesiongraph.mining.sr_tree import Item, read_tree

GROUP = Code("125007", "DCM", "Measurement Group")
LONG_AXES = (Code("103339001", "SCT", "Long Axis"), Code("131187009", "SCT", "Major Axis"))
SHORT_AXES = (Code("103340004", "SCT", "Short Axis"), Code("131188004", "SCT", "Minor Axis"))
TRACKING_ID = Code("112039", "DCM", "Tracking Identifier")
TRACKING_UID = Code("112040", "DCM", "Tracking Unique Identifier")
FINDING = Code("121071", "DCM", "Finding")
FINDING_SITE = Code("363698007", "SCT", "Finding Site")
FINDING_CATEGORY = Code("276214006", "SCT", "Finding category")
ANATOMICAL = Code("91723000", "SCT", "Anatomical structure")
VOLUME = Code("118565006", "SCT", "Volume")


def read_sr(dataset: Dataset, archive: DicomArchive) -> list[FoundMark | RejectedMark]:
    """Return one entry for each measurement group of an SR document, found or rejected.

    Measurements outside TID 1500 groups are grouped by the item that holds them.
    """
    if "ContentSequence" not in dataset:
        raise ValueError("an SR document without content")
    root = read_tree(dataset)
    containers = [i for i in root.descendants() if i.value_type == "CONTAINER" and i.concept == GROUP]
    marks: list[FoundMark | RejectedMark] = []
    for group in containers:
        marks += _read_group(group, list(group.within(GROUP)), archive)
    inside = {id(i) for group in containers for i in group.descendants()}
    loose: dict[str, tuple[Item, list[Item]]] = {}
    for item in root.descendants():
        if id(item) in inside or item.value_type != "NUM" or not _has_shape(item):
            continue
        holder = item.parent or root
        loose.setdefault(holder.place, (holder, []))[1].extend([item, *item.descendants()])
    for holder, items in loose.values():
        own = [child for child in holder.children if child.value_type in ("CODE", "TEXT", "UIDREF", "IMAGE")]
        marks += _read_group(holder, [*items, *own], archive)
    return marks


def _has_shape(item: Item) -> bool:
    return any(child.value_type in ("SCOORD", "SCOORD3D") for child in item.descendants())


def _read_group(group: Item, items: list[Item], archive: DicomArchive) -> list[FoundMark | RejectedMark]:
    about = _about(group, items)
    shapes = shapes_of(items, archive)
    long_axes = _lines(items, shapes, LONG_AXES)
    short_axes = _lines(items, shapes, SHORT_AXES)
    if len(long_axes) == len(short_axes) == 1:
        return [_place(long_axes[0], short_axes[0], archive, about)]
    lines = [shape for shape in shapes if shape.line is not None]
    if len(lines) >= 2:
        return _pair(lines, archive, about)
    outlines = [shape for shape in shapes if shape.is_outline]
    if outlines:
        if _is_anatomy(items):
            return [_reject("not a lesion structure", about, outlines[0], archive)]
        return [_place_outlines(outlines, archive, about)]
    if lines:
        return [_reject("single diameter", about, lines[0], archive)]
    return [RejectedMark(reason=_why_no_diameters(items), **about)]


def _about(group: Item, items: list[Item]) -> About:
    """Return what the group says about the lesion, whatever relationship its items hang by."""
    sites = [item.code for item in items if item.value_type == "CODE" and item.concept == FINDING_SITE]
    types = [name for site in sites if (name := type_of_site(site))]
    findings = [item.code.meaning for item in items if item.value_type == "CODE" and item.concept == FINDING]
    own = [item for item in items if item.parent is group] or items
    uids = [
        values.text(i.dataset, "UID") for i in own if i.value_type == "UIDREF" and i.concept == TRACKING_UID
    ]
    names = [
        values.text(i.dataset, "TextValue")
        for i in own
        if i.value_type == "TEXT" and i.concept == TRACKING_ID
    ]
    name = next(iter(names), "")
    return {
        "source": "SR",
        "source_item": f"{group.place} {name}".strip(),
        "type": next(iter(types), ""),
        "finding": next(iter(findings), ""),
        "finding_site": next((site.meaning for site in sites if site.meaning), ""),
        "tracking_uid": next(iter(uids), ""),
    }


def _lines(items: Sequence[Item], shapes: Sequence[Shape], concepts: Sequence[Code]) -> list[Shape]:
    """Return the 2-point lines that measurements of one of these concepts were inferred from."""
    places = {
        below.place
        for item in items
        if item.value_type == "NUM" and item.concept in concepts
        for below in item.descendants()
    }
    return [shape for shape in shapes if shape.place in places and shape.line is not None]


def _place(long: Shape, short: Shape, archive: DicomArchive, about: About) -> FoundMark | RejectedMark:
    if (long.image_uid, long.frame) != (short.image_uid, short.frame):
        return _reject("axes on different images", about, long, archive)
    image = archive.image(long.image_uid, long.frame)
    if image is None:
        return _reject(_absent(long, archive), about, long, archive)
    if long.line is None or short.line is None:
        return _reject("no diameters", about, long, archive)
    return place_axes(long.line, short.line, image, **about)


def _absent(shape: Shape, archive: DicomArchive) -> str:
    return archive.why_absent(shape.image_uid) if shape.image_uid else shape.absent


def _reject(reason: str, about: About, shape: Shape, archive: DicomArchive) -> RejectedMark:
    return RejectedMark(
        reason=reason,
        sop_instance_uid=shape.image_uid,
        image=archive.image(shape.image_uid, shape.frame),
        **about,
    )


def _pair(shapes: list[Shape], archive: DicomArchive, about: About) -> list[FoundMark | RejectedMark]:
    """Pair lines that no concept names as long or short (two lengths, a vendor's own codes)."""
    marks: list[FoundMark | RejectedMark] = []
    by_image: dict[tuple[str, int], list[Shape]] = {}
    for shape in shapes:
        by_image.setdefault((shape.image_uid, shape.frame), []).append(shape)
    for (uid, frame), drawn in by_image.items():
        item = [_at(about, shape) for shape in drawn]
        image = archive.image(uid, frame)
        if image is None:
            marks += [_reject(_absent(s, archive), item[i], s, archive) for i, s in enumerate(drawn)]
            continue
        lines = [shape.line for shape in drawn if shape.line is not None]
        pairing = pair_lines(lines, image)
        for i, j in pairing.pairs:
            marks.append(place_axes(*longer_first(lines[i], lines[j], image), image, **item[i]))
        marks += [_reject("tick line", item[i], drawn[i], archive) for i in pairing.ticks]
        marks += [_reject("single diameter", item[i], drawn[i], archive) for i in pairing.single]
    return marks


def _at(about: About, shape: Shape) -> About:
    return {**about, "source_item": f"{about['source_item']} {shape.place}"}


def _place_outlines(shapes: list[Shape], archive: DicomArchive, about: About) -> FoundMark | RejectedMark:
    """Return the mark of the outline with the longest axis (TID 1411 groups hold several)."""
    measured: list[tuple[float, Axis, Axis, ImageRef]] = []
    for shape in shapes:
        image = archive.image(shape.image_uid, shape.frame)
        axes = shape.outline_axes(image) if image is not None else None
        if image is not None and axes is not None:
            measured.append((axes[0].length_mm(image.spacing), *axes, image))
    if not measured:
        absent = archive.image(shapes[0].image_uid, shapes[0].frame) is None
        reason = _absent(shapes[0], archive) if absent else "zero length"
        return _reject(reason, about, shapes[0], archive)
    _, long, short, image = max(measured, key=lambda entry: entry[0])
    return place_axes(long, short, image, **about)


def _is_anatomy(items: Sequence[Item]) -> bool:
    """Whether the group outlines an organ: said by its category, or a finding that is a body part."""
    for item in items:
        if item.value_type == "CODE" and item.concept == FINDING_CATEGORY and item.code == ANATOMICAL:
            return True
        if item.value_type == "CODE" and item.concept == FINDING and _is_body_part(item.code):
            return True
    return False


def _is_body_part(code: Code) -> bool:
    """Whether a SNOMED code lies on the topography axis (T-…); lymph nodes (T-C4…) may be lesions."""
    value = code.value
    if code.scheme_designator == "SCT":
        value = snomed_mapping["SCT"].get(value, "")
    return value.startswith("T-") and not value.startswith("T-C4")


def _why_no_diameters(items: Sequence[Item]) -> str:
    if any(item.value_type == "SCOORD3D" for item in items):
        return "no diameters (3-D coordinates only)"
    numbers = [item.concept for item in items if item.value_type == "NUM"]
    if numbers and all(concept == VOLUME for concept in numbers):
        return "no diameters (volume only)"
    return "no diameters"
