"""Reports without a template, as vendors file them, through the lenient walker; codes however stored."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from dicom_files import (
    ENHANCED_SR,
    FINDING,
    LONG,
    SHORT,
    bidirectional,
    code_item,
    content,
    group,
    image_item,
    new_file,
    num,
    save,
    scoord,
    sr_document,
    uid,
    volume,
)
from multi_frame import enhanced_ct
from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence as Items

from lesiongraph.lesion import Axis
from lesiongraph.mining.dicom_scan import DicomArchive
from lesiongraph.mining.marks import FoundMark, RejectedMark
from lesiongraph.mining.sr import read_sr
from lesiongraph.mining.sr_images import IMAGE_OF_THE_STUDY

# Corner-origin coordinates on pixels of 0.5 mm: 20 × 12 mm, and 15 × 5 mm
A = ((20.5, 30.5, 60.5, 30.5), (40.5, 20.5, 40.5, 44.5))
B = ((90.5, 64.5, 120.5, 64.5), (100.5, 60.5, 100.5, 70.5))
A_AXES = (Axis(20, 30, 60, 30), Axis(40, 20, 40, 44))
B_AXES = (Axis(90, 64, 120, 64), Axis(100, 60, 100, 70))
PRIVATE = ("DIST1", "99VENDOR", "Distance")
BOX = ("BOX", "99VENDOR", "Finding")
SITE = ("363698007", "SCT", "Finding Site")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[DicomArchive, list[str]]:
    folder = tmp_path_factory.mktemp("ct")
    uids = volume(folder, stored=np.zeros((128, 256), np.uint16), PixelSpacing=[0.5, 0.5])
    return DicomArchive.scan(folder), uids


def vendor_report(items: Sequence[Dataset], listed: Sequence[str] = ()) -> Dataset:
    """An Enhanced SR with a private title, no template, and a list of the images it is about."""
    ds = new_file(ENHANCED_SR, "SR", uid("vendor sr"))
    ds.ValueType = "CONTAINER"
    ds.ConceptNameCodeSequence = content("CONTAINER", ("R1", "99VENDOR", "Oncology")).ConceptNameCodeSequence
    ds.ContentSequence = Items(list(items))
    if listed:
        study, series = Dataset(), Dataset()
        series.SeriesInstanceUID, study.StudyInstanceUID = uid("series"), uid("study")
        series.ReferencedSOPSequence = Items([image_item(u).ReferencedSOPSequence[0] for u in listed])
        study.ReferencedSeriesSequence = Items([series])
        ds.CurrentRequestedProcedureEvidenceSequence = Items([study])
    return ds


def read(document: Dataset, archive: DicomArchive, tmp_path: Path) -> list[FoundMark | RejectedMark]:
    return read_sr(dcmread(save(document, tmp_path / "sr.dcm")), archive)


def axes_of(mark: FoundMark | RejectedMark) -> tuple[Axis, Axis]:
    assert isinstance(mark, FoundMark), mark
    assert mark.mark is not None
    return mark.mark.long_axis, mark.mark.short_axis


def reasons(marks) -> list[str]:
    return sorted(mark.reason for mark in marks if isinstance(mark, RejectedMark))


def distance(points: Sequence[float], image: Dataset | None, concept=PRIVATE) -> Dataset:
    x0, y0, x1, y1 = points
    return num(concept, math.hypot(x1 - x0, y1 - y0) * 0.5, [scoord("POLYLINE", points, image)])


# --- where the second diameter hangs ------------------------------------------------------------------


def box(*items: Dataset) -> Dataset:
    return content("CONTAINER", BOX, list(items))


def test_each_diameter_in_a_container_of_its_own(images, tmp_path: Path) -> None:
    archive, uids = images
    image = image_item(uids[1])
    lesions = [box(box(distance(a, image)), box(distance(b, image))) for a, b in (A, B)]
    marks = read(vendor_report([box(box(*lesions))]), archive, tmp_path)
    assert [axes_of(mark) for mark in marks] == [A_AXES, B_AXES]
    assert len({mark.source_item for mark in marks}) == 2


def test_all_lines_in_one_list_on_two_images(images, tmp_path: Path) -> None:
    archive, uids = images
    lines = [distance(points, image_item(uids[k])) for k, pair in ((1, A), (2, A), (2, B)) for points in pair]
    marks = read(vendor_report([box(*lines[::2], *lines[1::2])]), archive, tmp_path)
    assert sorted((mark.image.slice_index, axes_of(mark)[0].x0) for mark in marks) == [
        (1, 20),
        (2, 20),
        (2, 90),
    ]


def test_named_axes_pair_by_name_where_lines_of_two_lesions_cross(images, tmp_path: Path) -> None:
    """Both long axes cross both short ones: only the containers and names tell them apart."""
    archive, uids = images
    long, short = (40.5, 60.5, 80.5, 60.5), (60.5, 50.5, 60.5, 70.5)
    other_long, other_short = (45.5, 61.5, 77.5, 61.5), (61.5, 53.5, 61.5, 69.5)
    lesions = [
        box(distance(a, image_item(uids[0]), LONG), distance(b, image_item(uids[0]), SHORT))
        for a, b in ((long, other_short), (other_long, short))
    ]
    marks = read(vendor_report([box(*lesions)]), archive, tmp_path)
    assert [axes_of(mark)[1].x0 for mark in marks] == [61, 60]


def test_a_measurement_below_a_measurement(images, tmp_path: Path) -> None:
    archive, uids = images
    long = distance(A[0], image_item(uids[0]))
    long.ContentSequence.append(distance(A[1], image_item(uids[0])))
    (mark,) = read(vendor_report([box(long)]), archive, tmp_path)
    assert axes_of(mark) == A_AXES


def test_one_that_stays_alone_is_rejected_once(images, tmp_path: Path) -> None:
    archive, uids = images
    lesions = [
        box(box(*(distance(p, image_item(uids[0])) for p in A))),
        box(box(distance(B[0], image_item(uids[0])))),
    ]
    marks = read(vendor_report(lesions), archive, tmp_path)
    assert [axes_of(mark) for mark in marks if isinstance(mark, FoundMark)] == [A_AXES]
    assert reasons(marks) == ["single diameter"]


def test_findings_stand_at_any_height(images, tmp_path: Path) -> None:
    archive, uids = images
    lines = [distance(points, image_item(uids[0])) for points in A]
    organ = box(
        code_item(SITE, ("64033007", "SCT", "Kidney")),
        box(code_item(FINDING, ("4147007", "SCT", "Mass")), *lines),
    )
    (mark,) = read(vendor_report([organ]), archive, tmp_path)
    assert (mark.type, mark.finding, mark.finding_site) == ("kidney", "Mass", "Kidney")


def test_outlines_of_two_lesions_in_one_container_are_two_marks(images, tmp_path: Path) -> None:
    archive, uids = images
    circles = [(40.5, 40.5, 45.5, 40.5), (140.5, 40.5, 148.5, 40.5)]
    area = ("42798000", "SCT", "Area")
    marks = read(
        vendor_report([box(*(num(area, 1, [scoord("CIRCLE", c, image_item(uids[0]))]) for c in circles))]),
        archive,
        tmp_path,
    )
    assert [axes_of(mark)[0].length_px for mark in marks] == [10, 16]


def test_sizes_without_coordinates_are_counted(images, tmp_path: Path) -> None:
    archive, _ = images
    dose = num(("113838", "DCM", "Water Equivalent Diameter"), 240)
    marks = read(vendor_report([box(num(LONG, 24), num(SHORT, 16)), box(dose)]), archive, tmp_path)
    assert reasons(marks) == ["no coordinates"] * 2


OUTLINE, CENTRE = ("111041", "DCM", "Outline"), ("111010", "DCM", "Center")
NODULE = ("27925004", "SCT", "Nodule")


def cad_finding(*shapes: tuple[tuple[str, ...], str, Sequence[float]], image: Dataset) -> Dataset:
    """A finding of TID 4104: coordinates hang below the code itself, without a measurement."""
    finding = code_item(("111059", "DCM", "Single Image Finding"), NODULE)
    drawn = [scoord(kind, points, image) for _, kind, points in shapes]
    for item, (concept, _, _) in zip(drawn, shapes, strict=True):
        item.ConceptNameCodeSequence = content("SCOORD", concept).ConceptNameCodeSequence
    finding.ContentSequence = Items(drawn)
    return finding


def test_outlines_of_a_cad_report(images, tmp_path: Path) -> None:
    """Open as CAD writes them: the concept says that the polyline is an outline."""
    archive, uids = images
    square = (20.5, 30.5, 32.5, 30.5, 32.5, 35.5, 20.5, 35.5)
    one = cad_finding((CENTRE, "POINT", (26, 33)), (OUTLINE, "POLYLINE", square), image=image_item(uids[0]))
    seen = [
        cad_finding((OUTLINE, "CIRCLE", (80.5, 60.5, 80.5 + r, 60.5)), image=image_item(uids[k]))
        for k, r in ((1, 3), (2, 8))
    ]
    several = code_item(("111015", "DCM", "Composite Feature"), NODULE)
    several.ContentSequence = Items(seen)
    marks = read(vendor_report([box(one, several)]), archive, tmp_path)
    assert [axes_of(mark)[0].length_px for mark in marks] == pytest.approx([13, 16])
    assert [mark.image.slice_index for mark in marks] == [0, 2]
    assert [mark.finding for mark in marks] == ["Nodule", "Nodule"]


def test_drawings_that_nobody_measured(images, tmp_path: Path) -> None:
    archive, uids = images
    arrow = cad_finding((("X", "99VENDOR", "Arrow"), "POLYLINE", A[0]), image=image_item(uids[0]))
    lost = cad_finding((OUTLINE, "CIRCLE", (80.5, 60.5, 84.5, 60.5)), image=image_item("2.25.7"))
    marks = read(vendor_report([box(arrow), box(lost)]), archive, tmp_path)
    assert reasons(marks) == ["coordinates without a measurement", "image not found"]


# --- where the image is named -------------------------------------------------------------------------


def beside(points, image: Dataset) -> Dataset:
    return num(PRIVATE, 1, [scoord("POLYLINE", points, None), image])


def before(points, image: Dataset) -> Dataset:
    return num(PRIVATE, 1, [image, scoord("POLYLINE", points, None)])


def above(points, image: Dataset) -> Dataset:
    image.ContentSequence = Items([scoord("POLYLINE", points, None)])
    return num(PRIVATE, 1, [image])


@pytest.mark.parametrize("encode", [distance, beside, before, above])
def test_images_named_in_any_order(images, tmp_path: Path, encode) -> None:
    """Two lesions on two images in one container: each line must find its own image."""
    archive, uids = images
    lines = [encode(p, image_item(uids[k])) for k, pair in ((1, A), (2, B)) for p in pair]
    marks = read(vendor_report([box(*lines)]), archive, tmp_path)
    assert [(axes_of(mark), mark.image.slice_index) for mark in marks] == [(A_AXES, 1), (B_AXES, 2)]


def test_one_image_for_a_container(images, tmp_path: Path) -> None:
    archive, uids = images
    lesions = [
        box(image_item(uids[k]), box(*(distance(p, None) for p in pair))) for k, pair in ((1, A), (2, B))
    ]
    marks = read(vendor_report(lesions), archive, tmp_path)
    assert [(axes_of(mark), mark.image.slice_index) for mark in marks] == [(A_AXES, 1), (B_AXES, 2)]


def test_by_reference_relations_to_lines_and_images(images, tmp_path: Path) -> None:
    """R-INFERRED FROM and R-SELECTED FROM: lines and images are listed first, and referred to."""
    archive, uids = images
    pointed = [image_item(uids[2]), *(scoord("POLYLINE", points, None) for points in A)]
    for shape in pointed[1:]:
        shape.ContentSequence = Items([refers((1, 1, 1), "SELECTED FROM")])
    library = box(*pointed)
    measured = box(*(num(PRIVATE, 1, [refers((1, 1, place), "INFERRED FROM")]) for place in (2, 3)))
    (mark,) = read(vendor_report([library, measured]), archive, tmp_path)
    assert axes_of(mark) == A_AXES
    assert mark.image.slice_index == 2


def test_a_group_may_refer_to_lines_listed_outside(images, tmp_path: Path) -> None:
    archive, uids = images
    library = box(*(scoord("POLYLINE", points, image_item(uids[0])) for points in A))
    axes = zip((LONG, SHORT), (1, 2), strict=True)
    measured = group([num(concept, 1, [refers((1, 1, place), "INFERRED FROM")]) for concept, place in axes])
    (mark,) = read(vendor_report([library, measured]), archive, tmp_path)
    assert axes_of(mark) == A_AXES


def refers(place: tuple[int, ...], relation: str) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ReferencedContentItemIdentifier = relation, list(place)
    return item


@pytest.mark.parametrize("place", [(1, 9, 9), (1,), (1, 1)])
def test_references_to_nothing_or_upwards(images, tmp_path: Path, place) -> None:
    archive, _ = images
    marks = read(vendor_report([box(num(LONG, 24, [refers(place, "INFERRED FROM")]))]), archive, tmp_path)
    assert reasons(marks) == ["no coordinates"]


@pytest.mark.parametrize(
    ("listed", "expected"), [([], "image not stated"), ([1], 1), ([1, 1], 1), ([1, 2], "image not stated")]
)
def test_the_only_image_of_the_study(images, tmp_path: Path, listed, expected) -> None:
    archive, uids = images
    lines = [distance(points, None) for points in A]
    marks = read(vendor_report([box(*lines)], [uids[k] for k in listed]), archive, tmp_path)
    if isinstance(expected, str):
        assert reasons(marks) == [expected] * 2
        return
    assert (axes_of(marks[0]), marks[0].image.slice_index) == (A_AXES, expected)
    assert marks[0].flags == (IMAGE_OF_THE_STUDY,)


def test_two_images_beside_one_line(images, tmp_path: Path) -> None:
    archive, uids = images
    line = num(PRIVATE, 1, [scoord("POLYLINE", A[0], None), image_item(uids[0]), image_item(uids[1])])
    assert reasons(read(vendor_report([line]), archive, tmp_path)) == ["several images stated"]


@pytest.mark.parametrize(
    ("frame", "expected"),
    [(None, "frame not stated"), (2, 1), ([1, 2], "several images stated"), (9, "image not found")],
)
def test_frames_of_a_multi_frame_image(tmp_path: Path, frame, expected) -> None:
    sop_uid = enhanced_ct(tmp_path / "ct")
    lines = [(10.5, 10.5, 30.5, 10.5), (20.5, 5.5, 20.5, 15.5)]
    document = vendor_report([box(*(distance(points, image_item(sop_uid, frame)) for points in lines))])
    marks = read(document, DicomArchive.scan(tmp_path / "ct"), tmp_path)
    if isinstance(expected, str):
        assert reasons(marks) == [expected] * 2
        return
    assert marks[0].image.frame == expected


@pytest.mark.parametrize(
    ("kind", "points", "reason"),
    [
        ("POLYLINE", (20.5, 30.5, 60.5), "damaged coordinates"),
        ("POLYLINE", (), "damaged coordinates"),
        ("CIRCLE", (20.5, 30.5, 60.5, 30.5, 1, 1), "damaged coordinates"),
        ("POLYLINE", (20.5, 30.5, 60.5, 30.5, 40.5, 60.5), "open polyline"),
        ("POINT", (20.5, 30.5), "no diameters"),
    ],
)
def test_shapes_that_are_no_diameters(images, tmp_path: Path, kind: str, points, reason: str) -> None:
    archive, uids = images
    document = vendor_report([box(num(PRIVATE, 1, [scoord(kind, points, image_item(uids[0]))]))])
    assert reasons(read(document, archive, tmp_path)) == [reason]


# --- how codes are stored -----------------------------------------------------------------------------


def stored(concept: Dataset, keyword: str, value: str, scheme: str = "", meaning: str = "x") -> Dataset:
    """Give an item's concept name another encoding."""
    code = Dataset()
    setattr(code, keyword, value)
    code.CodeMeaning = meaning
    if scheme:
        code.CodingSchemeDesignator = scheme
    concept.ConceptNameCodeSequence = Items([code])
    return concept


ENCODINGS = {
    "SCT": ("CodeValue", "103339001", "103340004", "SCT"),
    "SRT": ("CodeValue", "G-A185", "G-A186", "SRT"),
    "SNM3": ("CodeValue", "G-A185", "G-A186", "SNM3"),
    "99SDM": ("CodeValue", "G-A185", "G-A186", "99SDM"),
    "long value": ("LongCodeValue", "103339001", "103340004", "SCT"),
    "URN": ("URNCodeValue", "http://snomed.info/id/103339001", "http://snomed.info/id/103340004", ""),
    "URN with scheme": (
        "URNCodeValue",
        "http://snomed.info/id/103339001",
        "http://snomed.info/id/103340004",
        "SCT",
    ),
    "OID": (
        "URNCodeValue",
        "urn:oid:2.16.840.1.113883.6.96:103339001",
        "urn:oid:2.16.840.1.113883.6.96:103340004",
        "",
    ),
    "major and minor axis": ("CodeValue", "G-A193", "G-A194", "SRT"),
}
# Read by name alone: the second line does not cross the first, so that geometry could not pair them.
BESIDE_ONE_ANOTHER = ((20.5, 30.5, 60.5, 30.5), (40.5, 33.5, 40.5, 45.5))


@pytest.mark.parametrize("name", ENCODINGS)
def test_codes_in_every_encoding(images, tmp_path: Path, name: str) -> None:
    archive, uids = images
    keyword, long, short, scheme = ENCODINGS[name]
    item = bidirectional(uids[0], *BESIDE_ONE_ANOTHER)
    stored(item.ContentSequence[0], keyword, long, scheme)
    stored(item.ContentSequence[1], keyword, short, scheme)
    (mark,) = read(sr_document([item]), archive, tmp_path)
    assert axes_of(mark) == (Axis(20, 30, 60, 30), Axis(40, 33, 40, 45))
    assert "axes do not cross" in mark.flags


def test_a_standard_code_beside_a_private_one(images, tmp_path: Path) -> None:
    archive, uids = images
    item = bidirectional(uids[0], *BESIDE_ONE_ANOTHER)
    for axis, concept in zip(item.ContentSequence, (LONG, SHORT), strict=True):
        stored(axis, "CodeValue", "ONCO-7", "99VENDOR")
        axis.ConceptNameCodeSequence[0].EquivalentCodeSequence = num(concept, 1).ConceptNameCodeSequence
    (mark,) = read(sr_document([item]), archive, tmp_path)
    assert axes_of(mark) == (Axis(20, 30, 60, 30), Axis(40, 33, 40, 45))


@pytest.mark.parametrize(
    ("keyword", "value", "scheme"),
    [
        ("CodeValue", "103339001", "99VENDOR"),
        ("URNCodeValue", "http://example.org/id/103339001", ""),
        ("CodeValue", "", "SCT"),
    ],
)
def test_codes_of_something_else_name_no_axis(
    images, tmp_path: Path, keyword: str, value: str, scheme: str
) -> None:
    archive, uids = images
    item = bidirectional(uids[0], *BESIDE_ONE_ANOTHER)
    for axis in item.ContentSequence:
        stored(axis, keyword, value, scheme)
    assert reasons(read(sr_document([item]), archive, tmp_path)) == ["single diameter"] * 2


def test_a_group_code_by_urn_is_a_group(images, tmp_path: Path) -> None:
    archive, uids = images
    item = stored(
        group([distance(A[0], image_item(uids[0]))]), "URNCodeValue", "urn:oid:1.2.840.10008.2.16.4:125007"
    )
    other = group([distance(A[1], image_item(uids[0]))])
    assert reasons(read(sr_document([item, other]), archive, tmp_path)) == ["single diameter"] * 2
