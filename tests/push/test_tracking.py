"""Tracking UIDs stay with their lesions while groups grow, split and join; the ledger keeps them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesiongraph.mining.write_back import Ledger, Tracking, assign_tracking
from lesiongraph.mining.write_back.identity import made_uid, report_uid, tracking_uid
from lesiongraph.mining.write_back.ledger import Sent

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


def test_the_ledger_reads_what_it_wrote(tmp_path: Path) -> None:
    path = tmp_path / "write_back" / "ledger.jsonl"
    ledger = Ledger(path)
    sent = Sent("dicomweb+http://pacs/dicom-web", "1.2", "2.25.1", "d", "", "2026-01-01T10:00:00+00:00")
    ledger.add_tracking({A: Tracking("2.25.7", 1), B: Tracking("2.25.8", 2)})
    ledger.add_sent(sent)
    size = path.stat().st_size
    ledger.add_tracking({A: Tracking("2.25.7", 1)})
    assert path.stat().st_size == size  # known already
    again = Ledger(path)
    assert again.tracking() == {A: Tracking("2.25.7", 1), B: Tracking("2.25.8", 2)}
    assert again.last(sent.destination, "1.2") == sent
    assert again.last("dicomweb+http://other", "1.2") is None


@pytest.mark.parametrize("kept", [1, 20, 60])
def test_a_line_that_was_cut_costs_only_itself(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    ledger.add_tracking({A: Tracking("2.25.7", 1)})
    whole = path.read_bytes()
    ledger.add_sent(Sent("pacs", "1.2", "2.25.1", "d", "", "2026-01-01T10:00:00+00:00"))
    path.write_bytes(path.read_bytes()[: len(whole) + kept])
    cut = Ledger(path)
    assert cut.damaged_lines == 1
    assert cut.last("pacs", "1.2") is None
    cut.add_tracking({B: Tracking("2.25.8", 2)})
    assert set(Ledger(path).tracking()) == {A, B}
    assert json.loads(path.read_bytes().splitlines()[-1])["lesion"] == B
