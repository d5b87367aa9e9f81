"""Segments that an SR refers to (PS3.16 TID 1411, TID 1410) → marks, through the segmentation object."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from lesiongraph.mining import dicom_values as values
from lesiongraph.mining.dicom_header import read_object
from lesiongraph.mining.dicom_scan import DicomArchive
from lesiongraph.mining.marks import About, FoundMark, RejectedMark
from lesiongraph.mining.seg import structure_of_segment
from lesiongraph.mining.sr_images import SEGMENTATIONS, frames_of, reference
from lesiongraph.mining.sr_tree import Item
from lesiongraph.mining.structures import mark_of

SEGMENTATION_NOT_FOUND = "segmentation not found"
SEGMENTATION_UNREADABLE = "segmentation unreadable"
SEGMENT_NOT_FOUND = "segment not found"
SEGMENT_NOT_STATED = "segment not stated"


@dataclass(frozen=True)
class SegmentRef:
    """One segment named by a group; `frames` (from 0) restricts it, empty for the whole segment."""

    segmentation_uid: str
    number: int  # -1 not stated
    frames: tuple[int, ...] = ()


def segments_of(items: Iterable[Item]) -> list[SegmentRef]:
    """Return the segments that the IMAGE items of a group refer to, each once."""
    return list(dict.fromkeys(ref for item in items for ref in _references(item)))


def _references(item: Item) -> Iterator[SegmentRef]:
    named = reference(item)
    if item.value_type != "IMAGE" or values.text(named, "ReferencedSOPClassUID") not in SEGMENTATIONS:
        return
    frames = tuple(frame - 1 for frame in frames_of(named, "ReferencedFrameNumber"))
    for number in frames_of(named, "ReferencedSegmentNumber") or [-1]:
        yield SegmentRef(values.text(named, "ReferencedSOPInstanceUID"), number, frames)


class Segmentations:
    """The segmentation objects of an archive, each read once for a document."""

    def __init__(self, archive: DicomArchive) -> None:
        self._archive = archive
        self._read: dict[str, Dataset | None] = {}

    def mark(self, segment: SegmentRef, about: About) -> FoundMark | RejectedMark:
        """Return the mark of a segment: the diameters on the slice with the longest axis."""
        try:
            return self._mark(segment, about)
        except Exception as cause:  # a damaged segmentation must not lose the report's other groups
            what = " ".join(str(cause).split())[:80] or type(cause).__name__
            return _reject(f"{SEGMENTATION_UNREADABLE}: {what}", segment, about)

    def _mark(self, segment: SegmentRef, about: About) -> FoundMark | RejectedMark:
        dataset = self._dataset(segment.segmentation_uid)
        if dataset is None:
            return _reject(SEGMENTATION_NOT_FOUND, segment, about)
        if segment.number < 0:
            return _reject(SEGMENT_NOT_STATED, segment, about)
        structure = structure_of_segment(dataset, self._archive, segment.number, segment.frames)
        if structure is None:
            return _reject(SEGMENT_NOT_FOUND, segment, about)
        structure.source, structure.source_item = about["source"], about["source_item"]
        for name in ("type", "finding", "finding_site", "tracking_uid"):
            if stated := str(about.get(name, "")):
                structure.about[name] = stated
        return mark_of(structure)

    def _dataset(self, uid: str) -> Dataset | None:
        if uid not in self._read:
            path = next((one.path for one in self._archive.objects if one.key == uid), None)
            self._read[uid] = read_object(Path(path)) if path is not None else None
        return self._read[uid]


def _reject(reason: str, segment: SegmentRef, about: About) -> RejectedMark:
    return RejectedMark(reason=reason, sop_instance_uid=segment.segmentation_uid, **about)
