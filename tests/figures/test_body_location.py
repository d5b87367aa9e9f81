"""Pictures of z: every series, every slice, every landmark is drawn where its numbers put it."""

import numpy as np
import pytest
from figure_parts import count, pictures, texts
from matplotlib.figure import Figure

from lesiongraph.figures import (
    FrontView,
    LandmarkDots,
    LandmarkRow,
    PatientSlices,
    SeriesCurve,
    equal_z_figure,
    landmark_figure,
    series_figure,
    z_map_figure,
)
from lesiongraph.figures.body_location import shortened, wrapped
from lesiongraph.figures.body_map import spread_labels
from lesiongraph.figures.theme import to_png

REGIONS = (("head", 0.0, 0.25), ("chest", 0.25, 0.55), ("abdomen", 0.55, 0.75), ("thigh", 0.75, 1.0))


def _curve(name: str = "a", **more: object) -> SeriesCurve:
    position = 100.0 + 5.0 * np.arange(20)
    z = np.linspace(0.4, 0.6, 20)
    return SeriesCurve(name, position, z + 0.01, z, r=0.99, mm_per_z=500.0, **more)  # type: ignore[arg-type]


def _slice(value: int = 40) -> np.ndarray:
    hu = np.full((80, 100), -1000, np.int16)
    hu[20:60, 40:90] = value
    return hu


def _drawn(figure: Figure, gid: str) -> list[tuple[float, float]]:
    lines = [line for axes in figure.axes for line in axes.lines if line.get_gid() == gid]
    return [
        (float(x), float(y))
        for line in lines
        for x, y in zip(np.ravel(line.get_xdata()), np.ravel(line.get_ydata()), strict=True)
    ]


def test_every_series_has_a_panel_with_all_its_slices() -> None:
    figure = series_figure([_curve(str(i)) for i in range(8)], REGIONS, columns=3)
    assert len(figure.axes) == 8
    assert len(_drawn(figure, "slices")) == 8 * 20
    assert {axes.get_xlim() for axes in figure.axes} == {figure.axes[0].get_xlim()}


def test_positions_start_at_the_first_slice_and_the_head_is_on_top() -> None:
    figure = series_figure([_curve(marks=[(150.0, 0.5)])], REGIONS)
    assert _drawn(figure, "mark") == [(50.0, 0.5)]
    assert _drawn(figure, "slices")[0] == pytest.approx((0.0, 0.41))
    top, bottom = figure.axes[0].get_ylim()[::-1]
    assert top < bottom


def test_flags_and_r_are_written() -> None:
    words = " ".join(texts(series_figure([_curve(flags=("low correlation",))], REGIONS)))
    assert "low correlation" in words
    assert "r 0.990" in words
    assert "never saw" not in words


def test_left_out_model_is_drawn_and_explained() -> None:
    figure = series_figure([_curve(z_left_out=np.linspace(0.3, 0.7, 20))], REGIONS)
    assert len(_drawn(figure, "left out")) == 20
    assert any("never saw" in text for text in texts(figure))


def test_equal_z_tells_absent_slices_from_shown_ones() -> None:
    shown = (_slice(), 2.0)
    rows = [PatientSlices("a", [shown, None]), PatientSlices("b", [shown, shown])]
    figure = equal_z_figure(rows, ["z = 0.4\ncarina", "z = 0.6"])
    assert len(pictures(figure)) == 3
    assert count(figure, "absent") == 1
    assert count(figure, "scale bar") == 3


def test_slices_share_scale_and_are_centred_on_the_body() -> None:
    figure = equal_z_figure(
        [PatientSlices("a", [(_slice(), 2.0), (_slice(), 1.0)])], ["1", "2"], field_mm=300
    )
    coarse, fine = pictures(figure)
    for axes, mm in ((coarse, 2.0), (fine, 1.0)):
        assert np.ptp(axes.get_xlim()) == pytest.approx(300)
        assert np.mean(axes.get_xlim()) == pytest.approx(64.5 * mm, abs=mm)
        assert np.mean(axes.get_ylim()) == pytest.approx(39.5 * mm, abs=mm)


def test_landmark_figure_gives_mean_sd_and_patients_of_each_group() -> None:
    rows = [
        LandmarkDots("carina", {"real": [0.4, 0.5], "phantom": [0.45]}),
        LandmarkDots("crest", {"real": [0.7]}),
    ]
    figure = landmark_figure(rows, REGIONS)
    drawn = np.array(sorted(_drawn(figure, "real")))
    assert drawn == pytest.approx(np.array([(0.4, -0.17), (0.5, -0.17), (0.7, 0.83)]))
    assert "0.450 ± 0.071 (2)" in texts(figure)
    assert "0.450 (1)" in texts(figure)


def test_map_stretches_bodies_to_one_axis() -> None:
    picture = np.linspace(0, 1, 10)[:, None].repeat(6, axis=1)
    bodies = [
        FrontView("a", picture, np.linspace(0.3, 0.6, 10), 400, [0.45]),
        FrontView("b", picture, np.linspace(0.4, 0.9, 10), 400, [np.nan]),
    ]
    figure = z_map_figure(bodies, REGIONS, [LandmarkRow("carina", 0.46, 0.02, 9)], 1000.0, (0.25, 0.95))
    shown = [np.ma.asarray(axes.images[0].get_array()) for axes in pictures(figure)]
    for array, (start, end) in zip(shown, ((0.3, 0.6), (0.4, 0.9)), strict=True):
        rows = np.flatnonzero(~np.ma.getmaskarray(array)[:, 0])
        assert 0.25 + 0.7 * rows[[0, -1]] / (len(array) - 1) == pytest.approx([start, end], abs=0.002)
        assert array[rows[0], 0] == pytest.approx(0, abs=0.01)
        assert array[rows[-1], 0] == pytest.approx(1, abs=0.01)
    assert count(figure, "mark") == 1
    assert any("carina  0.460 ± 0.020" in text for text in texts(figure))
    assert to_png(figure).startswith(b"\x89PNG")


def test_map_is_to_scale() -> None:
    body = FrontView("a", np.zeros((4, 4)), np.linspace(0.3, 0.6, 4), 350)
    figure = z_map_figure([body], REGIONS, [], 1000.0, (0.2, 0.9))
    width, height = figure.get_size_inches()
    place = pictures(figure)[0].get_position()
    assert place.height * height / (place.width * width) == pytest.approx(700 / 350)


def test_labels_move_apart_and_keep_their_order() -> None:
    moved = spread_labels([0.1, 0.11, 0.12, 0.9], 0.05)
    assert np.diff(moved).min() >= 0.05 - 1e-9
    assert moved[1] == pytest.approx(0.11)
    assert moved[-1] == pytest.approx(0.9)
    assert spread_labels([], 0.05).size == 0


def test_long_names_keep_both_ends() -> None:
    name = "ACRIN-FLT-Breast_001_19600305"
    assert len(shortened(name)) == 27
    assert shortened(name).endswith("19600305")
    assert shortened("short") == "short"
    assert wrapped("1 cm below ischial tuberosity").count("\n") == 1
