"""How a report that lesiongraph wrote back is known again when it is mined (docs/write-back.md).

Each of its measurement groups names the object that the mark was first made in, and the lesion's id in the
catalogue. A mark met as the radiologist's and as ours stays one row, and of the two the original's is kept.
The same holds for what a reader's document repeats of ours, when OHIF went on from it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.sr.coding import Code

from lesiongraph.mining import dicom_values as values
from lesiongraph.mining.sr_tree import Item

SCHEME = "99LESIONGRAPH"
LESION_ID = Code("lesion-id", SCHEME, "Lesion id in lesiongraph")
ORIGINAL_SOURCE = Code("111040", "DCM", "Original Source")
OWN_REPORT = "from lesiongraph's own report"  # flag of a row that was read from such a report
OWN_AGAIN = "lesiongraph's own report of a mark"  # count of rows left for the original's
SAME_LINE_PX = 1e-3  # a report holds its points in single precision
GONE_ON_PX = 0.01  # OHIF carries them through patient coordinates in single precision
_LESION_ID = re.compile(r"L-[0-9a-f]{10}")
_AXES = tuple(f"{axis}_{end}" for axis in ("long", "short") for end in ("x0", "y0", "x1", "y1"))

Row = dict[str, object]


@dataclass(frozen=True)
class OwnMark:
    """What a group of ours says about the mark that it repeats.

    Attributes
    ----------
    lesion_id : str
        "" where it cannot be read: a de-identification takes texts away.
    original_uid : str
        SOP Instance UID of the object the mark was first made in; "" where it was not known.
    """

    lesion_id: str
    original_uid: str


def own_mark(items: Iterable[Item]) -> OwnMark | None:
    """Return what a measurement group of ours says, None of a group of anybody else."""
    lesion_id: str | None = None
    original = ""
    for item in items:
        if item.value_type == "TEXT" and item.concept == LESION_ID:
            text = values.text(item.dataset, "TextValue")
            lesion_id = text if _LESION_ID.fullmatch(text) else ""
        elif item.value_type == "COMPOSITE" and item.concept == ORIGINAL_SOURCE:
            references = item.dataset.get("ReferencedSOPSequence") or []
            original = next((values.text(ref, "ReferencedSOPInstanceUID") for ref in references), "")
    return None if lesion_id is None else OwnMark(lesion_id, original)


def take_original_ids(
    repeated: Sequence[tuple[Row, OwnMark]], by_object: Mapping[str, Sequence[Row]]
) -> None:
    """Give each row of ours, in place, the lesion id of the original's row with the same two lines.

    The id that it states is another one where the workspace that wrote it was de-identified, or this one is.

    Parameters
    ----------
    repeated : sequence of (row, OwnMark)
    by_object : mapping
        SOP Instance UID of an object → its rows.
    """
    for row, own in repeated:
        original = _with_same_lines(row, by_object.get(own.original_uid, ()), SAME_LINE_PX)
        if original is not None:
            row["lesion_id"] = original["lesion_id"]


def take_repeated_ids(
    successors: Sequence[tuple[Row, Collection[str]]], by_object: Mapping[str, Sequence[Row]]
) -> None:
    """Give each row that repeats one of ours, in place, the lesion id of ours, and our flag.

    A viewer that goes on from our report saves all its marks, also those that the reader left as they were.
    Those are no new marks; one that was moved is.

    Parameters
    ----------
    successors : sequence of (row, SOP Instance UIDs)
        Rows of others' documents, with the predecessors that the document names.
    by_object : mapping
        SOP Instance UID of an object → its rows.
    """
    for row, predecessors in successors:
        former = (other for uid in predecessors for other in by_object.get(uid, ()))
        ours = _with_same_lines(row, (one for one in former if OWN_REPORT in str(one["flags"])), GONE_ON_PX)
        if ours is not None:
            row["lesion_id"] = ours["lesion_id"]
            flag_as_ours(row)


def flag_as_ours(row: Row) -> None:
    """Say, in place, that a row was read from a report of ours, or repeats one of its marks."""
    row["flags"] = ";".join(filter(None, [str(row["flags"]), OWN_REPORT]))


def _with_same_lines(row: Row, others: Iterable[Row], apart_px: float) -> Row | None:
    """Return the first of the other rows on the same image with the same two lines."""
    on_image = (other for other in others if other["sop_instance_uid"] == row["sop_instance_uid"])
    return next((other for other in on_image if _same_lines(row, other, apart_px)), None)


def _same_lines(row: Row, other: Row, apart_px: float) -> bool:
    here, there = (np.array([one[name] for name in _AXES], float) for one in (row, other))
    return bool((np.abs(here - there) <= apart_px).all())
