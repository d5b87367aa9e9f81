"""TID 1500 with groups of TID 1501, 1410 and 1411, written by highdicom, on images and in the patient."""

from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from dicom_files import save, uid
from highdicom_files import (
    NODULE,
    SHAPE,
    measured,
    measured_3d,
    report,
    segment,
    segmentation,
    source,
    tracking,
    write_images,
)
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from lesiongraph.lesion import Axis
from lesiongraph.mining.dicom_scan import DicomArchive
from lesiongraph.mining.marks import FoundMark, RejectedMark
from lesiongraph.mining.sr import read_sr

LONG, SHORT = Code("103339001", "SCT", "Long Axis"), Code("103340004", "SCT", "Short Axis")
LINES = (((20.5, 30.5), (60.5, 30.5)), ((40.5, 20.5), (40.5, 44.5)))  # 20 and 12 mm
AXES = (Axis(20, 30, 60, 30), Axis(40, 20, 40, 44))
LIVER = hd.sr.FindingSite(Code("10200004", "SCT", "Liver"))


@pytest.fixture(scope="module")
def ct(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Dataset]]:
    folder = tmp_path_factory.mktemp("ct")
    return folder, write_images(folder)


def read(document: Dataset, folder: Path, tmp_path: Path, *others: Dataset) -> list[FoundMark | RejectedMark]:
    """Read a document through a file, in an archive of the images and these other objects."""
    for number, other in enumerate(others):
        save(other, tmp_path / "others" / str(number))
    folders = [folder, tmp_path / "others"] if others else [folder]
    return read_sr(dcmread(save(document, tmp_path / "sr.dcm")), DicomArchive.scan_folders(folders))


def axes_of(mark: FoundMark | RejectedMark) -> tuple[Axis, Axis]:
    assert isinstance(mark, FoundMark), mark
    assert mark.mark is not None
    return mark.mark.long_axis, mark.mark.short_axis


def reason_of(mark: FoundMark | RejectedMark) -> str:
    return mark.reason if isinstance(mark, RejectedMark) else ""


def group_1501(measurements: list[hd.sr.Measurement], name: str = "Lesion 1") -> Dataset:
    return hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking(name),
        finding_type=NODULE,
        finding_sites=[LIVER],
        measurements=measurements,
    )


def test_long_and_short_axis(ct, tmp_path: Path) -> None:
    folder, images = ct
    lines = [measured(LONG, 20, LINES[0], images[1]), measured(SHORT, 12, LINES[1], images[1])]
    (mark,) = read(report([group_1501(lines)], images), folder, tmp_path)
    assert axes_of(mark) == AXES
    assert (mark.image.slice_index, mark.type, mark.finding, mark.flags) == (1, "liver", "Nodule", ())
    assert mark.tracking_uid == uid("tracking", "Lesion 1")
    assert mark.source_item.endswith("Lesion 1")


def test_two_groups_and_one_of_a_single_length(ct, tmp_path: Path) -> None:
    folder, images = ct
    down = [[(x, y + 60) for x, y in line] for line in LINES]
    groups = [
        group_1501([measured(LONG, 20, LINES[0], images[0]), measured(SHORT, 12, LINES[1], images[0])], "A"),
        group_1501([measured(SHORT, 12, down[1], images[0]), measured(LONG, 20, down[0], images[0])], "B"),
        group_1501([measured(Code("410668003", "SCT", "Length"), 20, LINES[0], images[0])], "C"),
    ]
    marks = read(report(groups, images), folder, tmp_path)
    assert [mark.source_item[-1] for mark in marks] == ["A", "B", "C"]
    assert axes_of(marks[1]) == (Axis(20, 90, 60, 90), Axis(40, 80, 40, 104))
    assert reason_of(marks[2]) == "single diameter"


def in_patient(points: object, off_mm: float = 0.0) -> list[tuple[float, float, float]]:
    """Where image coordinates of the second slice lie, whose first pixel has its centre at (−10, −20, −5)."""
    return [(-10 + 0.5 * (x - 0.5), -20 + 0.5 * (y - 0.5), -5 + off_mm) for x, y in points]


@pytest.mark.parametrize(
    ("off_mm", "expected"), [(0, 1), (-2.4, 1), (-2.6, 2), (15, "not in the plane of a slice")]
)
def test_patient_coordinates(ct, tmp_path: Path, off_mm: float, expected) -> None:
    folder, images = ct
    lines = [
        measured_3d(LONG, 20, in_patient(LINES[0], off_mm)),
        measured_3d(SHORT, 12, in_patient(LINES[1], off_mm)),
    ]
    (mark,) = read(report([group_1501(lines)], images, three_d=True), folder, tmp_path)
    if isinstance(expected, str):
        assert reason_of(mark) == expected
        return
    assert mark.image.slice_index == expected
    assert [round(v, 4) for a in axes_of(mark) for v in (a.x0, a.y0, a.x1, a.y1)] == [
        20,
        30,
        60,
        30,
        40,
        20,
        40,
        44,
    ]


def test_a_line_that_runs_through_slices_is_not_projected(ct, tmp_path: Path) -> None:
    folder, images = ct
    steep = [(0.0, 0.0, -2.0), (10.0, 0.0, -8.0)]
    lines = [measured_3d(LONG, 12, steep), measured_3d(SHORT, 12, in_patient(LINES[1]))]
    (mark,) = read(report([group_1501(lines)], images, three_d=True), folder, tmp_path)
    assert reason_of(mark) == "not in the plane of a slice"


# --- TID 1410: a region in one slice ------------------------------------------------------------------


def group_1410(region: object = None, frame: object = None, finding: Code = NODULE) -> Dataset:
    return hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking(),
        referenced_region=region,
        referenced_segment=frame,
        finding_type=finding,
        measurements=[hd.sr.Measurement(codes.SCT.Area, 30, codes.UCUM.SquareMillimeter)],
    )


REGIONS = {
    "CIRCLE": (((80.5, 60.5), (84.5, 63.5)), (10, 10)),
    "ELLIPSE": (((120.5, 50.5), (120.5, 70.5), (114.5, 60.5), (126.5, 60.5)), (20, 12)),
    "POLYLINE": (((20.5, 30.5), (32.5, 30.5), (32.5, 35.5), (20.5, 35.5), (20.5, 30.5)), (13, 13 * 5 / 12)),
}


@pytest.mark.parametrize("kind", REGIONS)
def test_a_region_gives_both_diameters(ct, tmp_path: Path, kind: str) -> None:
    folder, images = ct
    points, lengths = REGIONS[kind]
    region = hd.sr.ImageRegion(kind, np.array(points), source(images[2]))
    (mark,) = read(report([group_1410(region)], images, three_d=True), folder, tmp_path)
    assert [axis.length_px for axis in axes_of(mark)] == pytest.approx(lengths, abs=1e-3)
    assert mark.image.slice_index == 2


def test_a_region_in_patient_coordinates(ct, tmp_path: Path) -> None:
    folder, images = ct
    corners = in_patient(REGIONS["POLYLINE"][0])
    region = hd.sr.ImageRegion3D("POLYGON", np.array(corners), uid("frame"))
    (mark,) = read(report([group_1410(region)], images, three_d=True), folder, tmp_path)
    assert axes_of(mark)[0].length_px == pytest.approx(13, abs=1e-4)
    assert mark.image.slice_index == 1


def test_an_organs_region_and_a_point_are_rejected(ct, tmp_path: Path) -> None:
    folder, images = ct
    circles = [hd.sr.ImageRegion("CIRCLE", np.array(REGIONS["CIRCLE"][0]), source(images[2])) for _ in "ab"]
    aorta = group_1410(circles[0], finding=Code("15825003", "SCT", "Aorta"))
    document = report([aorta, group_1410(circles[1])], images, three_d=True)
    measurements = document.ContentSequence[-1].ContentSequence
    shape = next(item for item in measurements[1].ContentSequence if item.ValueType == "SCOORD")
    shape.GraphicType, shape.GraphicData = "POINT", [80.5, 60.5]
    assert [reason_of(mark) for mark in read(document, folder, tmp_path)] == [
        "not a lesion structure",
        "no diameters",
    ]


@pytest.mark.parametrize(("kind", "count"), [("CIRCLE", 6), ("ELLIPSE", 6), ("POLYLINE", 5)])
def test_a_region_with_too_few_points_is_rejected(ct, tmp_path: Path, kind: str, count: int) -> None:
    folder, images = ct
    document = report(
        [group_1410(hd.sr.ImageRegion(kind, np.array(REGIONS[kind][0]), source(images[2])))],
        images,
        three_d=True,
    )
    items = document.ContentSequence[-1].ContentSequence[0].ContentSequence
    shape = next(item for item in items if item.ValueType == "SCOORD")
    shape.GraphicData = [20.5] * count
    assert reason_of(read(document, folder, tmp_path)[0]) == "damaged coordinates"


# --- TID 1411: a volume, as a segment or as a region in each slice --------------------------------------


def group_1411(**what: object) -> Dataset:
    return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking(),
        finding_type=NODULE,
        finding_sites=[LIVER],
        measurements=[hd.sr.Measurement(codes.SCT.Volume, 100, codes.UCUM.CubicMillimeter)],
        **what,
    )


def volume_of(images: list[Dataset]) -> np.ndarray:
    """Two segments: 10 × 4 px on the second slice and 20 × 4 px on the third; 6 × 6 px on the first."""
    pixels = np.zeros((len(images), *SHAPE, 2), np.uint8)
    pixels[1, 40:44, 50:60, 0] = 1
    pixels[2, 40:44, 50:70, 0] = 1
    pixels[0, 80:86, 100:106, 1] = 1
    return pixels


@pytest.fixture(scope="module")
def seg(ct) -> hd.seg.Segmentation:
    _, images = ct
    return segmentation(images, volume_of(images), [segment(1), segment(2, "other")])


def referenced(seg: Dataset, number: int, images: list[Dataset], **more: object) -> hd.sr.ReferencedSegment:
    sources = [hd.sr.SourceImageForSegmentation(i.SOPClassUID, i.SOPInstanceUID) for i in images]
    return hd.sr.ReferencedSegment(seg.SOPClassUID, seg.SOPInstanceUID, number, source_images=sources, **more)


def test_a_referenced_segment_is_measured(ct, seg, tmp_path: Path) -> None:
    folder, images = ct
    groups = [group_1411(referenced_segment=referenced(seg, number, images[:3])) for number in (1, 2)]
    first, second = read(report(groups, [*images, seg], three_d=True), folder, tmp_path, seg)
    # the outline of 20 × 4 pixels runs through the middles of its pixels' sides: corners cut by half a pixel
    assert axes_of(first)[0].length_px == pytest.approx(np.hypot(20, 3), abs=0.01)
    assert (first.image.slice_index, second.image.slice_index) == (2, 0)
    assert (first.source, first.type, first.finding) == ("SR", "liver", "Nodule")
    assert first.tracking_uid == uid("tracking", "Lesion 1")
    box = second.mark.bounding_box(0)
    assert (box.x0, box.y0, box.x1, box.y1) == pytest.approx((99.5, 79.5, 105.5, 85.5), abs=0.6)


def test_a_referenced_segment_of_one_frame(ct, seg, tmp_path: Path) -> None:
    """TID 1410 refers to a segment in one frame: the longer one in another slice does not count."""
    folder, images = ct
    image = hd.sr.SourceImageForSegmentation(images[1].SOPClassUID, images[1].SOPInstanceUID)
    frame = hd.sr.ReferencedSegmentationFrame(seg.SOPClassUID, seg.SOPInstanceUID, 1, 1, image)
    (mark,) = read(report([group_1410(frame=frame)], [*images, seg], three_d=True), folder, tmp_path, seg)
    assert mark.image.slice_index == 1
    assert axes_of(mark)[0].length_px == pytest.approx(np.hypot(10, 3), abs=0.01)


def test_segments_that_are_not_there(ct, seg, tmp_path: Path) -> None:
    folder, images = ct
    one = report(
        [group_1411(referenced_segment=referenced(seg, 1, images[:3]))], [*images, seg], three_d=True
    )
    assert reason_of(read(one, folder, tmp_path)[0]) == "segmentation not found"
    seven = report(
        [group_1411(referenced_segment=referenced(seg, 7, images[:3]))], [*images, seg], three_d=True
    )
    assert reason_of(read(seven, folder, tmp_path, seg)[0]) == "segment not found"
    for item in one.ContentSequence[-1].ContentSequence[0].ContentSequence:
        if item.ValueType == "IMAGE" and "ReferencedSegmentNumber" in item.ReferencedSOPSequence[0]:
            del item.ReferencedSOPSequence[0].ReferencedSegmentNumber
    assert reason_of(read(one, folder, tmp_path, seg)[0]) == "segment not stated"


def test_a_damaged_segmentation_does_not_lose_the_other_groups(ct, tmp_path: Path) -> None:
    folder, images = ct
    damaged = segmentation(images, volume_of(images), [segment(1), segment(2, "other")])
    damaged.PixelData = damaged.PixelData[:8]
    lines = [measured(LONG, 20, LINES[0], images[1]), measured(SHORT, 12, LINES[1], images[1])]
    groups = [group_1411(referenced_segment=referenced(damaged, 1, images[:3])), group_1501(lines)]
    document = report(groups, [*images, damaged], three_d=True)
    segmented, drawn = read(document, folder, tmp_path, damaged)
    assert reason_of(segmented).startswith("segmentation unreadable: ")
    assert axes_of(drawn) == AXES


def test_regions_in_several_slices_are_one_lesion(ct, tmp_path: Path) -> None:
    folder, images = ct
    regions = [
        hd.sr.ImageRegion("CIRCLE", np.array(((80.5, 60.5), (80.5 + radius, 60.5))), source(image))
        for radius, image in zip((3, 8, 5), images[:3], strict=True)
    ]
    (mark,) = read(report([group_1411(referenced_regions=regions)], images, three_d=True), folder, tmp_path)
    assert axes_of(mark) == (Axis(72, 60, 88, 60), Axis(80, 52, 80, 68))
    assert mark.image.slice_index == 1
