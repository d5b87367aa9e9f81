"""Which image a drawing of an SR lies on: named below, beside or above it, or the only one of the study."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from pydicom import Dataset

from lesiongraph.mining import dicom_values as values
from lesiongraph.mining.dicom_scan import DicomArchive
from lesiongraph.mining.sr_tree import Item

NOT_STATED = "image not stated"
SEVERAL_STATED = "several images stated"
FRAME_NOT_STATED = "frame not stated"
IMAGE_OF_THE_STUDY = "image taken from the list of the study's images"  # flag of a mark
SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
_EVIDENCE = ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")


@dataclass(frozen=True)
class Place:
    """The image of a drawing, or why it is not known."""

    image_uid: str  # "" not known
    frame: int = 0
    fault: str = ""
    flag: str = ""


@dataclass(frozen=True)
class Surroundings:
    """What a drawing is read with: the items of its group, the archive and the whole document."""

    items: Sequence[Item]
    archive: DicomArchive
    root: Dataset

    @cached_property
    def images(self) -> list[Item]:
        """The IMAGE items of the group that are images."""
        return _images(self.items)

    @cached_property
    def listed(self) -> set[str]:
        """The SOP Instance UIDs of the images that the report says it is about."""
        return _listed(self.root)


def place_of(shape: Item, around: Surroundings) -> Place:
    """Return the image of an SCOORD item.

    The standard hangs it below the coordinates (SELECTED FROM). Others name it above them, beside them below
    the measurement, or once for the group; some not at all, where the report lists a single image.
    """
    archive = around.archive
    if (found := _only(_images(shape.children), archive)) is not None:
        return found
    for holder in shape.ancestors():
        images = [holder] if holder.value_type == "IMAGE" else _images(holder.children)
        if (found := _only(images, archive)) is not None:
            return found
    if len({_key(item) for item in around.images}) == 1:
        return _only(around.images, archive) or Place("", fault=NOT_STATED)
    if len(around.listed) == 1:
        uid = next(iter(around.listed))
        if archive.image(uid, 1) is not None:
            return Place(uid, fault=FRAME_NOT_STATED)
        return Place(uid, flag=IMAGE_OF_THE_STUDY)
    return Place("", fault=NOT_STATED)


def reference(image: Item) -> Dataset:
    """Return the reference of an IMAGE item, empty where it has none."""
    sequence = image.dataset.get("ReferencedSOPSequence")
    return sequence[0] if sequence else Dataset()


def frames_of(item: Dataset, keyword: str) -> list[int]:
    """Return a list of whole numbers of a reference (frames, segments); empty where there is none."""
    try:
        return [int(number) for number in np.atleast_1d(item.get(keyword) or [])]
    except (TypeError, ValueError):
        return []


def _images(items: Iterable[Item]) -> list[Item]:
    """Return the IMAGE items that are images: a referenced segmentation is not drawn on."""
    return [
        item
        for item in items
        if item.value_type == "IMAGE"
        and values.text(reference(item), "ReferencedSOPClassUID") not in SEGMENTATIONS
    ]


def _key(item: Item) -> tuple[str, tuple[int, ...]]:
    named = reference(item)
    return values.text(named, "ReferencedSOPInstanceUID"), tuple(frames_of(named, "ReferencedFrameNumber"))


def _only(images: Sequence[Item], archive: DicomArchive) -> Place | None:
    """Return the one image that these items name; None where they name none."""
    keys = {key for item in images if (key := _key(item))[0]}
    if not keys:
        return None
    if len(keys) > 1:
        return Place("", fault=SEVERAL_STATED)
    uid, frames = keys.pop()
    if len(frames) > 1:
        return Place(uid, fault=SEVERAL_STATED)
    if not frames and archive.image(uid, 1) is not None:
        return Place(uid, fault=FRAME_NOT_STATED)
    return Place(uid, max(frames[0], 1) - 1 if frames else 0)


def _listed(root: Dataset) -> set[str]:
    """Return the SOP Instance UIDs of the images that a report says it is about."""
    return {
        values.text(item, "ReferencedSOPInstanceUID")
        for keyword in _EVIDENCE
        for study in root.get(keyword) or []
        for series in study.get("ReferencedSeriesSequence") or []
        for item in series.get("ReferencedSOPSequence") or []
        if values.text(item, "ReferencedSOPClassUID") not in SEGMENTATIONS
    }
