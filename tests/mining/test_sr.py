"""Structured reports of several writers → marks, in array coordinates."""

from pathlib import Path

import numpy as np
import pytest
from dicom_files import (
    FINDING,
    GROUP,
    LONG,
    LUNG,
    SHORT,
    SITE,
    TRACKING_ID,
    TRACKING_UID,
    bidirectional,
    code_item,
    content,
    group,
    image_item,
    num,
    save,
    scoord,
    sr_document,
    text_item,
    uid,
    uid_item,
    volume,
)
from pydicom import Dataset, dcmread

from lesiongraph.lesion import Axis
from lesiongraph.mining.dicom_scan import DicomArchive
from lesiongraph.mining.marks import FoundMark, RejectedMark
from lesiongraph.mining.sr import read_sr

LONG_POINTS = (10.5, 10.5, 30.5, 10.5)  # DICOM image coordinates: half a pixel more than array ones
SHORT_POINTS = (20.5, 5.5, 20.5, 15.5)
LENGTH = ("G-D7FE", "SRT", "Length")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[DicomArchive, list[str]]:
    folder = tmp_path_factory.mktemp("ct")
    uids = volume(folder)
    return DicomArchive.scan(folder), uids


def read(groups: list[Dataset], archive: DicomArchive, tmp_path: Path) -> list[FoundMark | RejectedMark]:
    return read_sr(dcmread(save(sr_document(groups), tmp_path / "sr")), archive)


def read_one(item: Dataset, archive: DicomArchive, tmp_path: Path) -> FoundMark | RejectedMark:
    (mark,) = read([item], archive, tmp_path)
    return mark


@pytest.mark.parametrize(
    "codes",
    [
        (LONG, SHORT),
        (("G-A185", "SRT", "Long Axis"), ("G-A186", "SRT", "Short Axis")),
        (("103339001", "SCT", "other words"), ("G-A186", "SRT", "")),
    ],
)
def test_both_axes_whatever_the_coding_scheme(images, tmp_path: Path, codes) -> None:
    archive, uids = images
    extra = [
        text_item(TRACKING_ID, "Lesion 1"),
        uid_item(TRACKING_UID, "2.25.7"),
        code_item(FINDING, ("52988006", "SCT", "Lesion")),
        code_item(("G-C0E3", "SRT", "Finding Site"), ("T-28000", "SRT", "Lung"), "HAS CONCEPT MOD"),
    ]
    mark = read_one(bidirectional(uids[1], LONG_POINTS, SHORT_POINTS, extra, codes), archive, tmp_path)
    assert isinstance(mark, FoundMark)
    assert mark.mark is not None
    assert mark.mark.long_axis == Axis(10, 10, 30, 10)
    assert mark.mark.short_axis == Axis(20, 5, 20, 15)
    assert (mark.box.x0, mark.box.y0, mark.box.x1, mark.box.y1) == (5, 0, 35, 20)
    assert mark.image.slice_index == 1
    assert (mark.type, mark.finding, mark.finding_site) == ("lung", "Lesion", "Lung")
    assert (mark.tracking_uid, mark.flags) == ("2.25.7", ())


@pytest.mark.parametrize(
    ("site", "name"),
    [
        (("272673000", "SCT", "Bone structure"), "bone"),
        (("818983003", "SCT", "Abdomen"), "abdomen"),
        (("72410000", "SCT", "Mediastinum"), "mediastinum"),
        (("T-62000", "SRT", "Liver"), "liver"),
        (("39607008", "SCT", ""), "lung"),
        (("64033007", "SCT", "Kidney"), "kidney"),
        (("87784001", "SCT", "Soft tissue"), "soft tissue"),
        (("12921003", "SCT", "Pelvis"), "pelvis"),
        (("FREETEXT", "CORNERSTONEJS", "Soft_Tissue"), "soft tissue"),
        (("15825003", "SCT", "Aorta"), ""),
    ],
)
def test_type_from_the_finding_site(images, tmp_path: Path, site, name: str) -> None:
    archive, uids = images
    extra = [code_item(SITE, site)]  # OHIF and dcmjs write CONTAINS
    mark = read_one(bidirectional(uids[0], LONG_POINTS, SHORT_POINTS, extra), archive, tmp_path)
    assert mark.type == name
    assert mark.finding_site == site[2]


def test_axes_said_the_wrong_way_round_are_swapped(images, tmp_path: Path) -> None:
    archive, uids = images
    mark = read_one(bidirectional(uids[0], SHORT_POINTS, LONG_POINTS), archive, tmp_path)
    assert isinstance(mark, FoundMark)
    assert mark.mark is not None
    assert mark.mark.long_axis == Axis(10, 10, 30, 10)
    assert mark.flags == ("axes swapped",)


def test_long_and_short_are_judged_in_mm(images, tmp_path: Path) -> None:
    """Columns are 0.8 mm wide, rows 0.5 mm high: 14 px across are longer than 20 px down."""
    archive, uids = images
    across, down = (10.5, 15.5, 24.5, 15.5), (17.5, 5.5, 17.5, 25.5)
    mark = read_one(bidirectional(uids[0], across, down), archive, tmp_path)
    assert isinstance(mark, FoundMark)
    assert mark.flags == ()


@pytest.mark.parametrize(
    ("long", "short", "reason"),
    [
        ((10.5, 10.5, 10.5, 10.5), (10.5, 10.5, 10.5, 10.5), "zero length"),
        (LONG_POINTS, (20.5, 5.5, 20.6, 5.5), "zero length"),
        ((10.5, 10.5, 60.5, 10.5), SHORT_POINTS, "outside the image"),
        ((10.5, 10.5, 30.5, 10.5), (20.5, -2.0, 20.5, 15.5), "outside the image"),
        (LONG_POINTS, (14.5, 5.5, 26.5, 15.5), "axes not across each other"),  # 28° in mm
        (LONG_POINTS, (20.5, 15.5, 20.5, 24.5), "axes lie apart"),  # by 5 px, more than half of 9
        ((10.5, 10.5, 11.6, 10.5), (11, 10.1, 11, 11), "impossible length (under 1 mm)"),
    ],
)
def test_impossible_axes_are_rejected(images, tmp_path: Path, long, short, reason: str) -> None:
    archive, uids = images
    mark = read_one(bidirectional(uids[0], long, short), archive, tmp_path)
    assert isinstance(mark, RejectedMark)
    assert mark.reason == reason
    assert mark.image is not None
    assert mark.mark is not None


@pytest.mark.parametrize(
    ("short", "flags"),
    [
        ((20.5, 12.5, 20.5, 20.5), ("axes do not cross",)),
        ((18.5, 5.5, 22.5, 15.5), ("axes not perpendicular",)),  # 57° in mm
        ((20.5, 11.0, 20.5, 20.5), ()),  # ends half a pixel short of the long axis
    ],
)
def test_odd_axes_are_kept_with_a_flag(images, tmp_path: Path, short, flags: tuple[str, ...]) -> None:
    archive, uids = images
    mark = read_one(bidirectional(uids[0], LONG_POINTS, short), archive, tmp_path)
    assert isinstance(mark, FoundMark)
    assert mark.flags == flags


def test_marks_on_images_that_are_not_there(images, tmp_path: Path) -> None:
    archive, uids = images
    other = group(
        [
            num(LONG, 1, [scoord("POLYLINE", LONG_POINTS, image_item(uids[0]))]),
            num(SHORT, 1, [scoord("POLYLINE", SHORT_POINTS, image_item(uids[1]))]),
        ]
    )
    nowhere = group([num(c, 1, [scoord("POLYLINE", LONG_POINTS, None)]) for c in (LONG, SHORT)])
    absent = bidirectional("1.2.3", LONG_POINTS, SHORT_POINTS)
    reasons = [mark.reason for mark in read([absent, other, nowhere], archive, tmp_path)]  # type: ignore[union-attr]
    assert reasons == ["image not found", "axes on different images", "image not stated"]


def test_the_image_may_stand_beside_the_measurement(images, tmp_path: Path) -> None:
    archive, uids = images
    lines = [
        num(c, 1, [scoord("POLYLINE", p, None)]) for c, p in ((LONG, LONG_POINTS), (SHORT, SHORT_POINTS))
    ]
    mark = read_one(group([*lines, image_item(uids[2])]), archive, tmp_path)
    assert isinstance(mark, FoundMark)
    assert mark.image.slice_index == 2


def test_groups_without_both_diameters_say_why(images, tmp_path: Path) -> None:
    archive, uids = images
    groups = [
        group([num(LENGTH, 10, [scoord("POLYLINE", LONG_POINTS, image_item(uids[0]))])]),
        group([num(("118565006", "SCT", "Volume"), 200)]),
        group(
            [
                num(
                    ("112031", "DCM", "Attenuation Coefficient"),
                    40,
                    [scoord("POINT", (3, 3), image_item(uids[0]))],
                )
            ]
        ),
        group([text_item(TRACKING_ID, "only a name")]),
    ]
    marks = read(groups, archive, tmp_path)
    assert [mark.reason for mark in marks] == [  # type: ignore[union-attr]
        "single diameter",
        "no diameters (volume only)",
        "no diameters",
        "no diameters",
    ]
    assert len({mark.source_item for mark in marks}) == 4


def test_two_lengths_make_a_pair(images, tmp_path: Path) -> None:
    archive, uids = images
    lines = [
        num(LENGTH, 1, [scoord("POLYLINE", p, image_item(uids[0]))]) for p in (SHORT_POINTS, LONG_POINTS)
    ]
    mark = read_one(group(lines), archive, tmp_path)
    assert isinstance(mark, FoundMark)
    assert mark.mark is not None
    assert mark.mark.long_axis == Axis(10, 10, 30, 10)


def test_measurements_outside_groups_are_found(images, tmp_path: Path) -> None:
    """A vendor's own template: no TID 1500 group, its own codes, two lesions in one container."""
    archive, uids = images
    private = ("X1", "99VENDOR", "Distance")
    down = [p + 10 if i % 2 else p for i, p in enumerate(LONG_POINTS)]
    down_short = [p + 10 if i % 2 else p for i, p in enumerate(SHORT_POINTS)]
    lines = [
        num(private, 1, [scoord("POLYLINE", p, image_item(uids[0]))])
        for p in (LONG_POINTS, down, down_short, SHORT_POINTS)
    ]
    marks = read([content("CONTAINER", ("X0", "99VENDOR", "Findings"), lines)], archive, tmp_path)
    assert [mark.box.centre for mark in marks] == [(20, 10), (20, 20)]  # type: ignore[union-attr]


def test_contours_give_both_diameters(images, tmp_path: Path) -> None:
    archive, uids = images
    area = ("42798000", "SCT", "Area")
    region = ("111030", "DCM", "Image Region")

    def outlined(kind: str, points: tuple[float, ...]) -> Dataset:
        shape = scoord(kind, points, image_item(uids[0]))
        shape.ConceptNameCodeSequence = content("SCOORD", region).ConceptNameCodeSequence
        return group([shape, num(area, 1)])

    # 20 × 10 px on pixels of 0.8 × 0.5 mm: 16 × 5 mm, diagonal √281 mm
    marks = read(
        [
            outlined("POLYLINE", (10.5, 10.5, 30.5, 10.5, 30.5, 20.5, 10.5, 20.5, 10.5, 10.5)),
            outlined("CIRCLE", (20.5, 15.5, 25.5, 15.5)),
            outlined("ELLIPSE", (10.5, 15.5, 30.5, 15.5, 20.5, 10.5, 20.5, 20.5)),
        ],
        archive,
        tmp_path,
    )
    assert all(isinstance(mark, FoundMark) for mark in marks)
    lengths = [
        (m.mark.long_axis.length_mm(m.image.spacing), m.mark.short_axis.length_mm(m.image.spacing))  # type: ignore[union-attr]
        for m in marks
    ]
    # across the diagonal: the chord through the centre, 5 mm / cos(atan(5/16))
    np.testing.assert_allclose(lengths[0], [281**0.5, 5 * 281**0.5 / 16], rtol=1e-6)
    np.testing.assert_allclose(lengths[1], [8, 5])
    np.testing.assert_allclose(lengths[2], [16, 5])


def test_outlined_organs_are_not_lesions(images, tmp_path: Path) -> None:
    archive, uids = images

    def outlined(*codes: Dataset) -> Dataset:
        return group([*codes, scoord("CIRCLE", (20, 15, 25, 15), image_item(uids[0])), num(LENGTH, 1)])

    category = ("276214006", "SCT", "Finding category")
    marks = read(
        [
            outlined(code_item(FINDING, ("15825003", "SCT", "Aorta"))),
            outlined(code_item(FINDING, ("T-A7010", "SRT", "Spinal cord"))),
            outlined(code_item(category, ("91723000", "SCT", "Anatomical structure"))),
            outlined(code_item(FINDING, ("27925004", "SCT", "Nodule")), code_item(SITE, LUNG)),
            outlined(code_item(FINDING, ("59441001", "SCT", "Lymph node"))),
        ],
        archive,
        tmp_path,
    )
    assert [getattr(mark, "reason", "found") for mark in marks] == ["not a lesion structure"] * 3 + [
        "found"
    ] * 2


def test_by_reference_coordinates_are_followed(images, tmp_path: Path) -> None:
    archive, uids = images
    shapes = [scoord("POLYLINE", p, image_item(uids[0])) for p in (LONG_POINTS, SHORT_POINTS)]
    lines = []
    for number, concept in enumerate((LONG, SHORT), 1):
        reference = Dataset()
        reference.RelationshipType = "INFERRED FROM"
        reference.ReferencedContentItemIdentifier = [1, 1, 1, number]  # root, measurements, group, shape
        lines.append(num(concept, 1, [reference]))
    mark = read_one(group([*shapes, *lines]), archive, tmp_path)
    assert isinstance(mark, FoundMark)
    assert mark.mark is not None
    assert mark.mark.short_axis == Axis(20, 5, 20, 15)


@pytest.mark.parametrize(
    ("off_mm", "result"),
    [(0.0, 2), (1.0, 2), (2.4, 2), (-2.4, 2), (40.0, "not in the plane of a slice")],
)
def test_patient_coordinates_find_their_slice(images, tmp_path: Path, off_mm: float, result) -> None:
    """SCOORD3D, as cornerstone3D writes: pixel (10, 10) lies at x = −10 + 0.8 · 10, y = −20 + 0.5 · 10."""
    archive, _ = images
    group_items = []
    for concept, points in ((LONG, ((10, 10), (30, 10))), (SHORT, ((20, 5), (20, 15)))):
        shape = content("SCOORD3D", None, relation="INFERRED FROM")
        shape.GraphicType, shape.ReferencedFrameOfReferenceUID = "POLYLINE", uid("frame")
        shape.GraphicData = [v for x, y in points for v in (-10 + 0.8 * x, -20 + 0.5 * y, -10.0 + off_mm)]
        group_items.append(num(concept, 1, [shape]))
    mark = read_one(group(group_items), archive, tmp_path)
    if isinstance(mark, RejectedMark):
        assert mark.reason == result
        return
    assert mark.image.slice_index == result
    assert mark.mark is not None
    assert np.isclose(mark.mark.long_axis.length_px, 20)
    assert np.isclose(mark.mark.short_axis.x0, 20)


def test_patient_coordinates_of_another_frame_of_reference(images, tmp_path: Path) -> None:
    archive, _ = images
    shape = content("SCOORD3D", None)
    shape.GraphicType, shape.ReferencedFrameOfReferenceUID = "POLYGON", uid("elsewhere")
    shape.GraphicData = [0.0, 0, 0, 5, 0, 0, 5, 5, 0, 0, 0, 0]
    mark = read_one(group([shape]), archive, tmp_path)
    assert getattr(mark, "reason", "") == "image not found"


def test_nested_groups_are_read_once(images, tmp_path: Path) -> None:
    archive, uids = images
    inner = bidirectional(uids[0], LONG_POINTS, SHORT_POINTS)
    outer = content("CONTAINER", GROUP, [text_item(TRACKING_ID, "outer"), inner])
    marks = read([outer], archive, tmp_path)
    assert [type(mark).__name__ for mark in marks] == ["RejectedMark", "FoundMark"]
    assert uid("sr") not in {mark.source_item for mark in marks}
