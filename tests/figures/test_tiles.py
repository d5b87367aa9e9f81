"""Tiles: one field of view, the window a radiologist would choose, the box left open."""

import numpy as np
import pytest
from figure_parts import count, tile
from matplotlib.figure import Figure

from lesiongraph.figures.tiles import BONE, LUNG, SOFT_TISSUE, VIEW_MM, Tile, draw_tile, window_for
from lesiongraph.lesion import BoundingBox


def _drawn(shown: Tile, **options: str) -> Figure:
    figure = Figure()
    draw_tile(figure.subplots(), shown, **options)
    return figure


@pytest.mark.parametrize("side_px", [8.0, 30.0, 89.0])
def test_tiles_of_unequal_lesions_have_one_field_of_view(side_px: float) -> None:
    axes = _drawn(tile(side_px=side_px)).axes[0]
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    assert right - left == pytest.approx(VIEW_MM)
    assert bottom - top == pytest.approx(VIEW_MM)  # rows grow downwards
    assert (left + right) / 2 == pytest.approx(70.0)


def test_a_larger_lesion_widens_its_view_and_shortens_the_bar() -> None:
    usual, large = _drawn(tile(side_px=20)).axes[0], _drawn(tile(side_px=200)).axes[0]
    left, right = large.get_xlim()
    assert right - left == pytest.approx(220.0)
    bars = [
        np.ptp(line.get_xdata())
        for axes in (usual, large)
        for line in axes.lines
        if line.get_gid() == "scale bar"
    ]
    assert bars == pytest.approx([20 / 110, 20 / 220])


def test_a_scaled_patch_is_drawn_in_mm() -> None:
    shown = tile(side_px=20)
    axes = _drawn(Tile(shown.hu, shown.box, mm_per_px=2.0)).axes[0]
    left, right = axes.get_xlim()
    assert (right - left) * 2.0 == pytest.approx(VIEW_MM)


def test_box_shows_corners_only() -> None:
    figure = _drawn(tile(side_px=20))
    assert count(figure, "box") == 1
    (line,) = [line for line in figure.axes[0].lines if line.get_gid() == "box"]
    xs, ys = np.array(line.get_data())
    at_middle = np.isclose(xs, 70.0) | np.isclose(ys, 60.0)
    assert not at_middle.any()
    assert (np.nanmin(xs), np.nanmax(xs), np.nanmin(ys), np.nanmax(ys)) == (60.0, 80.0, 50.0, 70.0)


@pytest.mark.parametrize(
    ("lesion_type", "expected"), [("lung", LUNG), ("bone", BONE), ("liver", SOFT_TISSUE), ("", SOFT_TISSUE)]
)
def test_the_type_chooses_the_window(lesion_type: str, expected: object) -> None:
    shown = tile(lesion_type)
    assert window_for(shown.hu, shown.box, lesion_type) == expected


@pytest.mark.parametrize(("fill_hu", "expected"), [(-850, LUNG), (600, BONE), (40, SOFT_TISSUE)])
def test_without_a_type_the_surroundings_choose_the_window(fill_hu: int, expected: object) -> None:
    shown = tile(fill_hu=fill_hu)
    assert window_for(shown.hu, shown.box) == expected


def test_a_box_off_the_picture_falls_back_to_soft_tissue() -> None:
    assert window_for(np.zeros((10, 10), np.int16), BoundingBox(50, 50, 60, 60)) == SOFT_TISSUE


def test_window_is_named_in_the_picture_and_no_frame_unless_asked() -> None:
    axes = _drawn(tile("lung")).axes[0]
    assert [text.get_text() for text in axes.texts] == ["lung"]
    assert not any(spine.get_visible() for spine in axes.spines.values())
