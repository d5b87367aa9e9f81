"""The valid documents that are broken: SR, presentation state, RTSTRUCT, SEG, with a bit of everything."""

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
from structure_files import box_mm, contour, frame_groups, plane, seg, segment, structure_set

NODULE = ("27925004", "SCT", "Nodule")
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
        code_item(FINDING, NODULE),
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


def structures(uids: list[str]) -> Dataset:
    """Return a structure set: two lesions, an organ, a point, a contour on no slice."""
    unnamed = contour(box_mm(9, 9, 20, 16, -5), None)
    return structure_set(
        (
            "GTV-1",
            "GTV",
            [contour(box_mm(10, 10, 14, 14, 0), uids[0]), unnamed],
        ),
        ("tumour 2", "", [contour(box_mm(30, 10, 40, 20, -5), uids[1])]),
        ("Liver", "ORGAN", [contour(box_mm(5, 5, 30, 25, 0), uids[0])]),
        ("nodule seed", "", [contour([1.0, 2.0, 0.0], uids[0], "POINT")]),
        ("GTV-away", "GTV", [contour(box_mm(10, 10, 14, 14, 60), uid("absent"))]),
    )


def segmentation(uids: list[str]) -> Dataset:
    """Return a binary segmentation: two nodules, an organ, a segment without a frame."""
    nodules = [segment(1, "a", NODULE), segment(2, "b", NODULE, LUNG), segment(3, "none", NODULE)]
    return seg(
        [*nodules, segment(4, "liver", ("10200004", "SCT", "Liver"))],
        [
            (frame_groups(1, 0, uids[0]), plane(10, 14, 10, 14)),
            (frame_groups(1, -5, uids[1]), plane(10, 20, 10, 13)),
            (frame_groups(2, -5, None), plane(30, 36, 10, 15)),
            (frame_groups(4, 0, uids[0]), plane(5, 25, 5, 25)),
        ],
    )


def labelmap(uids: list[str]) -> Dataset:
    """Return a label map of two nodules."""
    pixels = plane(5, 15, 10, 20, value=1) + plane(20, 40, 10, 12, value=2)
    segments = [segment(1, "a", NODULE), segment(2, "b", NODULE)]
    return seg(segments, [(frame_groups(None, 0, uids[0]), pixels)], kind="LABELMAP")


def fractional(uids: list[str]) -> Dataset:
    """Return a fractional segmentation of one nodule."""
    pixels = plane(5, 15, 10, 20, value=200) + plane(15, 16, 10, 20, value=90)
    return seg([segment(1, "a", NODULE)], [(frame_groups(1, 0, uids[0]), pixels)], kind="FRACTIONAL")
