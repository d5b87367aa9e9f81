"""RT structure sets on made-up CT: which structures are lesions, on which slice, in whose pixels."""

import numpy as np
import pytest
from dicom_files import new_file, uid, volume
from structure_files import box_mm, contour, structure_set

from lesiongraph.errors import UsageError
from lesiongraph.mining.dicom_scan import DicomArchive
from lesiongraph.mining.marks import FoundMark, RejectedMark
from lesiongraph.mining.rtstruct import read_rtstruct
from lesiongraph.mining.structures import HALF_ABSENT, names_a_lesion


@pytest.fixture
def ct(tmp_path) -> tuple[DicomArchive, list[str]]:
    uids = volume(tmp_path / "ct")  # z = 0, −5, …, −20 mm
    return DicomArchive.scan(tmp_path / "ct"), uids


def test_the_slice_with_the_longest_axis_is_marked(ct):
    archive, uids = ct
    dataset = structure_set(
        (
            "GTV-1",
            "",
            [
                contour(box_mm(10, 10, 14, 14, 0), uids[0]),
                contour(box_mm(10, 10, 20, 16, -5), uids[1]),
                contour(box_mm(10, 10, 15, 15, -10), uids[2]),
            ],
        )
    )
    (mark,), landmarks, counts = read_rtstruct(dataset, archive)
    assert isinstance(mark, FoundMark)
    assert (mark.image.slice_index, mark.source, mark.flags) == (1, "RTSTRUCT", ())
    assert mark.mark.long_axis.length_mm(mark.image.spacing) == pytest.approx(np.hypot(8, 3), abs=1e-3)
    box = mark.mark.bounding_box(0)
    assert (box.x0, box.x1) == pytest.approx((10, 20), abs=0.01)
    assert (box.y0, box.y1) == pytest.approx((10, 16), abs=0.01)
    assert landmarks == []
    assert counts["not a lesion structure"] == 0


def test_longest_is_meant_in_mm(ct):
    archive, uids = ct
    tall = contour(box_mm(10, 5, 12, 17, 0), uids[0])  # 12 px × 0.5 mm
    wide = contour(box_mm(10, 10, 20, 12, -5), uids[1])  # 10 px × 0.8 mm
    (mark,), _, _ = read_rtstruct(structure_set(("tumour", "", [tall, wide])), archive)
    assert mark.image.slice_index == 1


def test_organs_become_landmarks(ct):
    archive, uids = ct
    organ = [contour(box_mm(5, 5, 30, 25, -5 * i), uids[i]) for i in (1, 2, 3)]
    marks, (landmark,), counts = read_rtstruct(structure_set(("Liver", "ORGAN", organ)), archive)
    assert marks == []
    assert (landmark.name, landmark.top_index, landmark.bottom_index, landmark.centre_index) == (
        "Liver",
        1,
        3,
        2,
    )
    assert counts["not a lesion structure"] == 1


@pytest.mark.parametrize(("present", "flagged"), [(2, True), (3, False)])
def test_absent_slices_are_counted_and_told(ct, present, flagged):
    archive, uids = ct
    contours = [contour(box_mm(10, 10, 20, 16, -5 * i), uids[i]) for i in range(present)]
    contours += [contour(box_mm(10, 10, 30, 16, -2.5), uid("absent", i)) for i in range(3)]
    (mark,), _, counts = read_rtstruct(structure_set(("Tumor", "", contours)), archive)
    assert counts["contour on absent slice"] == 3
    assert (HALF_ABSENT in mark.flags) is flagged


def test_a_structure_on_absent_slices_only_is_rejected(ct):
    archive, _ = ct
    dataset = structure_set(("GTV", "", [contour(box_mm(10, 10, 20, 16, 0), uid("absent"))]))
    (mark,), _, _ = read_rtstruct(dataset, archive)
    assert isinstance(mark, RejectedMark)
    assert mark.reason == "image not found"


def test_without_reference_the_position_tells_the_slice(ct):
    archive, _ = ct
    near = contour(box_mm(10, 10, 20, 16, -10.2), None)
    between = contour(box_mm(10, 10, 30, 16, -12.5), None)
    (mark,), _, counts = read_rtstruct(structure_set(("GTV", "", [near, between])), archive)
    assert mark.image.slice_index == 2
    assert counts["contour on absent slice"] == 1


def test_rows_stored_bottom_up(tmp_path):
    uids = volume(tmp_path / "ct", orientation=(1, 0, 0, 0, -1, 0), xy_mm=(-10.0, -4.5))
    archive = DicomArchive.scan(tmp_path / "ct")
    dataset = structure_set(("GTV", "", [contour(box_mm(10, 2, 20, 8, 0), uids[0])]))
    (mark,), _, _ = read_rtstruct(dataset, archive)
    box = mark.mark.bounding_box(0)
    assert (box.y0, box.y1) == pytest.approx((31 - 8, 31 - 2), abs=0.01)  # row 0 is now the last one


@pytest.mark.parametrize(
    ("contours", "reason"),
    [
        ([], "structure without contours"),
        ([contour([1, 2, 3], "1.2", kind="POINT")], "encloses no area (point)"),
        ([contour([1, 2], "1.2")], "contour unreadable"),
    ],
)
def test_structures_without_usable_contours_are_rejected(ct, contours, reason):
    (mark,), _, _ = read_rtstruct(structure_set(("GTV", "", contours)), ct[0])
    assert mark.reason == reason


def test_flat_and_outlying_contours_are_rejected(ct):
    archive, uids = ct
    flat = contour([-9, -19, 0, -5, -19, 0], uids[0])
    off = contour(box_mm(40, 10, 60, 16, 0), uids[0])
    marks, _, _ = read_rtstruct(structure_set(("GTV1", "", [flat]), ("GTV2", "", [off])), archive)
    assert [mark.reason for mark in marks] == ["zero length", "outside the image"]


def test_interpreted_type_and_pattern_decide(ct):
    archive, uids = ct
    item = [contour(box_mm(10, 10, 20, 16, 0), uids[0])]
    dataset = structure_set(("A1", "GTV", item), ("Spleen", "ORGAN", item))
    assert [m.finding for m in read_rtstruct(dataset, archive)[0]] == ["A1"]
    assert [m.finding for m in read_rtstruct(dataset, archive, "spl")[0]] == ["Spleen"]
    with pytest.raises(UsageError, match="regular expression"):
        read_rtstruct(dataset, archive, "(")


LESIONS = """GTV-1|gtvp|iGTV|GTV_n2|livertumor1|Tumour left|nodule|Nodules|LungMass_2|mass|Lesion 3
|liver metastasis|mets|NEOPLASM|Primary neoplasia"""
OTHERS = """Lung-Left|liver|ROI|PTV|Massage|Masseter|Metal|metabolic|Bowel_sm_planCT|Lung-GTV
|Lungs minus GTV|liver_without_tumor|non-lesion|Brain excl GTV|"""


@pytest.mark.parametrize("name", LESIONS.replace("\n", "").split("|"))
def test_names_of_lesions(name):
    assert names_a_lesion(name)


@pytest.mark.parametrize("name", OTHERS.replace("\n", "").split("|"))
def test_names_of_others(name):
    assert not names_a_lesion(name)


def test_an_empty_structure_set_gives_nothing(ct):
    assert read_rtstruct(new_file("1.2.840.10008.5.1.4.1.1.481.3", "RTSTRUCT", uid("x")), ct[0])[:2] == (
        [],
        [],
    )
