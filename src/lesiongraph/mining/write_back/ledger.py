"""What was sent where: what a sender asks of the catalogue's ledger, and the file that held it before.

UIDs in it are the workspace's or our own, never an original's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lesiongraph.lesion import SentReport


class Ledger(Protocol):
    """What was sent where, shared by all who send for one catalogue (`store.ReportLedger`)."""

    def begin(self, destination: str) -> None:
        """Look at what was sent to a destination: `newest` and `claim` go by that."""
        ...

    def newest(self, destination: str, study: str) -> SentReport | None:
        """Return the newest report of a study at a destination, a claim included, as it was then."""
        ...

    def look_again(self, destination: str, study: str) -> SentReport | None:
        """Return the newest report of a study at a destination as it is now, and go by that."""
        ...

    def claim(self, report: SentReport) -> SentReport | None:
        """Claim to send a report as the one after `newest`; None where another sender was faster."""
        ...

    def confirm(self, claim: SentReport) -> None:
        """Keep that the destination holds a claimed report."""
        ...

    def withdraw(self, claim: SentReport) -> None:
        """Give a claim up: the destination does not hold its report."""
        ...

    def note(self, report: SentReport) -> None:
        """Keep that the destination was found to hold a report."""
        ...

    def is_abandoned(self, claim: SentReport) -> bool:
        """Whether nobody can be sending a claimed report any more."""
        ...


@dataclass
class LedgerFile:
    """The ledger of a workspace of an earlier version: one JSON line a fact, only ever added.

    Attributes
    ----------
    sent : list of SentReport
        In the order in which they were sent.
    tracking : dict
        Lesion id → tracking UID and number, as last reported.
    damaged_lines : int
        Lines that a kill cut: left aside, since the PACS is asked before anything is sent twice.
    """

    sent: list[SentReport] = field(default_factory=list)
    tracking: dict[str, tuple[str, int]] = field(default_factory=dict)
    damaged_lines: int = 0

    @staticmethod
    def read(path: Path) -> LedgerFile:
        """Read the file."""
        found = LedgerFile()
        for line in path.read_bytes().splitlines():
            found._add(line)
        return found

    def _add(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
            if "lesion" in entry:
                self.tracking[entry["lesion"]] = str(entry["uid"]), int(entry["number"])
            else:
                self.sent.append(SentReport(number=0, sent_at=entry.pop("at"), **entry))
        except (ValueError, TypeError, KeyError, AttributeError):
            self.damaged_lines += 1
