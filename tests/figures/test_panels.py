"""Panels draw as many tiles, frames and titles as they are told."""

import dataclasses
import math

import numpy as np
import pytest
from figure_parts import count, frame_of, pictures, texts, tile

from lesiongraph.figures import (
    Hit,
    MarkOnSlice,
    RetrievalRow,
    located_figure,
    marks_figure,
    retrieval_figure,
    sequence_figure,
)
from lesiongraph.figures.theme import OTHER_PATIENT_COLOUR, WRONG_COLOUR, to_png
from lesiongraph.lesion import Axis, BoundingBox


def _rows() -> list[RetrievalRow]:
    hits = [
        Hit(tile("liver")),
        Hit(tile("lung"), wrong_type=True),
        Hit(tile(), other_patient=True),
        Hit(tile("lung"), wrong_type=True, other_patient=True),
    ]
    return [
        RetrievalRow(tile("liver"), hits, "query L-1"),
        RetrievalRow(tile("lung"), hits[:1], "query L-2"),
    ]


@pytest.mark.parametrize(("mark_other_patients", "blue"), [(True, 1), (False, 0)], ids=["Fig. 6", "Fig. 12"])
def test_retrieval_frames_wrong_types_and_where_asked_other_patients(
    mark_other_patients: bool, blue: int
) -> None:
    figure = retrieval_figure(_rows(), mark_other_patients=mark_other_patients)
    frames = [frame_of(axes) for axes in pictures(figure)]
    assert len(frames) == 2 + 4 + 1  # no empty places
    assert frames.count(WRONG_COLOUR) == 2
    assert frames.count(OTHER_PATIENT_COLOUR) == blue
    assert count(figure, "box") == 7
    assert {"query L-1", "query L-2", "nearest 4"} <= set(texts(figure))


def test_sequences_have_five_columns() -> None:
    figure = sequence_figure([[tile(caption=name) for name in "ABCDE"]] * 3)
    assert len(pictures(figure)) == 15
    assert {axes.get_xlabel() for axes in pictures(figure)} == set("ABCDE")


def test_tiles_and_captions_do_not_overlap() -> None:
    caption = "mediastinum, 123 mm\nz 0.55   d 0.66"
    rows = [RetrievalRow(tile(caption=caption), [Hit(tile(caption=caption))] * 9, "query")] * 2
    figure = retrieval_figure(rows, mark_other_patients=True)
    to_png(figure)
    boxes = [axes.get_tightbbox() for axes in pictures(figure)]
    for i, first in enumerate(boxes):
        assert not any(first.overlaps(other) for other in boxes[i + 1 :])


def _mark(spacing_mm: tuple[float, float] = (0.5, 0.5)) -> MarkOnSlice:
    lines = (Axis(40, 50, 60, 50), Axis(50, 46, 50, 54))
    return MarkOnSlice(
        np.zeros((100, 120), np.int16), BoundingBox(35, 41, 65, 59), lines, "L-1", "two\nlines", spacing_mm
    )


def test_marks_show_slice_and_close_up_with_both_axes() -> None:
    marks = [_mark(), _mark(), dataclasses.replace(_mark(), axes=()), _mark()]
    figure = marks_figure(marks)
    assert len(pictures(figure)) == 8
    assert count(figure, "axis") == 3 * 2 * 2
    assert texts(figure).count("L-1") == 4


def test_close_up_is_measured_in_mm() -> None:
    close_up = marks_figure([_mark(spacing_mm=(1.0, 0.5))]).axes[1]
    lengths = [np.hypot(np.ptp(line.get_xdata()), np.ptp(line.get_ydata())) for line in close_up.lines]
    assert lengths == pytest.approx([10.0, 8.0])  # 20 px of 0.5 mm, 8 px of 1 mm
    assert np.diff(close_up.get_xticks()) == pytest.approx(10.0)
    assert close_up.get_xticklabels()[-1].get_text().endswith("mm")


def test_close_up_without_spacing_counts_pixels() -> None:
    close_up = marks_figure([_mark(spacing_mm=(math.nan, math.nan))]).axes[1]
    assert close_up.get_xticklabels()[-1].get_text().endswith("px")
    assert np.ptp(close_up.lines[0].get_xdata()) == pytest.approx(20.0)


def test_located_lesion_states_its_location() -> None:
    figure = located_figure(_mark(), BoundingBox(10, 20, 110, 90), (0.4, 0.25, 0.61))
    assert count(figure, "guide") == 2
    assert any("z = 0.61" in text for text in texts(figure))
