"""Presentation states → pairs of crossing lines, everything else rejected with its reason."""

import math
from pathlib import Path

import numpy as np
import pytest
from dicom_files import annotation, gsps, label, line, save, volume
from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence as Items

from lesiongraph.lesion import Axis
from lesiongraph.mining.dicom_scan import DicomArchive
from lesiongraph.mining.gsps import read_gsps
from lesiongraph.mining.marks import FoundMark, ImageRef, RejectedMark
from lesiongraph.mining.pairing import pair_lines

LONG = (10.5, 10.5, 30.5, 10.5)
SHORT = (22.5, 5.5, 22.5, 15.5)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[DicomArchive, list[str]]:
    folder = tmp_path_factory.mktemp("ct")
    uids = volume(folder, stored=np.zeros((128, 256), np.uint16), PixelSpacing=[0.7, 0.7])
    return DicomArchive.scan(folder), uids


def read(archive: DicomArchive, tmp_path: Path, *annotations: Dataset, shown=(), **changes):
    state = gsps(annotations, shown, **changes)
    return read_gsps(dcmread(save(state, tmp_path / "pr")), archive)


def axes_of(mark: FoundMark | RejectedMark) -> tuple[Axis, Axis]:
    assert isinstance(mark, FoundMark)
    assert mark.mark is not None
    return mark.mark.long_axis, mark.mark.short_axis


def reasons(marks) -> list[str]:
    return sorted(mark.reason for mark in marks if isinstance(mark, RejectedMark))


@pytest.mark.parametrize("units", ["PIXEL", "MATRIX"])
def test_two_crossing_lines_are_one_mark(images, tmp_path: Path, units: str) -> None:
    archive, uids = images
    (mark,) = read(archive, tmp_path, annotation([uids[1]], [line(SHORT, units), line(LONG, units)]))
    assert axes_of(mark) == (Axis(10, 10, 30, 10), Axis(22, 5, 22, 15))
    assert mark.image.slice_index == 1
    assert mark.source == "GSPS"


def test_lines_of_one_mark_may_lie_in_two_annotations(images, tmp_path: Path) -> None:
    archive, uids = images
    marks = read(archive, tmp_path, annotation([uids[0]], [line(LONG)]), annotation([uids[0]], [line(SHORT)]))
    assert len(marks) == 1


def test_lines_on_two_images_are_no_pair(images, tmp_path: Path) -> None:
    archive, uids = images
    marks = read(archive, tmp_path, annotation([uids[0]], [line(LONG)]), annotation([uids[1]], [line(SHORT)]))
    assert reasons(marks) == ["single line", "single line"]


@pytest.mark.parametrize(
    ("corners", "rotation", "flip", "expected"),
    [
        # the whole image: (0.25, 0.5) of 256 × 128 is the corner (64, 64), in array coordinates −0.5
        (([1, 1], [256, 128]), 0, "N", (63.5, 63.5)),
        (([65, 33], [192, 96]), 0, "N", (64 + 32 - 0.5, 32 + 32 - 0.5)),  # zoomed
        (([256, 1], [1, 128]), 0, "Y", (191.5, 63.5)),  # mirrored: a quarter from the right edge
        (([256, 128], [1, 1]), 180, "N", (191.5, 63.5)),
        (([1, 128], [256, 1]), 90, "N", (127.5, 95.5)),  # turned: across the screen is up the image
    ],
)
def test_display_units(images, tmp_path: Path, corners, rotation: int, flip: str, expected) -> None:
    archive, uids = images
    area = Dataset()
    area.DisplayedAreaTopLeftHandCorner, area.DisplayedAreaBottomRightHandCorner = corners
    marks = read(
        archive,
        tmp_path,
        annotation(
            [uids[0]], [line((0.25, 0.5, 0.35, 0.5), "DISPLAY"), line((0.25, 0.4, 0.25, 0.6), "DISPLAY")]
        ),
        DisplayedAreaSelectionSequence=Items([area]),
        ImageRotation=rotation,
        ImageHorizontalFlip=flip,
    )
    (mark,) = marks
    # The first line starts where the second has its middle.
    ends = [(x, y) for axis in axes_of(mark) for x, y in ((axis.x0, axis.y0), (axis.x1, axis.y1))]
    assert any(np.allclose(end, expected, atol=1e-4) for end in ends)


def test_an_area_of_another_image_does_not_count(images, tmp_path: Path) -> None:
    archive, uids = images
    area = Dataset()
    area.DisplayedAreaTopLeftHandCorner, area.DisplayedAreaBottomRightHandCorner = [1, 1], [10, 10]
    area.ReferencedImageSequence = annotation([uids[3]]).ReferencedImageSequence
    lines = [line((0.25, 0.5, 0.35, 0.5), "DISPLAY"), line((0.3, 0.45, 0.3, 0.55), "DISPLAY")]
    whole = Dataset()
    whole.DisplayedAreaTopLeftHandCorner, whole.DisplayedAreaBottomRightHandCorner = [1, 1], [256, 128]
    drawn = annotation([uids[0]], lines)
    (mark,) = read(archive, tmp_path, drawn, DisplayedAreaSelectionSequence=Items([area, whole]))
    assert math.isclose(axes_of(mark)[0].length_px, 25.6, rel_tol=1e-5)
    alone = read(archive, tmp_path, drawn, DisplayedAreaSelectionSequence=Items([area]))
    assert reasons(alone) == ["displayed area not stated"] * 2


def test_a_lone_line_is_rejected(images, tmp_path: Path) -> None:
    archive, uids = images
    arrow = line((50, 50, 70, 60))
    marks = read(archive, tmp_path, annotation([uids[0]], [line(LONG), line(SHORT), arrow]))
    assert reasons(marks) == ["single line"]
    assert len(marks) == 2


def test_other_graphics_are_rejected(images, tmp_path: Path) -> None:
    archive, uids = images
    others = [line((5, 5, 9, 9), kind="CIRCLE"), line((5, 5, 9, 9, 12, 5)), line((3, 3), kind="POINT")]
    marks = read(archive, tmp_path, annotation([uids[0]], others))
    assert reasons(marks) == ["not a line (circle)", "not a line (point)", "not a line (polyline)"]


def test_images_absent_or_not_stated(images, tmp_path: Path) -> None:
    archive, uids = images
    pair = [line(LONG), line(SHORT)]
    assert reasons(read(archive, tmp_path, annotation(["1.2.3"], pair))) == ["image not found"] * 2
    assert reasons(read(archive, tmp_path, annotation([], pair))) == ["image not stated"] * 2
    assert reasons(read(archive, tmp_path, annotation([], pair), shown=uids)) == ["several images stated"] * 2
    (mark,) = read(archive, tmp_path, annotation([], pair), shown=uids[2:3])
    assert isinstance(mark, FoundMark)
    assert mark.image.slice_index == 2


def test_a_mark_of_no_length_and_one_off_the_image(images, tmp_path: Path) -> None:
    archive, uids = images
    point = line((40, 40, 40, 40))
    off = [line((250, 60, 270, 60)), line((258, 55, 258, 65))]
    marks = read(archive, tmp_path, annotation([uids[0]], [point, point]), annotation([uids[1]], off))
    assert reasons(marks) == ["outside the image", "zero length", "zero length"]


@pytest.mark.parametrize("long_px", [4, 10, 16, 40])
def test_ticks_are_told_from_short_axes(images, tmp_path: Path, long_px: int) -> None:
    """Agfa puts a small line across the middle of each axis; on a small lesion it is not small."""
    archive, uids = images
    half = long_px / 2
    long, short = (100 - half, 60, 100 + half, 60), (100, 60 - half * 0.6, 100.4, 60 + half * 0.6)
    tilt = math.atan2(0.4, long_px * 0.6)
    dx, dy = 1.5 * math.cos(tilt), 1.5 * math.sin(tilt)
    ticks = [(100, 58.5, 100, 61.5), (100.2 - dx, 60 + dy, 100.2 + dx, 60 - dy)]
    marks = read(archive, tmp_path, annotation([uids[0]], [line(p) for p in (long, short, *ticks)]))
    assert reasons(marks) == ["tick line", "tick line"]
    (found,) = [mark for mark in marks if isinstance(mark, FoundMark)]
    assert math.isclose(axes_of(found)[0].length_px, long_px, rel_tol=1e-5)


def test_an_arrow_with_a_tick_as_long_as_the_others_is_no_mark(images, tmp_path: Path) -> None:
    archive, uids = images
    measured = [line(p) for p in ((80, 60, 120, 60), (100, 50, 100, 70), (100, 58.5, 100, 61.5))]
    arrow = [line(p) for p in ((10, 20, 20, 20), (15, 18.5, 15, 21.5))]
    marks = read(archive, tmp_path, annotation([uids[0]], measured), annotation([uids[1]], arrow))
    assert reasons(marks) == ["single line", "tick line", "tick line"]


def test_two_lesions_of_equal_short_axes_are_not_ticks(images, tmp_path: Path) -> None:
    archive, uids = images
    lines = [(20, 60, 50, 60), (35, 50, 35, 70), (80, 60, 112, 60), (96, 50, 96, 70)]
    marks = read(archive, tmp_path, annotation([uids[0]], [line(p) for p in lines]))
    assert [len(marks), reasons(marks)] == [2, []]


def test_pairs_are_chosen_best_together(images) -> None:
    """Taking the best single pair first would leave two lines alone."""
    image = image_of(images)
    lines = [Axis(0, 0, 20, 0), Axis(10, -8, 10, 8), Axis(2, -6, 4, 6), Axis(6, 6, 14, 8)]
    # 1 fits 0 best (centred, square); but 2 can only go with 0, and 3 only with 1.
    pairing = pair_lines(lines, image)
    assert pairing.pairs == [(0, 2), (1, 3)]
    assert pairing.single == []


def image_of(images: tuple[DicomArchive, list[str]]) -> ImageRef:
    image = images[0].image(images[1][0])
    assert image is not None
    return image


def test_pairing_does_not_depend_on_the_order(images) -> None:
    image = image_of(images)
    rng = np.random.default_rng(3)
    lines = [Axis(*rng.uniform(0, 60, 4).tolist()) for _ in range(12)]
    expected = {frozenset((lines[i], lines[j])) for i, j in pair_lines(lines, image).pairs}
    assert expected
    for _ in range(5):
        shuffled = [lines[i] for i in rng.permutation(12)]
        assert {
            frozenset((shuffled[i], shuffled[j])) for i, j in pair_lines(shuffled, image).pairs
        } == expected


def test_many_crossing_lines_are_still_paired(images) -> None:
    image = image_of(images)
    count = 18
    across = [Axis(10, 10 + i, 90, 10 + i) for i in range(count)]
    down = [Axis(20 + 3 * i, 5, 20 + 3 * i, 75) for i in range(count)]
    pairing = pair_lines([*across, *down], image)
    assert len(pairing.pairs) == count


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([("Liver", 35, 10)], ["liver", ""]),
        ([("soft tissue", 105, 60)], ["", "soft tissue"]),
        ([("LUNG", 35, 10), ("Bone ", 105, 60)], ["lung", "bone"]),
        ([("23.1 mm", 35, 10)], ["", ""]),
        ([("lung", 250, 5)], ["", ""]),  # too far from either
    ],
)
def test_a_type_name_near_the_lines(images, tmp_path: Path, texts, expected: list[str]) -> None:
    archive, uids = images
    lines = [LONG, SHORT, (80, 60, 120, 60), (100, 50, 100, 70)]
    words = [label(*text) for text in texts]
    marks = read(
        archive,
        tmp_path,
        annotation([uids[0]], [line(p) for p in lines]),
        annotation([uids[0]], labels=words),
    )
    assert [mark.type for mark in sorted(marks, key=lambda mark: mark.box.x0)] == expected


def test_a_type_name_belongs_to_its_own_annotation(images, tmp_path: Path) -> None:
    archive, uids = images
    near_the_other = label("kidney", 35, 10)
    marks = read(
        archive,
        tmp_path,
        annotation([uids[0]], [line(LONG), line(SHORT)]),
        annotation([uids[0]], [line((80, 60, 120, 60)), line((100, 50, 100, 70))], [near_the_other]),
    )
    assert [mark.type for mark in sorted(marks, key=lambda mark: mark.box.x0)] == ["", "kidney"]
