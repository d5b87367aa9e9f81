"""Rules: each has its words and limits, and a table's row is judged as a mark of an object."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesiongraph.lesion import Axis
from lesiongraph.mining import rules
from lesiongraph.mining.deeplesion import mine_deeplesion
from lesiongraph.mining.marks import FoundMark, ImageRef, place_axes, shortfall

SPACING_MM = (0.7, 0.9)
IMAGE = ImageRef("1.2", "1", 0, "a", 0, 512, 512, *SPACING_MM)


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.name)
def test_a_rule_says_what_it_does_and_why(rule):
    assert rule.reasons or rule.flags
    assert rule.explanation.endswith(".")
    for reason in rule.reasons:
        assert rules.rule_of(reason) is rule
        assert rules.rule_of(f"image not usable: {reason} (more)") is rule


@pytest.mark.parametrize("reason", ["image not found", "single line", "unreadable object: x", ""])
def test_what_no_rule_judged(reason):
    assert rules.rule_of(reason) is None


@pytest.mark.parametrize(
    ("long_mm", "fault"),
    [(0.99, "impossible length (under 1 mm)"), (1.0, ""), (400, ""), (math.nan, ""),
     (400.1, "impossible length (over 400 mm)")],
)  # fmt: skip
def test_length(long_mm, fault):
    assert rules.length_fault(long_mm) == fault


def test_shortfall():
    long = Axis(0, 0, 10, 0)
    assert shortfall(long, Axis(5, -1, 5, 1)) == 0
    assert shortfall(long, Axis(5, 1, 5, 5)) == pytest.approx(0.25)
    assert shortfall(long, Axis(12, -1, 12, 1)) == pytest.approx(0.2)
    assert shortfall(long, Axis(0, 1, 10, 1)) == math.inf


ends = st.lists(st.integers(100, 400), min_size=8, max_size=8)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(marks=st.lists(ends, min_size=1, max_size=8))
def test_a_table_row_is_judged_as_the_same_mark_in_an_object(marks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("release")
    (folder / "Images_png").mkdir()
    rows = pd.DataFrame({
        "File_name": [f"000001_01_01_{i:03d}.png" for i in range(len(marks))],
        "Measurement_coordinates": [",".join(str(v + 1) for v in mark) for mark in marks],
        "Spacing_mm_px_": ",".join(map(str, (*SPACING_MM, 5))),
        "Image_size": "512,512",
    })  # fmt: skip
    rows.to_csv(folder / "DL_info.csv", index=False)
    table = mine_deeplesion(folder).lesions
    for row, mark in zip(table.to_dict("records"), marks, strict=True):
        long, short = (Axis(*map(float, part)) for part in (mark[:4], mark[4:]))
        if np.isclose(long.length_mm(IMAGE.spacing), short.length_mm(IMAGE.spacing)):
            continue
        placed = place_axes(long, short, IMAGE, source="SR", source_item="1")
        assert row["status"] == ("kept" if isinstance(placed, FoundMark) else "rejected")
        if isinstance(placed, FoundMark):
            angles = {rules.NOT_CROSSING.flag, rules.ANGLE.flag}
            assert angles & set(row["flags"].split(";")) == angles & set(placed.flags)
        else:
            assert row["reason"] == placed.reason
