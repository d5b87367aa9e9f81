"""DICOM segmentations on made-up CT: binary, fractional, labelmap; own grids; several readers."""

import pytest
from dicom_files import uid, volume
from structure_files import frame_groups, plane, seg, segment

from lesiongraph.errors import UnreadableImageError
from lesiongraph.mining.dicom_scan import DicomArchive
from lesiongraph.mining.marks import FoundMark
from lesiongraph.mining.seg import read_seg

NODULE = ("27925004", "SCT", "Nodule")
LIVER = ("10200004", "SCT", "Liver")


@pytest.fixture
def ct(tmp_path) -> tuple[DicomArchive, list[str]]:
    uids = volume(tmp_path / "ct")
    return DicomArchive.scan(tmp_path / "ct"), uids


def test_binary_segment_becomes_a_mark_on_its_longest_slice(ct):
    archive, uids = ct
    dataset = seg(
        [segment(1, "ann1", NODULE, site=("39607008", "SCT", "Lung"))],
        [
            (frame_groups(1, 0, uids[0]), plane(10, 14, 10, 14)),
            (frame_groups(1, -5, uids[1]), plane(10, 20, 10, 11)),
        ],
    )
    (mark,), landmarks, counts = read_seg(dataset, archive)
    assert isinstance(mark, FoundMark)
    assert (mark.image.slice_index, mark.source, mark.type, mark.finding) == (1, "SEG", "lung", "Nodule")
    assert mark.tracking_uid == uid("tracking", 1)
    assert mark.mark.long_axis.length_px == pytest.approx(10)
    assert mark.mark.short_axis.length_px == pytest.approx(1, abs=1e-3)
    box = mark.mark.bounding_box(0)
    assert (box.x0, box.y0, box.x1, box.y1) == pytest.approx((9.5, 9.5, 19.5, 10.5), abs=0.01)
    assert landmarks == []
    assert not counts


def test_organs_are_landmarks_and_labels_count(ct):
    archive, uids = ct
    dataset = seg(
        [segment(1, "Liver", LIVER), segment(2, "liver tumor", LIVER)],
        [
            (frame_groups(1, -5, uids[1]), plane(5, 40, 5, 30)),
            (frame_groups(1, -10, uids[2]), plane(5, 40, 5, 30)),
            (frame_groups(1, -15, uids[3]), plane(0, 0, 0, 0)),  # empty: not the organ's extent
            (frame_groups(2, -10, uids[2]), plane(10, 20, 10, 20)),
        ],
    )
    (mark,), (landmark,), counts = read_seg(dataset, archive)
    assert mark.source_item == "segment 2 liver tumor"
    assert (landmark.name, landmark.top_index, landmark.bottom_index) == ("Liver", 1, 2)
    assert counts["not a lesion structure"] == 1
    assert [m.source_item for m in read_seg(dataset, archive, "^liver$")[0]] == ["segment 1 Liver"]


@pytest.mark.parametrize(
    "code",
    [
        ("108369006", "SCT", "x"),
        ("86049000", "SCT", "x"),
        ("52988006", "SCT", "x"),
        ("4147007", "SCT", "x"),
        ("M-80003", "SRT", "Neoplasm, Primary"),
        ("M-03000", "SRT", "x"),  # the old code of Mass
        ("99", "99LOCAL", "Pulmonary nodule"),
    ],
)
def test_property_types_of_lesions(ct, code):
    archive, uids = ct
    dataset = seg([segment(1, "s", code)], [(frame_groups(1, 0, uids[0]), plane(10, 20, 10, 20))])
    assert len(read_seg(dataset, archive)[0]) == 1


def test_fractional_ends_at_a_half(ct):
    archive, uids = ct
    pixels = plane(5, 30, 10, 20, value=99)
    pixels[10:20, 10:20] = 100  # half of MaximumFractionalValue
    dataset = seg([segment(1, "n", NODULE)], [(frame_groups(1, 0, uids[0]), pixels)], kind="FRACTIONAL")
    (mark,), _, _ = read_seg(dataset, archive)
    assert mark.mark.bounding_box(0).x0 >= 9.5 - 0.01


def test_labelmap_holds_several_segments(ct):
    archive, uids = ct
    pixels = plane(5, 15, 10, 20, value=1) + plane(20, 40, 10, 12, value=2)
    dataset = seg(
        [segment(1, "a", NODULE), segment(2, "b", NODULE)],
        [(frame_groups(None, 0, uids[0]), pixels)],
        kind="LABELMAP",
    )
    marks, _, _ = read_seg(dataset, archive)
    assert [round(mark.mark.bounding_box(0).x0, 1) for mark in marks] == [4.5, 19.5]


def test_a_segment_on_another_grid_is_carried_onto_the_image(ct):
    archive, uids = ct
    groups = frame_groups(1, 0, uids[0], corner=(-10 + 0.8 * 8 - 0.2, -20 + 0.5 * 4 - 0.125))
    small = plane(4, 12, 4, 16, shape=(40, 40))  # pixels half as large, cut out at (8, 4)
    (mark,), _, _ = read_seg(seg([segment(1, "n", NODULE)], [(groups, small)], spacing=(0.25, 0.4)), archive)
    box = mark.mark.bounding_box(0)
    # half pixels 4–11 and 4–15 from (7.75, 3.75) on: x from 9.5 to 13.5, y from 5.5 to 11.5
    assert (box.x0, box.x1) == pytest.approx((9.5, 13.5), abs=0.3)
    assert (box.y0, box.y1) == pytest.approx((5.5, 11.5), abs=0.3)


def test_without_source_image_the_position_tells_the_slice(ct):
    archive, _ = ct
    dataset = seg(
        [segment(1, "n", NODULE)],
        [
            (frame_groups(1, -10, None), plane(10, 20, 10, 20)),
            (frame_groups(1, -12, None), plane(1, 40, 9, 20)),
        ],
    )
    (mark,), _, counts = read_seg(dataset, archive)
    assert mark.image.slice_index == 2
    assert counts["contour on absent slice"] == 1


def test_absent_images_reject(ct):
    dataset = seg([segment(1, "n", NODULE)], [(frame_groups(1, 0, uid("absent")), plane(10, 20, 10, 20))])
    (mark,), _, counts = read_seg(dataset, ct[0])
    assert mark.reason == "image not found"
    assert counts["contour on absent slice"] == 1


def test_several_readers_of_one_nodule_are_told(ct):
    archive, uids = ct
    dataset = seg(
        [segment(1, "reader 1", NODULE), segment(2, "reader 2", NODULE), segment(3, "other", NODULE)],
        [
            (frame_groups(1, 0, uids[0]), plane(10, 20, 10, 20)),
            (frame_groups(2, 0, uids[0]), plane(11, 21, 10, 20)),
            (frame_groups(3, 0, uids[0]), plane(30, 40, 10, 20)),
        ],
    )
    marks, _, _ = read_seg(dataset, archive)
    assert [mark.flags for mark in marks] == [(), ("same place as segment 1 reader 1",), ()]


def test_a_segment_without_pixels_is_rejected(ct):
    archive, uids = ct
    dataset = seg([segment(1, "n", NODULE)], [(frame_groups(1, 0, uids[0]), plane(0, 0, 0, 0))])
    assert read_seg(dataset, archive)[0][0].reason == "structure without contours"


def test_truncated_pixels_are_a_clear_error(ct):
    archive, uids = ct
    dataset = seg([segment(1, "n", NODULE)], [(frame_groups(1, 0, uids[0]), plane(10, 20, 10, 20))])
    dataset.PixelData = dataset.PixelData[:20]
    with pytest.raises(UnreadableImageError):
        read_seg(dataset, archive)
