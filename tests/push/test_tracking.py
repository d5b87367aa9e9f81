"""Tracking UIDs stay with their lesions while groups grow, split and join; older ledgers are read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesiongraph.lesion import SentReport
from lesiongraph.mining.write_back import LedgerFile, Tracking, assign_tracking
from lesiongraph.mining.write_back.identity import made_uid, report_uid, tracking_uid

IDS = [f"L-{n:010x}" for n in range(12)]
ANCHORS = {lesion: f"image {lesion}" for lesion in IDS}
A, B, C, D, E, *_ = IDS


def assign(*groups: list[str], known: dict[str, Tracking] | None = None) -> dict[str, Tracking]:
    return assign_tracking(groups, known or {}, ANCHORS)


def test_a_uid_is_valid_and_the_same_everywhere() -> None:
    uid = tracking_uid("image L-1")
    assert uid == "2.25.91222973826414489305036543853814653059"
    assert len(uid) <= 64
    assert made_uid("a", "bc") != made_uid("ab", "c")
    assert report_uid("1.2", "d", "") != report_uid("1.2", "d", "1.3")


def test_a_group_that_grows_keeps_its_uid_and_number() -> None:
    first = assign([A], [B])
    grown = assign([A, C], [B], [D], known=first)
    assert grown[A] == grown[C] == first[A]
    assert grown[B] == first[B]
    assert grown[D].number == 3
    assert assign([C, A], [D], [B], known=grown) == grown  # also where an earlier study came later


def test_a_split_group_leaves_its_uid_to_the_larger_part() -> None:
    whole = assign([A, B, C])
    apart = assign([A], [B, C], known=whole)
    assert apart[B] == apart[C] == whole[A]
    assert apart[A].uid != whole[A].uid  # though it is made from the same lesion
    assert apart[A].number == 2


def test_joined_groups_take_the_uid_of_the_larger_part() -> None:
    apart = assign([A], [B, C])
    assert {t.uid for t in assign([A, B, C], known=apart).values()} == {apart[B].uid}
    even = assign([A], [B])
    assert {t.uid for t in assign([A, B], known=even).values()} <= {even[A].uid, even[B].uid}


@given(
    st.lists(st.integers(0, 4), min_size=12, max_size=12),
    st.lists(st.integers(0, 4), min_size=12, max_size=12),
)
def test_one_uid_a_group_whatever_came_before(before: list[int], after: list[int]) -> None:
    def groups(labels: list[int]) -> list[list[str]]:
        return [found for n in range(5) if (found := [i for i, k in zip(IDS, labels, strict=True) if k == n])]

    known = assign_tracking(groups(before), {}, ANCHORS)
    now = assign_tracking(groups(after), known, ANCHORS)
    assert set(now) == set(IDS)
    uids = [{now[lesion].uid for lesion in group} for group in groups(after)]
    assert all(len(found) == 1 for found in uids)
    assert len(set().union(*uids)) == len(uids)
    assert len({t.number for t in now.values()}) == len(uids)
    assert assign_tracking(groups(after), now, ANCHORS) == now


SENT = {"destination": "pacs", "study": "1.2", "sop_instance_uid": "2.25.1", "digest": "d", "predecessor": ""}
LINES = [
    {"lesion": A, "uid": "2.25.7", "number": 1},
    {"lesion": A, "uid": "2.25.8", "number": 2},
    SENT | {"at": "2026-01-01T10:00:00+00:00"},
]


def test_the_file_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    found = LedgerFile.read(path)
    assert found.tracking == {A: ("2.25.8", 2)}
    assert found.sent == [SentReport("pacs", "1.2", 0, "2.25.1", "d", sent_at="2026-01-01T10:00:00+00:00")]
    assert found.damaged_lines == 0


@pytest.mark.parametrize("kept", [1, 20, 60])
def test_a_line_that_was_cut_costs_only_itself(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "ledger.jsonl"
    lines = [json.dumps(line) for line in LINES]
    path.write_text("\n".join([lines[0], lines[2][:kept], "[]", lines[1]]))
    found = LedgerFile.read(path)
    assert (found.tracking, found.sent, found.damaged_lines) == ({A: ("2.25.8", 2)}, [], 2)
