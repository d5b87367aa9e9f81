"""Facts of studies → reports at a destination: what is there is not sent again, what was sent stays.

Several may send for one catalogue at once. A sender reads the ledger before it asks the destination what is
there, and claims the place after the newest report that it knows of: the claim fails where another has sent
or claimed one since (ADR 20).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from pydicom import Dataset

from lesiongraph.lesion import SentReport
from lesiongraph.mining.write_back.destination import Destination, NotStoredError
from lesiongraph.mining.write_back.document import build_report
from lesiongraph.mining.write_back.facts import StudyFacts, Tracking
from lesiongraph.mining.write_back.identity import report_uid, series_uid
from lesiongraph.mining.write_back.ledger import Ledger
from lesiongraph.mining.write_back.own import FormerReport, next_number, read_former

ATTEMPTS, PAUSE_S = 4, 0.5  # ours: how often, and at which growing distance, a stored report is looked for
CLAIMS = 3  # ours: how often another sender may be faster, before a study is left to it


class Outcome(Enum):
    """What became of the report of one study."""

    STORED = "reports stored"
    REPLACED = "reports stored that follow an earlier one"
    THERE = "reports already there"
    GONE = "reports sent before and gone from the destination since (left so)"
    LEFT = "studies left to another that is sending their report"
    NOT_MADE = "reports that could not be written"
    NO_IMAGE = "studies without their images at the destination"
    REFUSED = "reports that the destination refused"


@dataclass(frozen=True)
class Sending:
    """Outcome of one study, and what there is to say of it."""

    outcome: Outcome
    remark: str = ""
    lesions: int = 0


class _OurSeries(NamedTuple):
    """What the destination holds in our series of a study."""

    reports: list[FormerReport]  # ours, the newest last
    next_number: int  # instance number after all documents there, whoever wrote them


class Sender:
    """Sends the reports of a workspace to one destination.

    Parameters
    ----------
    destination : Destination
    ledger : Ledger
    record : bool
        False for a dry run: the ledger then learns nothing.
    again : bool
        Send anew what was sent before and is gone from the destination.
    """

    def __init__(
        self, destination: Destination, ledger: Ledger, *, record: bool = True, again: bool = False
    ) -> None:
        self._destination, self._ledger = destination, ledger
        self._record, self._again = record, again
        self._series: dict[str, _OurSeries] = {}
        ledger.begin(destination.name)  # before the destination is asked anything

    def known_tracking(self, original_study: str) -> Mapping[str, Tracking]:
        """Return the tracking that the destination's reports of a study state.

        So a workspace made anew, or a second one, goes on with the lesions' UIDs.
        """
        return {
            lesion: tracking
            for report in self._our_series(original_study).reports
            for lesion, tracking in report.tracking.items()
        }

    def send(self, study: str, facts: StudyFacts) -> Sending:
        """Send the report of one study, if it says anything new.

        Parameters
        ----------
        study : str
            UID of the study in the workspace: what the ledger names it by.
        facts : StudyFacts
            With the destination's UIDs.

        Raises
        ------
        LesionGraphError
            If the destination gives no usable answer.
        """
        for _ in range(CLAIMS):
            last = self._settled(study, facts.study_instance_uid)
            if last is not None and last.is_claim:
                break
            ours = self._our_series(facts.study_instance_uid)
            done = self._said_before(study, facts, ours.reports) or self._gone(ours.reports, last)
            done = done or self._send(study, facts, ours)
            if done is not None:
                return done
            self._ledger.look_again(self._destination.name, study)
            self._series.pop(facts.study_instance_uid, None)
        last = self._ledger.look_again(self._destination.name, study)
        return Sending(Outcome.LEFT, f"claimed by {last.sent_by} at {last.sent_at}" if last else "")

    def _settled(self, study: str, original_study: str) -> SentReport | None:
        """Return the newest report in the ledger; of an abandoned claim the destination is asked first.

        A claim that is returned is another sender's, at work. A dry run looks at no claims.
        """
        last = self._ledger.newest(self._destination.name, study)
        if last is None or not last.is_claim:
            return last
        if not self._record:
            return None
        last = self._ledger.look_again(self._destination.name, study)
        self._series.pop(original_study, None)
        if last is None or not last.is_claim or not self._ledger.is_abandoned(last):
            return last
        if self._holds(original_study, last.sop_instance_uid, ATTEMPTS):
            self._ledger.confirm(last)
        else:
            self._ledger.withdraw(last)
        return self._ledger.newest(self._destination.name, study)

    def _said_before(self, study: str, facts: StudyFacts, former: Sequence[FormerReport]) -> Sending | None:
        newest = former[-1] if former else None
        if newest is None or newest.sop_instance_uid != report_uid(
            facts.study_instance_uid, facts.digest, newest.predecessor
        ):
            return None
        if self._record:
            self._ledger.note(self._entry(study, facts, newest.sop_instance_uid, newest.predecessor))
        return Sending(Outcome.THERE, lesions=len(facts.lesions))

    def _gone(self, former: Sequence[FormerReport], last: SentReport | None) -> Sending | None:
        if last is None or self._again:
            return None
        if last.sop_instance_uid in {report.sop_instance_uid for report in former}:
            return None
        return Sending(Outcome.GONE, f"{last.sop_instance_uid} was sent on {last.sent_at[:10]}")

    def _send(self, study: str, facts: StudyFacts, ours: _OurSeries) -> Sending | None:
        """Write, claim, store; None where another sender claimed first."""
        made = self._written(facts, ours)
        if isinstance(made, Sending):
            return made
        predecessor = ours.reports[-1].sop_instance_uid if ours.reports else ""
        claim: SentReport | None = None
        if self._record:
            claim = self._ledger.claim(self._entry(study, facts, str(made.SOPInstanceUID), predecessor))
            if claim is None:
                return None
        why = self._store(facts.study_instance_uid, made)
        if claim is not None:
            (self._ledger.withdraw if why else self._ledger.confirm)(claim)
        if why:
            return Sending(Outcome.REFUSED, why)
        return Sending(Outcome.REPLACED if ours.reports else Outcome.STORED, lesions=len(facts.lesions))

    def _written(self, facts: StudyFacts, ours: _OurSeries) -> Dataset | Sending:
        headers = self._headers(facts)
        images = {lesion.sop_instance_uid for lesion in facts.lesions}
        if absent := images - headers.keys():
            # counted, not named: a de-identified workspace must not learn an original UID from its run report
            return Sending(Outcome.NO_IMAGE, f"{len(absent)} of {len(images)} key slices are not there")
        try:
            return build_report(facts, headers, ours.reports, ours.next_number)
        except (ValueError, TypeError, AttributeError, KeyError) as cause:
            # what it says may name a patient or an original UID, which a run report must not hold
            return Sending(Outcome.NOT_MADE, f"{type(cause).__name__} while it was written")

    def _store(self, original_study: str, report: Dataset) -> str:
        """Store a report; return why it is not there, "" where it is.

        Where no answer comes, the error passes and the claim stays: the next push asks what became of it.
        """
        why = ""
        try:
            self._destination.store(report)
        except NotStoredError as refused:
            why = refused.why
        # Neither answer is taken on trust: Orthanc says "stored" of what a filter of its own dropped, and a
        # service may refuse what it took a moment ago, when the answer got lost and we asked again.
        if self._holds(original_study, str(report.SOPInstanceUID), attempts=1 if why else ATTEMPTS):
            return ""
        return why or "the answer said stored, and it is not there"

    def _holds(self, original_study: str, sop_instance_uid: str, attempts: int) -> bool:
        """Whether the destination holds a report; a service may take a moment to list what it stored."""
        for attempt in range(attempts):
            time.sleep(PAUSE_S * attempt)
            self._series.pop(original_study, None)
            held = self._our_series(original_study).reports
            if sop_instance_uid in {report.sop_instance_uid for report in held}:
                return True
        return False

    def _our_series(self, original_study: str) -> _OurSeries:
        if original_study not in self._series:
            documents = self._destination.documents(original_study, series_uid(original_study))
            self._series[original_study] = _OurSeries(read_former(documents), next_number(documents))
        return self._series[original_study]

    def _headers(self, facts: StudyFacts) -> dict[str, Dataset]:
        images = {lesion.sop_instance_uid: lesion.series_instance_uid for lesion in facts.lesions}
        found = {
            image: self._destination.header(facts.study_instance_uid, series, image)
            for image, series in images.items()
        }
        return {image: header for image, header in found.items() if header is not None}

    def _entry(self, study: str, facts: StudyFacts, sop_instance_uid: str, predecessor: str) -> SentReport:
        """Return what the ledger is told; it gives the number, the sender and the time."""
        return SentReport(self._destination.name, study, 0, sop_instance_uid, facts.digest, predecessor)
