"""Structure sets as planning systems write them: holes, keyholes, several contours a slice, tilted slices."""

from pathlib import Path

import numpy as np
import pytest
from dicom_files import ct_slice, save, uid, volume
from pydicom import Dataset
from test_rtstruct import box_mm, contour, structure_set

from lesiongraph.mining.dicom_scan import DicomArchive
from lesiongraph.mining.marks import FoundMark, RejectedMark
from lesiongraph.mining.rtstruct import read_rtstruct, without_keyhole
from lesiongraph.mining.structures import SEVERAL_PIECES

# On pixels of 0.8 × 0.5 mm: 20 × 16 px is 16 × 8 mm, its diagonal √320 mm
OUTER = (10, 5, 30, 21)


@pytest.fixture
def ct(tmp_path: Path) -> tuple[DicomArchive, list[str]]:
    uids = volume(tmp_path / "ct")  # z = 0, −5, …, −20 mm
    return DicomArchive.scan(tmp_path / "ct"), uids


def read_one(archive: DicomArchive, *contours: Dataset) -> FoundMark | RejectedMark:
    (mark,), _, _ = read_rtstruct(structure_set(("GTV", "GTV", list(contours))), archive)
    return mark


def lengths_mm(mark: FoundMark | RejectedMark) -> list[float]:
    assert isinstance(mark, FoundMark), mark
    assert mark.mark is not None
    return [axis.length_mm(mark.image.spacing) for axis in (mark.mark.long_axis, mark.mark.short_axis)]


EXPECTED = [
    320**0.5,
    16 * 8 / 320**0.5 * 320 / 256,
]  # the section square on the diagonal: 8 / cos(atan(8/16))


@pytest.mark.parametrize("kind", ["CLOSED_PLANAR", "CLOSEDPLANAR_XOR"])
def test_a_hole_does_not_shorten(ct, kind: str) -> None:
    """The hole is a second contour on the slice; a reader measures across a necrosis."""
    archive, uids = ct
    hole = contour(box_mm(15, 9, 25, 17, 0), uids[0], kind)
    mark = read_one(archive, contour(box_mm(*OUTER, 0), uids[0], kind), hole)
    assert lengths_mm(mark) == pytest.approx(EXPECTED, abs=2e-3)
    assert mark.flags == ()


def keyhole_mm() -> list[float]:
    """Outer ring, a line into the hole, the hole the other way round, the same line back."""
    outer, hole = box_mm(*OUTER, 0), box_mm(15, 9, 25, 17, 0)
    ring = [hole[0:3], hole[9:12], hole[6:9], hole[3:6], hole[0:3]]
    return [*outer, *outer[:3], *(v for point in ring for v in point), *outer[:3]]


def test_a_hole_through_a_keyhole_does_not_shorten(ct) -> None:
    archive, uids = ct
    mark = read_one(archive, contour(keyhole_mm(), uids[0]))
    assert lengths_mm(mark) == pytest.approx(EXPECTED, abs=2e-3)


def test_a_contour_that_meets_itself_without_a_hole_stays_whole() -> None:
    """Two squares that share a corner: an eight, not a region with a hole."""
    eight = np.array([(0, 0), (4, 0), (4, 4), (8, 4), (8, 8), (4, 8), (4, 4), (0, 4)], float)
    assert without_keyhole(eight).tolist() == eight.tolist()
    assert without_keyhole(eight[:3]).tolist() == eight[:3].tolist()


@pytest.mark.parametrize("far", [1e12, -1e300])
def test_absurd_coordinates(ct, far: float) -> None:
    archive, uids = ct
    drawn = box_mm(*OUTER, 0)
    drawn[0] = far
    item = contour(box_mm(*OUTER, 0), uids[0])
    item.ContourData = [f"{v:.6g}" for v in drawn]
    assert getattr(read_one(archive, item), "reason", "") == "contour unreadable"


def test_unknown_spacing(tmp_path: Path) -> None:
    uids = volume(tmp_path / "ct", PixelSpacing=None)
    mark = read_one(DicomArchive.scan(tmp_path / "ct"), contour(box_mm(*OUTER, 0), uids[0]))
    assert isinstance(mark, RejectedMark)
    assert mark.reason == "pixel spacing unknown"


def test_several_contours_on_a_slice(ct) -> None:
    """Two pieces apart: the longer one is marked, and the mark says that there are several."""
    archive, uids = ct
    small, large = contour(box_mm(2, 2, 7, 8, 0), uids[0]), contour(box_mm(*OUTER, 0), uids[0])
    mark = read_one(archive, small, large)
    assert lengths_mm(mark) == pytest.approx(EXPECTED, abs=2e-3)
    assert mark.flags == (SEVERAL_PIECES,)


def test_pieces_that_meet_on_a_neighbouring_slice_are_one(ct) -> None:
    """A horseshoe: two legs on one slice, joined on the next."""
    archive, uids = ct
    legs = [contour(box_mm(2, 2, 8, 8, 0), uids[0]), contour(box_mm(20, 2, 26, 8, 0), uids[0])]
    mark = read_one(archive, *legs, contour(box_mm(2, 2, 26, 8, -5), uids[1]))
    assert mark.flags == ()


@pytest.mark.parametrize("kind", ["POINT", "OPEN_PLANAR", "OPEN_NONPLANAR"])
def test_what_encloses_nothing_is_rejected_with_its_kind(ct, kind: str) -> None:
    archive, uids = ct
    mark = read_one(archive, contour(box_mm(*OUTER, 0), uids[0], kind))
    assert getattr(mark, "reason", "") == f"encloses no area ({kind.lower()})"


@pytest.mark.parametrize(
    ("z_mm", "reference", "reason"),
    [
        (-2.5, False, "not in the plane of a slice"),
        (-40, False, "not in the plane of a slice"),
        (-12, True, "not in the plane of its image"),
        (-2, True, ""),  # nearer to its image than to any other
    ],
)
def test_contours_off_their_slice(ct, z_mm: float, reference: bool, reason: str) -> None:
    archive, uids = ct
    mark = read_one(archive, contour(box_mm(*OUTER, z_mm), uids[0] if reference else None))
    assert getattr(mark, "reason", "") == reason


def test_a_contour_in_another_frame_of_reference(ct) -> None:
    archive, _ = ct
    dataset = structure_set(("GTV", "GTV", [contour(box_mm(*OUTER, 0), None)]))
    dataset.StructureSetROISequence[0].ReferencedFrameOfReferenceUID = uid("elsewhere")
    (mark,), _, _ = read_rtstruct(dataset, archive)
    assert mark.reason == "image not found"


@pytest.mark.parametrize("reference", [True, False])
def test_a_tilted_series(tmp_path: Path, reference: bool) -> None:
    """Rows run down and towards the feet, as with a tilted gantry: rows 0.5 mm apart along (0, 0.8, −0.6)."""
    uids = []
    for index in range(3):
        image = ct_slice(-5.0 * index, number=index, orientation=(1, 0, 0, 0, 0.8, -0.6))
        uids.append(str(image.SOPInstanceUID))
        save(image, tmp_path / "ct" / str(index))
    x0, y0, x1, y1 = OUTER
    points = [
        (-10 + 0.8 * x, -20 + 0.4 * y, -5 - 0.3 * y) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
    ]
    drawn = contour([v for point in points for v in point], uids[1] if reference else None)
    mark = read_one(DicomArchive.scan(tmp_path / "ct"), drawn)
    assert lengths_mm(mark) == pytest.approx(EXPECTED, abs=2e-3)
    assert mark.image.sop_instance_uid == uids[1]


def test_damaged_contour_data(ct) -> None:
    archive, uids = ct
    damaged = contour(box_mm(*OUTER, 0), uids[0])
    damaged.ContourData = damaged.ContourData[:-1]
    assert getattr(read_one(archive, damaged), "reason", "") == "contour unreadable"
    whole = contour(box_mm(*OUTER, -5), uids[1])
    assert isinstance(read_one(archive, damaged, whole), FoundMark)  # the other contour still counts
