"""Segmentations that highdicom writes: binary, fractional, labelmap; with references or geometry only."""

from pathlib import Path

import numpy as np
import pytest
from dicom_files import coded, save
from highdicom_files import SHAPE, segment, segmentation, write_images
from pydicom import Dataset, dcmread
from pydicom.sr.coding import Code

from lesiongraph.errors import UnreadableImageError
from lesiongraph.mining.dicom_scan import DicomArchive
from lesiongraph.mining.marks import FoundMark, RejectedMark
from lesiongraph.mining.seg import read_seg
from lesiongraph.mining.structures import SEVERAL_PIECES

LABELMAP = "1.2.840.10008.5.1.4.1.1.66.7"
LIVER = Code("10200004", "SCT", "Liver")


@pytest.fixture(scope="module")
def ct(tmp_path_factory: pytest.TempPathFactory) -> tuple[DicomArchive, list[Dataset]]:
    folder = tmp_path_factory.mktemp("ct")
    images = write_images(folder)
    return DicomArchive.scan(folder), images


def read(dataset: Dataset, archive: DicomArchive, tmp_path: Path):
    return read_seg(dcmread(save(dataset, tmp_path / "seg.dcm")), archive)


def box(mark: FoundMark | RejectedMark) -> tuple[float, ...]:
    assert isinstance(mark, FoundMark), mark
    assert mark.mark is not None
    found = mark.mark.bounding_box(0)
    return found.x0, found.y0, found.x1, found.y1


def long_px(mark: FoundMark | RejectedMark) -> float:
    assert isinstance(mark, FoundMark), mark
    assert mark.mark is not None
    return mark.mark.long_axis.length_px


def two_lesions(images: list[Dataset]) -> np.ndarray:
    """Labels: lesion 1 is 20 × 1 px on the third slice, 10 on the second; lesion 2 is 6 × 1 on the first."""
    labels = np.zeros((len(images), *SHAPE), np.uint8)
    labels[2, 40, 50:70] = 1
    labels[1, 40, 50:60] = 1
    labels[0, 80, 100:106] = 2
    return labels


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
@pytest.mark.parametrize("referring", [True, False])
def test_several_segments(ct, tmp_path: Path, kind: str, referring: bool) -> None:
    archive, images = ct
    seg = segmentation(images, two_lesions(images), [segment(1), segment(2, "other")], kind)
    assert (seg.SOPClassUID == LABELMAP) == (kind == "LABELMAP")
    assert seg.Modality == "SEG"
    if not referring:
        for frame in seg.PerFrameFunctionalGroupsSequence:
            del frame.DerivationImageSequence
    first, second = read(seg, archive, tmp_path)[0]
    assert (first.image.slice_index, second.image.slice_index) == (2, 0)
    assert (long_px(first), long_px(second)) == (pytest.approx(20), pytest.approx(6))
    assert box(first) == pytest.approx((49.5, 39.5, 69.5, 40.5), abs=0.01)
    assert first.finding == "Nodule"


@pytest.mark.parametrize("fractional", ["PROBABILITY", "OCCUPANCY"])
@pytest.mark.parametrize("most", [255, 100, 1])
def test_a_fraction_ends_at_a_half_of_its_maximum(ct, tmp_path: Path, fractional: str, most: int) -> None:
    archive, images = ct
    share = np.zeros((len(images), *SHAPE), np.float32)
    share[1, 40, 40:80] = 0.4
    share[1, 40, 50:70] = 1.0
    seg = segmentation(
        images, share, [segment(1)], "FRACTIONAL", fractional_type=fractional, max_fractional_value=most
    )
    assert int(seg.MaximumFractionalValue) == most
    (mark,) = read(seg, archive, tmp_path)[0]
    assert long_px(mark) == pytest.approx(20)


def test_a_fraction_of_nothing_stated_is_a_clear_error(ct, tmp_path: Path) -> None:
    archive, images = ct
    seg = segmentation(images, two_lesions(images) == 1, [segment(1)], "FRACTIONAL")
    del seg.MaximumFractionalValue
    with pytest.raises(UnreadableImageError, match="maximum fractional value not stated"):
        read(seg, archive, tmp_path)


def test_a_segment_in_several_pieces_says_so(ct, tmp_path: Path) -> None:
    """One segment "metastases": its longest piece is marked, with a flag."""
    archive, images = ct
    labels = (two_lesions(images) > 0).astype(np.uint8)
    (mark,) = read(segmentation(images, labels, [segment(1, "metastases")]), archive, tmp_path)[0]
    assert long_px(mark) == pytest.approx(20)
    assert mark.flags == (SEVERAL_PIECES,)


def test_organs_beside_lesions_in_a_labelmap(ct, tmp_path: Path) -> None:
    """A described background (segment 0) is neither a lesion nor an organ."""
    archive, images = ct
    seg = segmentation(images, two_lesions(images), [segment(1, "Liver", LIVER), segment(2)], "LABELMAP")
    background = Dataset()
    background.SegmentNumber, background.SegmentLabel = 0, "Background"
    background.SegmentedPropertyTypeCodeSequence = coded("125040", "DCM", "Background")
    seg.SegmentSequence.insert(0, background)
    marks, (landmark,), counts = read(seg, archive, tmp_path)
    assert [mark.source_item for mark in marks] == ["segment 2 nodule"]
    assert (landmark.name, landmark.top_index, landmark.bottom_index) == ("Liver", 1, 2)
    assert counts["not a lesion structure"] == 1


def first_plane(seg: Dataset) -> Dataset:
    return seg.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]


def moved_off(seg: Dataset) -> None:
    first_plane(seg).ImagePositionPatient = [-10, -20, -50]


def sagittal(seg: Dataset) -> None:
    groups = seg.SharedFunctionalGroupsSequence[0]
    groups.PlaneOrientationSequence[0].ImageOrientationPatient = [0, 1, 0, 0, 0, -1]


def moved_off_without_reference(seg: Dataset) -> None:
    moved_off(seg)
    without_reference(seg)


def sagittal_without_reference(seg: Dataset) -> None:
    sagittal(seg)
    without_reference(seg)


def without_reference(seg: Dataset) -> None:
    for frame in seg.PerFrameFunctionalGroupsSequence:
        del frame.DerivationImageSequence


def without_anything(seg: Dataset) -> None:
    without_reference(seg)
    del seg.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence


def of_other_images(seg: Dataset) -> None:
    for source in seg.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence:
        source.ReferencedSOPInstanceUID = "2.25.1"


def of_no_frame_of_reference(seg: Dataset) -> None:
    without_reference(seg)
    seg.FrameOfReferenceUID = "2.25.1"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (moved_off, "not in the plane of its image"),
        (sagittal, "not in the plane of its image"),
        (moved_off_without_reference, "not in the plane of a slice"),
        (sagittal_without_reference, "not in the plane of a slice"),
        (without_anything, "position not stated"),
        (of_other_images, "image not found"),
        (of_no_frame_of_reference, "image not found"),
    ],
)
def test_frames_that_lie_on_no_slice(ct, tmp_path: Path, change, reason: str) -> None:
    archive, images = ct
    labels = np.zeros((len(images), *SHAPE), np.uint8)
    labels[1, 40, 50:70] = 1
    seg = segmentation(images, labels, [segment(1)])
    change(seg)
    (mark,), _, counts = read(seg, archive, tmp_path)
    assert mark.reason == reason
    assert counts["contour on absent slice"] == 1


def test_without_geometry_only_the_same_grid_can_be_meant(ct, tmp_path: Path) -> None:
    archive, images = ct
    seg = segmentation(images, two_lesions(images) == 1, [segment(1)])
    for frame in seg.PerFrameFunctionalGroupsSequence:
        del frame.PlanePositionSequence
    (mark,) = read(seg, archive, tmp_path)[0]
    assert long_px(mark) == pytest.approx(20)
    small = dcmread(tmp_path / "seg.dcm")
    small.Rows, small.Columns = SHAPE[0] // 2, SHAPE[1] // 2
    small.PixelData = bytes(len(small.PixelData) // 4 - 1) + b"\x01"
    (mark,), _, counts = read(small, archive, tmp_path)
    assert mark.reason == "segment of another grid without position"
    assert counts["segment of another grid without position"] == 1


def test_frames_without_groups_are_counted(ct, tmp_path: Path) -> None:
    archive, images = ct
    seg = segmentation(images, two_lesions(images), [segment(1), segment(2, "other")])
    lost = seg.PerFrameFunctionalGroupsSequence.pop()
    assert lost.SegmentIdentificationSequence[0].ReferencedSegmentNumber == 2
    marks, _, counts = read(seg, archive, tmp_path)
    assert getattr(marks[1], "reason", "") == "structure without contours"
    assert counts["frame of an unknown segment"] == 1
