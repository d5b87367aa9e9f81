"""Which decisions are in force, and what they make of marks and pairs."""

from __future__ import annotations

from itertools import count

import pandas as pd
import pytest
from tables import catalogue

from lesiongraph.errors import DecisionError
from lesiongraph.lesion import ContradictoryDecisionsError, Decision, in_force, rule
from lesiongraph.pipeline.decided import apply_ruling, decided_links


def taken(*asked: tuple[str, ...]) -> list[Decision]:
    """Decisions 1, 2, … from (kind, lesion, …) or ("undo", number)."""
    numbers = count(1)
    made = []
    for kind, *words in asked:
        pair, value = (["", ""], words[0]) if kind == "undo" else (words[:2], "")
        if kind == "type":
            pair, value = [words[0], ""], words[1]
        pair = [*sorted(pair), ""][:2] if len(pair) == 2 and all(pair) else [*pair, ""][:2]
        made.append(Decision(*pair, kind, value, "Ann", "2026-01-01T00:00:00Z", "seen twice", next(numbers)))
    return made


def test_the_newest_wins_and_an_undo_brings_back_what_was_before():
    decisions = taken(("accept", "a"), ("reject", "a"), ("undo", "2"), ("undo", "3"))
    statuses = [rule(decisions[:n]).status["a"].kind for n in range(1, 5)]
    assert statuses == ["accept", "reject", "accept", "reject"]
    assert [d.id for d in in_force(decisions)] == [1, 2]


def test_confirming_and_breaking_one_pair_is_changing_ones_mind():
    ruling = rule(taken(("confirm-match", "a", "b"), ("break-match", "b", "a")))
    assert (len(ruling.confirmed), len(ruling.broken)) == (0, 1)


def test_a_contradiction_names_the_decisions():
    decisions = taken(("confirm-match", "a", "b"), ("confirm-match", "b", "c"), ("break-match", "a", "c"))
    with pytest.raises(ContradictoryDecisionsError) as raised:
        rule(decisions)
    assert all(f"decision {number} " in str(raised.value) for number in (1, 2, 3))
    assert rule([*decisions, *taken(("x",), ("x",), ("x",), ("undo", "2"))[3:]]).broken


def test_links_go_through_a_lesion_that_is_not_there():
    ruling = rule(taken(("confirm-match", "a", "b"), ("confirm-match", "b", "c"), ("break-match", "b", "d")))
    assert ruling.links("abcd") == ([("a", "b"), ("a", "c")], [("a", "d")])
    assert ruling.links("acd") == ([("a", "c")], [("a", "d")])
    assert ruling.links("ad") == ([], [("a", "d")])
    assert ruling.links("bx") == ([], [])


@pytest.fixture
def lesions() -> pd.DataFrame:
    table = catalogue(range(2)).lesions
    table.loc[0, ["status", "reason", "flags"]] = ["rejected", "off the body", "axes swapped"]
    table.loc[1, ["status", "reason", "slice_index", "image"]] = ["rejected", "image not found", -1, ""]
    return table


def test_marks_as_decided(lesions):
    a, b, c, d = lesions.lesion_id
    decisions = taken(("accept", a), ("accept", b), ("reject", c), ("type", d, "bone"), ("accept", "gone"))
    before = lesions.copy()
    found = apply_ruling(lesions, rule(decisions))
    pd.testing.assert_frame_equal(lesions, before)
    assert found.status.tolist() == ["kept", "rejected", "rejected", "kept"]
    assert found.reason.tolist()[:3] == [
        "",
        "cannot be accepted: image not found",
        "rejected by hand: seen twice",
    ]
    assert found["flags"].tolist() == ["axes swapped;accepted by hand", "", "", ""]
    assert found.type.tolist() == ["liver", "liver", "", "bone"]
    pd.testing.assert_series_equal(found.dtypes, lesions.dtypes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"reason": "unreadable image: cut"}, "unreadable image: cut"),
        ({"spacing_x_mm": float("nan")}, "pixel spacing"),
        ({"x0": float("nan")}, "neither a box nor two axes"),
        ({"x0": 900.0, "x1": 950.0}, "outside its image"),
    ],
)
def test_marks_that_cannot_be_accepted(lesions, changes, said):
    for column, value in changes.items():
        lesions.loc[0, column] = value
    found = apply_ruling(lesions, rule(taken(("accept", lesions.lesion_id[0]))))
    assert found.status[0] == "rejected"
    assert found.reason[0].startswith("cannot be accepted: ")
    assert said in found.reason[0]


def test_an_accepted_mark_without_a_box_gets_the_box_of_its_axes(lesions):
    lesions.loc[0, ["x0", "y0", "x1", "y1"]] = float("nan")
    ends = {"long_x0": 100, "long_y0": 100, "long_x1": 130, "long_y1": 100,
            "short_x0": 110, "short_y0": 90, "short_x1": 110, "short_y1": 108}  # fmt: skip
    for column, value in ends.items():
        lesions.loc[0, column] = float(value)
    found = apply_ruling(lesions, rule(taken(("accept", lesions.lesion_id[0]))))
    assert found.loc[0, ["x0", "y0", "x1", "y1"]].tolist() == [95, 85, 135, 113]
    assert found.status[0] == "kept"


def test_a_confirmed_pair_that_came_to_lie_in_two_patients(lesions):
    decisions = taken(("confirm-match", lesions.lesion_id[0], lesions.lesion_id[2]))
    with pytest.raises(DecisionError, match=r"decision 1 .* two patients, P-0 and P-1"):
        decided_links(decisions, lesions)
