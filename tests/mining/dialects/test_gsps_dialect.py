"""Presentation states as workstations write them: layers, groups, texts, units, ticks, compound graphics."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from dicom_files import annotation, gsps, label, line, save, volume
from multi_frame import enhanced_ct
from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence as Items
from scipy.optimize import linear_sum_assignment

from lesiongraph.lesion import Axis
from lesiongraph.mining.dicom_scan import DicomArchive
from lesiongraph.mining.gsps import read_gsps
from lesiongraph.mining.marks import FoundMark, ImageRef, RejectedMark
from lesiongraph.mining.pairing import LINES_MAX, TOGETHER_MAX, UNPAIRED_COST, pair_lines
from lesiongraph.mining.stated_size import STATED_DIFFERS

SPACING_MM = 0.5
# Two lesions side by side: 40 × 24 and 36 × 20 px, that is 20 × 12 and 18 × 10 mm. Corner-origin coordinates.
FIRST = ((40.5, 60.5, 80.5, 60.5), (60.5, 48.5, 60.5, 72.5))
SECOND = ((70.5, 62.5, 106.5, 62.5), (78.5, 52.5, 78.5, 72.5))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[DicomArchive, list[str]]:
    folder = tmp_path_factory.mktemp("ct")
    uids = volume(folder, stored=np.zeros((128, 256), np.uint16), PixelSpacing=[SPACING_MM, SPACING_MM])
    return DicomArchive.scan(folder), uids


@pytest.fixture
def image(images) -> ImageRef:
    found = images[0].image(images[1][0])
    assert found is not None
    return found


def read(archive: DicomArchive, tmp_path: Path, *annotations: Dataset, **changes):
    return read_gsps(dcmread(save(gsps(annotations, **changes), tmp_path / "pr")), archive)


def on_layer(layer: str, item: Dataset) -> Dataset:
    item.GraphicLayer = layer
    return item


def area(first: list[int], last: list[int]) -> Items:
    item = Dataset()
    item.DisplayedAreaTopLeftHandCorner, item.DisplayedAreaBottomRightHandCorner = first, last
    item.PresentationSizeMode, item.PresentationPixelMagnificationRatio = "MAGNIFY", 2.5
    return Items([item])


def found(marks) -> list[FoundMark]:
    return [mark for mark in marks if isinstance(mark, FoundMark)]


def reasons(marks) -> list[str]:
    return sorted(mark.reason for mark in marks if isinstance(mark, RejectedMark))


def pairs(marks) -> set[frozenset[Axis]]:
    return {frozenset((mark.mark.long_axis, mark.mark.short_axis)) for mark in found(marks)}


def axes(*drawn: tuple[float, ...]) -> frozenset[Axis]:
    return frozenset(Axis(*(v - 0.5 for v in points)) for points in drawn)


# --- two lesions, four lines that all cross ---------------------------------------------------------


def crossing_all() -> list[tuple[float, ...]]:
    """Two lesions round one middle: each line across crosses both lines down, at nearly 90°."""
    return [
        (40.5, 60.5, 80.5, 60.5),
        (60.5, 50.5, 60.5, 70.5),
        (44.5, 61.5, 76.5, 61.5),
        (60.5, 53.5, 60.5, 69.5),
    ]


@pytest.mark.parametrize("swap", [False, True])
def test_layers_tell_which_of_four_crossing_lines_belong_together(images, tmp_path: Path, swap: bool) -> None:
    archive, uids = images
    a, down, b, other_down = crossing_all()
    if swap:
        down, other_down = other_down, down
    marks = read(
        archive,
        tmp_path,
        on_layer("ONE", annotation([uids[0]], [line(a)])),
        on_layer("TWO", annotation([uids[0]], [line(b)])),
        on_layer("ONE", annotation([uids[0]], [line(down)])),
        on_layer("TWO", annotation([uids[0]], [line(other_down)])),
    )
    assert pairs(marks) == {axes(a, down), axes(b, other_down)}
    assert reasons(marks) == []


@pytest.mark.parametrize("swap", [False, True])
def test_group_ids_tell_the_same(images, tmp_path: Path, swap: bool) -> None:
    archive, uids = images
    drawn = crossing_all()
    if swap:
        drawn[1], drawn[3] = drawn[3], drawn[1]
    lines = [line(points) for points in drawn]
    for item, group in zip(lines, (1, 1, 2, 2), strict=True):
        item.GraphicGroupID = group
    marks = read(archive, tmp_path, annotation([uids[0]], lines))
    assert pairs(marks) == {axes(*drawn[:2]), axes(*drawn[2:])}


@pytest.mark.parametrize(
    ("texts", "together"),
    [  # 20, 10, 16, 8 mm
        (("20 x 10 mm", "16 x 8 mm"), (0, 1, 2, 3)),
        (("20 x 8 mm", "16 x 10 mm"), (0, 3, 2, 1)),
        (("2.0 × 0.8 cm",), (0, 3, 2, 1)),
    ],
)
def test_texts_tell_the_same(images, tmp_path: Path, texts, together) -> None:
    archive, uids = images
    drawn = crossing_all()
    words = [label(text, 90, 60) for text in texts]
    marks = read(archive, tmp_path, annotation([uids[0]], [line(points) for points in drawn], words))
    i, j, k, l = together  # noqa: E741
    assert pairs(marks) == {axes(drawn[i], drawn[j]), axes(drawn[k], drawn[l])}
    assert [mark.flags for mark in found(marks)] == [(), ()]


def test_two_neighbours_whose_lines_cross_each_other(images, tmp_path: Path) -> None:
    """The first's long axis also crosses the second's short one: middles and numbers of pairs decide."""
    archive, uids = images
    for order in itertools.permutations([*FIRST, *SECOND]):
        marks = read(archive, tmp_path, annotation([uids[0]], [line(points) for points in order]))
        assert pairs(marks) == {axes(*FIRST), axes(*SECOND)}


def test_pairing_is_the_best_of_all_for_few_lines(image) -> None:
    """Against every possible choice of pairs; lines that cross off their middles, so that none is a tick."""
    rng = np.random.default_rng(5)
    for _ in range(40):
        across = [Axis(20, y, 60, y + tilt) for y, tilt in rng.uniform([20, -6], [40, 6], (3, 2)).tolist()]
        down = [Axis(x, 10, x + tilt, 50) for x, tilt in rng.uniform([22, -6], [34, 6], (4, 2)).tolist()]
        lines = [*across, *down]
        pairing = pair_lines(lines, image)
        used = list(itertools.chain(*pairing.pairs))
        assert len(used) == len(set(used))
        best = min(_every_choice(list(range(len(lines))), lines, image))
        costs = [_alone(lines[i], lines[j], image) for i, j in pairing.pairs]
        assert sum(costs) + UNPAIRED_COST * len(pairing.single) == pytest.approx(best, abs=1e-5)


def _alone(first: Axis, second: Axis, image: ImageRef) -> float:
    """The documented cost of one pair, NaN where the two are no pair."""
    if len(pair_lines([first, second], image).pairs) == 0:
        return math.nan
    u, v = (np.array([a.x1 - a.x0, a.y1 - a.y0]) for a in (first, second))
    angle = math.degrees(math.acos(abs(u @ v) / np.linalg.norm(u) / np.linalg.norm(v)))
    shares = np.linalg.solve(np.array([u, -v]).T, np.array([second.x0 - first.x0, second.y0 - first.y0]))
    return (90 - angle) / 15 + float(np.abs(shares - 0.5).sum())


def _every_choice(free: list[int], lines: list[Axis], image: ImageRef):
    """Give the total cost of every choice of pairs among these lines."""
    if not free:
        yield 0.0
        return
    first, rest = free[0], free[1:]
    yield from (UNPAIRED_COST + total for total in _every_choice(rest, lines, image))
    for other in rest:
        cost = _alone(lines[first], lines[other], image)
        if not math.isnan(cost):
            left = [line for line in rest if line != other]
            yield from (cost + total for total in _every_choice(left, lines, image))


def test_pairing_of_many_lines_is_as_good_as_scipys_assignment(image) -> None:
    """20 lines across and 20 down, all crossing: more than any search through all choices could do."""
    rng = np.random.default_rng(1)
    across = [Axis(20, y, 80, y) for y in rng.uniform(24, 40, 20).tolist()]
    down = [Axis(x, 20, x, 80) for x in rng.uniform(24, 40, 20).tolist()]
    pairing = pair_lines([*across, *down], image)
    assert len(pairing.pairs) == 20
    costs = np.array([[_alone(a, b, image) for b in down] for a in across])
    expected = costs[linear_sum_assignment(costs)].sum()
    assert sum(costs[i, j - 20] for i, j in pairing.pairs) == pytest.approx(expected, abs=1e-4)


def test_more_lines_than_can_be_compared_are_rejected_with_their_number(images, tmp_path: Path) -> None:
    archive, uids = images
    grid = [line((40, 40 + i / 4, 100, 40 + i / 4)) for i in range(TOGETHER_MAX)]
    grid += [line((50 + i / 4, 30, 50 + i / 4, 80)) for i in range(TOGETHER_MAX)]
    marks = read(archive, tmp_path, annotation([uids[0]], grid))
    assert reasons(marks) == ["too many lines"] * len(grid)
    stripes = [line((40, 40, 100, 40))] * (LINES_MAX + 1)
    assert reasons(read(archive, tmp_path, annotation([uids[0]], stripes))) == ["too many lines"] * len(
        stripes
    )


def test_one_perfect_pair_beats_two_at_the_end_of_the_tolerances(image) -> None:
    """Two arrows touch the axes of a lesion; pairing each axis with an arrow would make more pairs."""
    long, short = Axis(40, 60, 80, 60), Axis(60, 48, 60, 72)
    arrows = [Axis(79, 59, 84, 79), Axis(59, 49, 79, 44)]
    assert pair_lines([long, arrows[0]], image).pairs == [(0, 1)]
    assert pair_lines([short, arrows[1]], image).pairs == [(0, 1)]
    for first in itertools.permutations([long, short, *arrows]):
        pairing = pair_lines(first, image)
        assert [{first[i], first[j]} for i, j in pairing.pairs] == [{long, short}]
        assert len(pairing.single) == 2


LOOSE = ((40.5, 60.5, 80.5, 60.5), (52.5, 48.5, 68.5, 72.5))  # 56° and 28.8 px: loose, but a lesion's


@pytest.mark.parametrize("told", ["group", "tracking", "text", "nothing", "another text"])
def test_loosely_drawn_axes_need_something_that_joins_them(images, tmp_path: Path, told: str) -> None:
    archive, uids = images
    lines = [line(points) for points in LOOSE]
    for item in lines:
        if told == "group":
            item.GraphicGroupID = 3
        elif told == "tracking":
            item.TrackingID, item.TrackingUID = "lesion", "2.25.1"
    words = {"text": "20 x 14.4 mm", "another text": "20 x 8 mm"}
    texts = [label(words[told], 90, 60)] if told in words else []
    marks = read(archive, tmp_path, annotation([uids[0]], lines, texts))
    if told in ("nothing", "another text"):
        assert reasons(marks) == ["single line"] * 2
        return
    assert pairs(marks) == {axes(*LOOSE)}
    assert [mark.flags for mark in found(marks)] == [("axes not perpendicular",)]


def test_what_layer_group_and_text_all_deny_is_no_pair(images, tmp_path: Path) -> None:
    archive, uids = images
    lines = [line(points) for points in FIRST]
    lines[0].GraphicGroupID, lines[1].GraphicGroupID = 1, 2
    marks = read(
        archive,
        tmp_path,
        on_layer("ONE", annotation([uids[0]], lines[:1], [label("30 x 25 mm", 85, 60)])),
        on_layer("TWO", annotation([uids[0]], lines[1:])),
    )
    assert reasons(marks) == ["single line"] * 2


# --- texts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("20 x 12 mm", ()),
        ("20x12", ()),
        ("Länge 20,4 mm", ()),
        ("2.0 cm", ()),
        ("12 mm", ()),
        ("24 x 16 mm", (STATED_DIFFERS,)),
        ("Länge 24,3 mm", (STATED_DIFFERS,)),
        ("20 x 12 cm", (STATED_DIFFERS,)),
        ("liver", ()),
        ("240 mm²", ()),
    ],
)
def test_a_text_is_compared_with_the_drawing(images, tmp_path: Path, text: str, flags) -> None:
    archive, uids = images
    (mark,) = read(archive, tmp_path, annotation([uids[0]], [line(p) for p in FIRST], [label(text, 85, 60)]))
    assert mark.flags == flags


def test_a_text_goes_to_the_mark_it_fits(images, tmp_path: Path) -> None:
    """Both labels stand nearer to the other lesion; a third, beside a lone line, is about that line."""
    archive, uids = images
    lone = line((180, 20, 200, 20))  # 10 mm
    words = [label("18 x 10 mm", 40, 60), label("20 x 12 mm", 106, 62), label("10.0 mm", 180, 25)]
    marks = read(
        archive, tmp_path, annotation([uids[0]], [*map(line, FIRST), *map(line, SECOND), lone], words)
    )
    assert [mark.flags for mark in found(marks)] == [(), ()]
    assert reasons(marks) == ["single line"]


def test_no_flag_where_the_spacing_is_unknown(tmp_path: Path) -> None:
    uids = volume(tmp_path / "ct", stored=np.zeros((128, 256), np.uint16), PixelSpacing=None)
    state = annotation([uids[0]], [line(p) for p in FIRST], [label("24 x 16 mm", 85, 60)])
    (mark,) = read(DicomArchive.scan(tmp_path / "ct"), tmp_path, state)
    assert STATED_DIFFERS not in mark.flags


def test_a_size_without_lines_is_rejected_not_lost(images, tmp_path: Path) -> None:
    archive, uids = images
    marks = read(archive, tmp_path, annotation([uids[0]], labels=[label("24 x 16 mm", 85, 60)]))
    assert reasons(marks) == ["size stated, nothing drawn"]


# --- units ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("units", ["PIXEL", "MATRIX"])
@pytest.mark.parametrize(("rotation", "flip"), [(0, "N"), (90, "N"), (180, "Y"), (270, "Y")])
def test_rotation_flip_and_zoom_do_not_move_pixel_coordinates(
    images, tmp_path: Path, units: str, rotation: int, flip: str
) -> None:
    archive, uids = images
    (mark,) = read(
        archive,
        tmp_path,
        annotation([uids[0]], [line(points, units) for points in FIRST]),
        DisplayedAreaSelectionSequence=area([65, 33], [192, 96]),
        ImageRotation=rotation,
        ImageHorizontalFlip=flip,
    )
    assert (mark.mark.long_axis, mark.mark.short_axis) == (Axis(40, 60, 80, 60), Axis(60, 48, 60, 72))


# The area shows columns 65–192 and rows 33–96: 128 × 64 pixels from (64, 32), corner-origin coordinates.
CORNERS = {
    (0, "N"): ([65, 33], [192, 96]),
    (90, "N"): ([65, 96], [192, 33]),
    (180, "N"): ([192, 96], [65, 33]),
    (270, "N"): ([192, 33], [65, 96]),
    (0, "Y"): ([192, 33], [65, 96]),
    (90, "Y"): ([65, 33], [192, 96]),
    (180, "Y"): ([65, 96], [192, 33]),
    (270, "Y"): ([192, 96], [65, 33]),
}


def on_screen(x: float, y: float, rotation: int, flip: str) -> tuple[float, float]:
    """Where a corner-origin coordinate shows, as shares of the area: rotated clockwise, then flipped."""
    u, v = (x - 64) / 128, (y - 32) / 64
    for _ in range(rotation // 90):
        u, v = 1 - v, u
    return (1 - u if flip == "Y" else u), v


@pytest.mark.parametrize(("rotation", "flip"), CORNERS)
def test_display_coordinates_through_rotation_and_flip(
    images, tmp_path: Path, rotation: int, flip: str
) -> None:
    archive, uids = images
    drawn = [(90.5, 60.5, 130.5, 60.5), (110.5, 48.5, 110.5, 72.5)]
    shown = [
        [share for x, y in ((p[0], p[1]), (p[2], p[3])) for share in on_screen(x, y, rotation, flip)]
        for p in drawn
    ]
    (mark,) = read(
        archive,
        tmp_path,
        annotation([uids[0]], [line(points, "DISPLAY") for points in shown]),
        DisplayedAreaSelectionSequence=area(*CORNERS[rotation, flip]),
        ImageRotation=rotation,
        ImageHorizontalFlip=flip,
    )
    ends = [(a.x0, a.y0, a.x1, a.y1) for a in (mark.mark.long_axis, mark.mark.short_axis)]
    np.testing.assert_allclose(ends, [(90, 60, 130, 60), (110, 48, 110, 72)], atol=1e-4)


@pytest.mark.parametrize(
    ("units", "points", "corners", "rotation", "reason"),
    [
        ("DISPLAY", (0.2, 0.5, 0.4, 0.5), None, 0, "displayed area not stated"),
        ("DISPLAY", (0.2, 0.5, 1.4, 0.5), ([1, 1], [256, 128]), 0, "outside the displayed area"),
        (
            "DISPLAY",
            (0.2, 0.5, 0.4, 0.5),
            ([1, 1], [256, 128]),
            90,
            "displayed area contradicts the rotation",
        ),
        (
            "DISPLAY",
            (0.2, 0.5, 0.4, 0.5),
            ([1, 1], [256, 128]),
            45,
            "displayed area contradicts the rotation",
        ),
        ("INCH", (0.2, 0.5, 0.4, 0.5), None, 0, "unknown units (inch)"),
        ("", (0.2, 0.5, 0.4, 0.5), None, 0, "unknown units (none)"),
    ],
)
def test_units_that_cannot_be_placed(
    images, tmp_path: Path, units, points, corners, rotation, reason
) -> None:
    archive, uids = images
    changes = {} if corners is None else {"DisplayedAreaSelectionSequence": area(*corners)}
    marks = read(
        archive, tmp_path, annotation([uids[0]], [line(points, units)]), ImageRotation=rotation, **changes
    )
    assert reasons(marks) == [reason]


def test_damaged_coordinates_are_rejected(images, tmp_path: Path) -> None:
    archive, uids = images
    odd, short, flat = line((1, 2, 30, 40)), line((1, 2, 30, 40)), line((1, 2, 30, 40, 5, 6))
    odd.GraphicData = [1.0, 2.0, 30.0, 40.0, 5.0]
    short.NumberOfGraphicPoints = 3  # the last point got lost
    flat.GraphicDimensions = 3
    marks = read(archive, tmp_path, annotation([uids[0]], [odd, short, flat]))
    assert reasons(marks) == ["damaged coordinates"] * 3


# --- other encodings --------------------------------------------------------------------------------


def compound(kind: str, points: tuple[float, ...], instance: int) -> Dataset:
    item = Dataset()
    item.CompoundGraphicInstanceID, item.CompoundGraphicType, item.CompoundGraphicUnits = (
        instance,
        kind,
        "PIXEL",
    )
    item.GraphicDimensions, item.NumberOfGraphicPoints = 2, len(points) // 2
    item.GraphicData = [float(v) for v in points]
    item.GraphicFilled = "N"
    return item


def test_rulers_are_lines_and_arrows_are_not(images, tmp_path: Path) -> None:
    archive, uids = images
    drawn = annotation([uids[0]], [])
    drawn.CompoundGraphicSequence = Items([compound("RULER", FIRST[0], 1), compound("RULER", FIRST[1], 2)])
    drawn.CompoundGraphicSequence.append(compound("ARROW", (100, 100, 120, 110), 3))
    marks = read(archive, tmp_path, drawn)
    assert pairs(marks) == {axes(*FIRST)}
    assert reasons(marks) == ["not a line (arrow)"]


def test_a_compound_and_its_simple_form_are_read_once(images, tmp_path: Path) -> None:
    archive, uids = images
    simple = [line(points) for points in (*FIRST, (100, 100, 120, 110))]
    for instance, item in enumerate(simple, 1):
        item.CompoundGraphicInstanceID = instance
    drawn = annotation([uids[0]], simple)
    kinds = ("RULER", "RULER", "CROSSHAIR")
    drawn.CompoundGraphicSequence = Items(
        [
            compound(kind, tuple(item.GraphicData), i)
            for i, (kind, item) in enumerate(zip(kinds, simple, strict=True), 1)
        ]
    )
    marks = read(archive, tmp_path, drawn)
    assert pairs(marks) == {axes(*FIRST)}
    assert reasons(marks) == ["not a line (crosshair)"]


def test_ticks_of_two_lesions_on_two_layers(images, tmp_path: Path) -> None:
    """Agfa's ticks, 3 px long, across the middle of each axis; neither becomes an axis nor a mark."""
    archive, uids = images
    annotations = []
    for layer, (long, short) in (
        ("A", FIRST),
        ("B", ((150.5, 60.5, 180.5, 60.5), (165.5, 50.5, 165.5, 70.5))),
    ):
        x, y = (long[0] + long[2]) / 2, long[1]
        v = (short[1] + short[3]) / 2
        ticks = [(x, y - 1.5, x, y + 1.5), (short[0] - 1.5, v, short[0] + 1.5, v)]
        annotations.append(on_layer(layer, annotation([uids[0]], [line(p) for p in (long, short, *ticks)])))
    marks = read(archive, tmp_path, *annotations)
    assert len(found(marks)) == 2
    assert axes(*FIRST) in pairs(marks)
    assert reasons(marks) == ["tick line"] * 4


def test_tracking_ids_of_the_graphics(images, tmp_path: Path) -> None:
    archive, uids = images
    drawn = crossing_all()
    lines = [line(points) for points in drawn]
    for item, tracking in zip(lines, ("2.25.1", "2.25.2", "2.25.2", "2.25.1"), strict=True):
        item.TrackingID, item.TrackingUID = "lesion", tracking
    marks = read(archive, tmp_path, annotation([uids[0]], lines))
    assert {mark.tracking_uid: mark.mark.long_axis.y0 for mark in found(marks)} == {
        "2.25.1": 60,
        "2.25.2": 61,
    }


def test_an_annotation_of_a_multi_frame_image_must_name_its_frame(tmp_path: Path) -> None:
    uid = enhanced_ct(tmp_path / "ct")
    archive = DicomArchive.scan(tmp_path / "ct")
    drawn = annotation([uid], [line((10.5, 10.5, 30.5, 10.5)), line((20.5, 5.5, 20.5, 15.5))])
    assert reasons(read(archive, tmp_path, drawn)) == ["several images stated"] * 2
    drawn.ReferencedImageSequence[0].ReferencedFrameNumber = 2
    (mark,) = read(archive, tmp_path, drawn)
    assert mark.image.frame == 1
