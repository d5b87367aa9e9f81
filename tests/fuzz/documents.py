"""The valid documents that are broken: an SR and a presentation state with a bit of everything."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileDataset
from pydicom.sequence import Sequence as Items

sys.path.insert(0, str(Path(__file__).parents[1] / "mining"))

from dicom_files import (
    FINDING,
    LONG,
    LUNG,
    SHORT,
    SITE,
    TRACKING_ID,
    TRACKING_UID,
    annotation,
    bidirectional,
    code_item,
    content,
    ct_slice,
    group,
    gsps,
    image_item,
    label,
    line,
    num,
    save,
    scoord,
    sr_document,
    text_item,
    uid,
    uid_item,
)

LONG_POINTS, SHORT_POINTS = (10.5, 10.5, 30.5, 10.5), (20.5, 5.5, 20.5, 15.5)


def write_images(folder: Path) -> list[str]:
    """Write two slices; return their SOP Instance UIDs."""
    uids = []
    for index in range(2):
        ds = ct_slice(-5.0 * index, number=index + 1, stored=np.full((32, 48), 1064, np.uint16))
        save(ds, folder / f"ct{index}")
        uids.append(str(ds.SOPInstanceUID))
    return uids


def report(uids: list[str]) -> FileDataset:
    """Return an SR: two axes, a contour, points in the patient, a reference, a measurement without group."""
    about = [
        text_item(TRACKING_ID, "nodule 1"),
        uid_item(TRACKING_UID, "1.2.3"),
        code_item(FINDING, ("27925004", "SCT", "Nodule")),
        code_item(SITE, LUNG),
    ]
    contour = scoord("POLYGON", (10, 10, 20, 10, 20, 20, 10, 20, 10, 10), image_item(uids[1]))
    ellipse = scoord("ELLIPSE", (10, 10, 20, 10, 15, 7, 15, 13), image_item(uids[0], 1))
    space = content("SCOORD3D", None, relation="INFERRED FROM")
    space.GraphicType, space.GraphicData = "POLYLINE", [0.0, -10, 0, 8, -10, 0]
    space.ReferencedFrameOfReferenceUID = uid("frame")
    reference = Dataset()
    reference.RelationshipType, reference.ReferencedContentItemIdentifier = "INFERRED FROM", [1, 1, 1, 5, 1]
    referring = num(LONG, 20)
    referring.ContentSequence = Items([reference])
    groups = [
        bidirectional(uids[0], LONG_POINTS, SHORT_POINTS, about),
        group([num(LONG, 12, [contour])]),
        group([num(LONG, 12, [ellipse]), num(SHORT, 6, [space]), referring]),
        num(LONG, 9, [scoord("POLYLINE", LONG_POINTS, image_item(uids[0]))]),
    ]
    return sr_document(groups)


def state(uids: list[str]) -> FileDataset:
    """Return a presentation state: pairs in two units, a tick, a circle, texts, a displayed area."""
    far = [v + 0.3 for v in LONG_POINTS], [v + 0.3 for v in SHORT_POINTS]
    drawn = [line(LONG_POINTS), line(SHORT_POINTS), line((20, 10, 21, 10)), line((5, 5, 9, 9), kind="CIRCLE")]
    shown = [line([v / 48 for v in axis], units="DISPLAY") for axis in far]
    ds = gsps(
        [
            annotation([uids[0]], drawn, [label("lung 12 x 8 mm", 20, 10)]),
            annotation([uids[1]], shown, [label("liver", 20, 10)]),
            annotation([], [line(LONG_POINTS), line((1, 1, 1, 1))]),
        ],
        shown=uids[:1],
    )
    area = Dataset()
    area.DisplayedAreaTopLeftHandCorner, area.DisplayedAreaBottomRightHandCorner = [1, 1], [48, 32]
    ds.DisplayedAreaSelectionSequence = Items([area])
    ds.ImageRotation, ds.ImageHorizontalFlip = 0, "N"
    return ds
