"""Facts of studies → reports at a destination: what is there is not sent again, what was sent stays."""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from pydicom import Dataset

from lesiongraph.mining.write_back.destination import Destination, NotStoredError
from lesiongraph.mining.write_back.document import build_report
from lesiongraph.mining.write_back.facts import StudyFacts, Tracking
from lesiongraph.mining.write_back.identity import report_uid, series_uid
from lesiongraph.mining.write_back.ledger import Ledger, Sent
from lesiongraph.mining.write_back.own import FormerReport, next_number, read_former

ATTEMPTS, PAUSE_S = 4, 0.5  # ours: how often, and at which growing distance, a stored report is looked for


class Outcome(Enum):
    """What became of the report of one study."""

    STORED = "reports stored"
    REPLACED = "reports stored that follow an earlier one"
    THERE = "reports already there"
    GONE = "reports sent before and gone from the destination since (left so)"
    NOT_MADE = "reports that could not be written"
    NO_IMAGE = "studies without their images at the destination"
    REFUSED = "reports that the destination refused"


@dataclass(frozen=True)
class Sending:
    """Outcome of one study, and what there is to say of it."""

    outcome: Outcome
    remark: str = ""
    lesions: int = 0


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
        self._former: dict[str, list[FormerReport]] = {}
        self._next_number: dict[str, int] = {}

    def known_tracking(self, original_study: str) -> Mapping[str, Tracking]:
        """Return the tracking that the destination's reports of a study state.

        So a workspace made anew, or a second one, goes on with the lesions' UIDs.
        """
        return {
            lesion: tracking
            for report in self._reports(original_study)
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
        former = self._reports(facts.study_instance_uid)
        newest = former[-1] if former else None
        last = self._ledger.last(self._destination.name, study)
        if newest is not None and newest.sop_instance_uid == report_uid(
            facts.study_instance_uid, facts.digest, newest.predecessor
        ):
            self._note(study, facts, newest.sop_instance_uid, newest.predecessor)
            return Sending(Outcome.THERE, lesions=len(facts.lesions))
        held = {report.sop_instance_uid for report in former}
        if last is not None and last.sop_instance_uid not in held and not self._again:
            return Sending(Outcome.GONE, f"{last.sop_instance_uid} was sent on {last.at[:10]}")
        return self._store(study, facts, former)

    def _store(self, study: str, facts: StudyFacts, former: Sequence[FormerReport]) -> Sending:
        headers = self._headers(facts)
        images = {lesion.sop_instance_uid for lesion in facts.lesions}
        if absent := images - headers.keys():
            # counted, not named: a de-identified workspace must not learn an original UID from its run report
            return Sending(Outcome.NO_IMAGE, f"{len(absent)} of {len(images)} key slices are not there")
        try:
            report = build_report(facts, headers, former, self._next_number[facts.study_instance_uid])
        except (ValueError, TypeError, AttributeError, KeyError) as cause:
            # what it says may name a patient or an original UID, which a run report must not hold
            return Sending(Outcome.NOT_MADE, f"{type(cause).__name__} while it was written")
        uid, why = str(report.SOPInstanceUID), ""
        try:
            self._destination.store(report)
        except NotStoredError as refused:
            why = refused.why
        # Neither answer is taken on trust: Orthanc says "stored" of what a filter of its own dropped, and a
        # service may refuse what it took a moment ago, when the answer got lost and we asked again.
        if not self._holds(facts.study_instance_uid, uid, attempts=1 if why else ATTEMPTS):
            return Sending(Outcome.REFUSED, why or "the answer said stored, and it is not there")
        self._note(study, facts, uid, former[-1].sop_instance_uid if former else "")
        return Sending(Outcome.REPLACED if former else Outcome.STORED, lesions=len(facts.lesions))

    def _holds(self, original_study: str, sop_instance_uid: str, attempts: int) -> bool:
        """Whether the destination holds a report; a service may take a moment to list what it stored."""
        for attempt in range(attempts):
            time.sleep(PAUSE_S * attempt)
            self._former.pop(original_study, None)
            if sop_instance_uid in {report.sop_instance_uid for report in self._reports(original_study)}:
                return True
        return False

    def _reports(self, original_study: str) -> list[FormerReport]:
        if original_study not in self._former:
            documents = self._destination.documents(original_study, series_uid(original_study))
            self._next_number[original_study] = next_number(documents)
            self._former[original_study] = read_former(documents)
        return self._former[original_study]

    def _headers(self, facts: StudyFacts) -> dict[str, Dataset]:
        images = {lesion.sop_instance_uid: lesion.series_instance_uid for lesion in facts.lesions}
        found = {
            image: self._destination.header(facts.study_instance_uid, series, image)
            for image, series in images.items()
        }
        return {image: header for image, header in found.items() if header is not None}

    def _note(self, study: str, facts: StudyFacts, sop_instance_uid: str, predecessor: str) -> None:
        last = self._ledger.last(self._destination.name, study)
        if not self._record or (last is not None and last.sop_instance_uid == sop_instance_uid):
            return
        at = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        self._ledger.add_sent(
            Sent(self._destination.name, study, sop_instance_uid, facts.digest, predecessor, at)
        )
