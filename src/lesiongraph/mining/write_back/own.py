"""Reports of ours that a PACS already holds: which follows which, and how their lesions are tracked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom import Dataset

from lesiongraph.mining import dicom_values as values
from lesiongraph.mining.own_reports import own_mark
from lesiongraph.mining.sr_concepts import GROUP, TRACKING_ID, TRACKING_UID
from lesiongraph.mining.sr_tree import Item, read_tree
from lesiongraph.mining.write_back.facts import Tracking

_NUMBER = re.compile(r"Lesion (\d+)$")


@dataclass(frozen=True)
class FormerReport:
    """One of our reports of a study."""

    sop_instance_uid: str
    sop_class_uid: str
    predecessor: str  # "" for the first
    tracking: dict[str, Tracking]


def read_former(datasets: Sequence[Dataset]) -> list[FormerReport]:
    """Return our reports among the documents of our series, the newest last.

    Others' documents may lie there: OHIF saves what a reader went on with into the series it was loaded from,
    as a successor of our report. That is the reader's word, and none of ours ever takes its place.

    The newest is the one that no other follows. Two that both follow the same (two workspaces at once) keep
    the order of their UIDs, so that every workspace takes the same one for the newest.
    """
    with values.lenient_reading():
        found = {report.sop_instance_uid: report for report in map(_read, datasets) if report is not None}
    left, ordered = dict(sorted(found.items())), list[FormerReport]()
    while left:
        placed = {report.sop_instance_uid for report in ordered}
        ready = [r for r in left.values() if r.predecessor in placed or r.predecessor not in left]
        taken = ready or list(left.values())  # two that name each other: no order to keep
        ordered += taken
        left = {uid: report for uid, report in left.items() if report not in taken}
    return ordered


def next_number(datasets: Sequence[Dataset]) -> int:
    """Return the instance number that follows all documents of our series, whoever wrote them.

    OHIF opens of a series the document with the highest number alone.
    """
    with values.lenient_reading():
        return 1 + max((values.whole(dataset, "InstanceNumber", 0) for dataset in datasets), default=0)


def _read(dataset: Dataset) -> FormerReport | None:
    if values.text(dataset, "Modality") != "SR" or not values.text(dataset, "SOPInstanceUID"):
        return None
    root = read_tree(dataset)
    groups = [i for i in root.descendants() if i.value_type == "CONTAINER" and i.concept == GROUP]
    tracked = {own.lesion_id: _tracking(g) for g in groups if (own := own_mark(g.children)) is not None}
    if not tracked:
        return None
    tracking = {lesion: known for lesion, known in tracked.items() if lesion and known is not None}
    return FormerReport(
        values.text(dataset, "SOPInstanceUID"), values.text(dataset, "SOPClassUID"),
        _predecessor(dataset), tracking,
    )  # fmt: skip


def _predecessor(dataset: Dataset) -> str:
    for study in dataset.get("PredecessorDocumentsSequence") or []:
        for series in study.get("ReferencedSeriesSequence") or []:
            for reference in series.get("ReferencedSOPSequence") or []:
                return values.text(reference, "ReferencedSOPInstanceUID")
    return ""


def _tracking(group: Item) -> Tracking | None:
    uid = next((values.text(i.dataset, "UID") for i in group.children if i.concept == TRACKING_UID), "")
    name = next((values.text(i.dataset, "TextValue") for i in group.children if i.concept == TRACKING_ID), "")
    number = _NUMBER.search(name)
    return Tracking(uid, int(number[1])) if uid and number else None
