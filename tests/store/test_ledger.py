"""The ledger of pushes: one sender claims a report, a claim that nobody confirms can be settled by others."""

from __future__ import annotations

import dataclasses
import multiprocessing

import pytest

from lesiongraph.lesion import SentReport
from lesiongraph.store import CatalogueStore, ReportLedger, StoreAddress

PACS, STUDY = "dicomweb+http://pacs/dicom-web", "1.2.3"
FIRST = SentReport(PACS, STUDY, 0, "2.25.1", "says this")
NEXT = SentReport(PACS, STUDY, 0, "2.25.2", "says that", "2.25.1")


def ledger(url: str, sender: str = "one", lease_s: float = 600.0) -> ReportLedger:
    return ReportLedger(CatalogueStore(StoreAddress.parse(url)), sender, lease_s)


def claimed(by: ReportLedger, report: SentReport) -> SentReport:
    claim = by.claim(report)
    assert claim is not None
    return claim


def test_a_claim_is_one_senders_until_it_is_confirmed_or_withdrawn(store_url):
    one, other = ledger(store_url), ledger(store_url, "other")
    assert one.newest(PACS, STUDY) is None
    assert other.newest(PACS, STUDY) is None
    claim = claimed(one, FIRST)
    assert (claim.number, claim.sent_by, claim.is_claim) == (1, "one", True)
    assert other.claim(FIRST) is None
    seen = other.look_again(PACS, STUDY)
    assert seen == claim
    assert one.is_abandoned(claim), "its own process is the only one of its sender"
    assert not other.is_abandoned(claim)
    one.withdraw(claim)
    assert other.look_again(PACS, STUDY) is None
    taken = claimed(other, FIRST)
    other.confirm(taken)
    assert one.claim(FIRST) is None, "one has not seen it yet"
    found = one.look_again(PACS, STUDY)
    assert found == dataclasses.replace(taken, claimed_until=None, sent_at=found.sent_at)
    assert claimed(one, NEXT).number == 2


def test_what_was_sent_is_known_by_destination_and_study(store_url):
    one = ledger(store_url)
    one.confirm(claimed(one, FIRST))
    one.claim(NEXT)  # never confirmed
    one.claim(dataclasses.replace(FIRST, study="1.2.4"))
    assert ledger(store_url).studies(PACS) == {STUDY}
    assert ledger(store_url).studies("elsewhere") == set()
    assert ledger(store_url).newest("elsewhere", STUDY) is None


def test_a_claim_runs_out_and_its_late_sender_does_no_harm(store_url):
    late, other = ledger(store_url, "late", lease_s=-1.0), ledger(store_url, "other")
    claim = claimed(late, FIRST)
    assert other.look_again(PACS, STUDY) == claim
    assert other.is_abandoned(claim)
    other.withdraw(claim)
    taken = claimed(other, NEXT)
    late.confirm(claim)  # it was no longer its own
    assert ledger(store_url).newest(PACS, STUDY) == taken
    other.confirm(taken)
    late.withdraw(claim)
    assert ledger(store_url).newest(PACS, STUDY).sop_instance_uid == NEXT.sop_instance_uid


def test_a_late_sender_whose_place_is_free_again_keeps_what_it_sent(store_url):
    late, other = ledger(store_url, "late", lease_s=-1.0), ledger(store_url, "other")
    claim = claimed(late, FIRST)
    other.look_again(PACS, STUDY)
    other.withdraw(claim)
    late.confirm(claim)
    found = ledger(store_url).newest(PACS, STUDY)
    assert (found.sop_instance_uid, found.is_claim) == ("2.25.1", False)


def test_a_report_that_was_found_is_noted_once(store_url):
    one, other = ledger(store_url), ledger(store_url, "other")
    assert other.newest(PACS, STUDY) is None
    one.note(FIRST)
    one.note(FIRST)
    other.note(FIRST)
    other.note(FIRST)
    found = ledger(store_url).newest(PACS, STUDY)
    assert (found.number, found.sop_instance_uid, found.is_claim) == (1, "2.25.1", False)


def test_an_older_ledger_is_taken_over_where_nothing_is_known(store_url):
    one = ledger(store_url)
    one.confirm(claimed(one, FIRST))
    one.assign_tracking(lambda _: {"L-1": ("2.25.7", 1)})
    old = [dataclasses.replace(report, study="1.2.4") for report in (FIRST, NEXT)]
    for _ in range(2):  # a kill may have it read again
        one.take_over([*old, NEXT], {"L-1": ("2.25.8", 5), "L-2": ("2.25.9", 6)})
    assert one.newest(PACS, STUDY).sop_instance_uid == "2.25.1"
    assert (one.newest(PACS, "1.2.4").number, one.newest(PACS, "1.2.4").digest) == (2, "says that")
    assert one.tracking() == {"L-1": ("2.25.7", 1), "L-2": ("2.25.9", 6)}


def _claim_each(url: str, sender: str, barrier, won) -> None:
    own = ledger(url, sender)
    own.begin(PACS)
    barrier.wait()
    for study in range(20):
        if own.claim(dataclasses.replace(FIRST, study=f"1.2.{study}")) is not None:
            won.put((study, sender))
    number = int(sender)
    own.assign_tracking(lambda known: known | {f"L-{number}": (f"2.25.{number}", len(known) + 1)})


@pytest.mark.slow
def test_of_three_processes_one_claims_each_study(store_url):
    apart = multiprocessing.get_context("spawn")
    barrier, won = apart.Barrier(3), apart.Queue()
    senders = [apart.Process(target=_claim_each, args=(store_url, str(k), barrier, won)) for k in range(3)]
    for sender in senders:
        sender.start()
    winners = [won.get(timeout=120) for _ in range(20)]
    for sender in senders:
        sender.join(120)
    assert [sender.exitcode for sender in senders] == [0, 0, 0]
    assert won.empty()
    assert sorted(study for study, _ in winners) == list(range(20))
    for study, sender in winners:
        assert ledger(store_url).newest(PACS, f"1.2.{study}").sent_by == sender
    assert sorted(number for _, number in ledger(store_url).tracking().values()) == [1, 2, 3]
