"""What was sent where, and which lesion carries which tracking UID: one ledger for all who share a catalogue.

A report is claimed before it is sent, as the next of its study at its destination, and confirmed once it was
seen there. The key (destination, study, number) gives a claim to one sender alone.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from lesiongraph.lesion import SentReport
from lesiongraph.store.catalogue import CatalogueStore
from lesiongraph.store.clock import utc_now
from lesiongraph.store.rows import put
from lesiongraph.store.tables import SENT, TRACKING

_TRACKING_COLUMNS = [column.name for column in TRACKING.columns]


class ReportLedger:
    """The ledger of a catalogue, as one sender sees it.

    Parameters
    ----------
    store : CatalogueStore
    sender : str
        Machine and workspace, of which only one process sends at a time.
    lease_s : float
        After so many seconds a claim of another sender that was never confirmed counts as abandoned: longer
        than storing one report may take.
    """

    def __init__(self, store: CatalogueStore, sender: str, lease_s: float) -> None:
        self._store, self._sender, self._lease_s = store, sender, lease_s
        self._newest: dict[str, dict[str, SentReport]] = {}  # destination -> study -> its newest report

    def begin(self, destination: str) -> None:
        """Look at what was sent to a destination: `newest` and `claim` go by that, until `look_again`."""
        query = sa.select(SENT).where(SENT.c.destination == destination).order_by(SENT.c.number)
        with self._store.read() as view:
            rows = view.connection.execute(query).fetchall()
        self._newest[destination] = {row.study: SentReport(**row._mapping) for row in rows}

    def newest(self, destination: str, study: str) -> SentReport | None:
        """Return the newest report of a study that was sent to a destination, or was being sent there."""
        return self._at(destination).get(study)

    def look_again(self, destination: str, study: str) -> SentReport | None:
        """Return the newest report of a study as it is now, and go by that."""
        with self._store.read() as view:
            found = _newest(view.connection, destination, study)
        return self._remember(destination, study, found)

    def studies(self, destination: str) -> set[str]:
        """Return the studies of which a report was sent to a destination."""
        return {
            study for study, sent in self._at(destination).items() if sent.number > 1 or not sent.is_claim
        }

    def claim(self, report: SentReport) -> SentReport | None:
        """Claim to send a report as the one after `newest`; None where another sender was faster."""
        claim = self._next(report)
        with self._store.change() as change:
            until = _now(change.connection) + self._lease_s
            claim = dataclasses.replace(claim, claimed_until=until)
            if not _add(change.connection, claim):
                return None
            change.commit()
        self._remember(claim.destination, claim.study, claim)
        return claim

    def confirm(self, claim: SentReport) -> None:
        """Keep that the destination holds a claimed report, whoever claimed it."""
        sent = dataclasses.replace(claim, sent_at=utc_now(), claimed_until=None)
        with self._store.change() as change:
            changed = change.connection.execute(
                sa.update(SENT).where(_is(claim)).values(sent_at=sent.sent_at, claimed_until=None)
            )
            change.commit()
        if not changed.rowcount:  # our claim ran out and another took it: what is there is noted all the same
            self.look_again(claim.destination, claim.study)
            self.note(claim)
            return
        self._remember(claim.destination, claim.study, sent)

    def withdraw(self, claim: SentReport) -> None:
        """Give a claim up: the destination does not hold its report."""
        with self._store.change() as change:
            change.connection.execute(sa.delete(SENT).where(_is(claim)))
            change.commit()
        self.look_again(claim.destination, claim.study)

    def note(self, report: SentReport) -> None:
        """Keep that the destination was found to hold a report, sent by whomever.

        Not while another sends one: whoever pushes next finds both there.
        """
        newest = self.newest(report.destination, report.study)
        if newest is not None and (newest.is_claim or newest.sop_instance_uid == report.sop_instance_uid):
            return
        sent = self._next(report)
        with self._store.change() as change:
            added = _add(change.connection, sent)
            change.commit()
        if added:
            self._remember(sent.destination, sent.study, sent)
        else:  # another sender found or sent one meanwhile
            self.look_again(sent.destination, sent.study)

    def is_abandoned(self, claim: SentReport) -> bool:
        """Whether nobody can be sending a claimed report any more: its sender was ours, or its time is up."""
        if claim.sent_by == self._sender:
            return True
        with self._store.read() as view:
            return _now(view.connection) > (claim.claimed_until or 0.0)

    def tracking(self) -> dict[str, tuple[str, int]]:
        """Return lesion id → tracking UID and number, as last reported."""
        with self._store.read() as view:
            return _tracking(view.connection)

    def assign_tracking(
        self, choose: Callable[[dict[str, tuple[str, int]]], Mapping[str, tuple[str, int]]]
    ) -> Mapping[str, tuple[str, int]]:
        """Keep the tracking that `choose` gives lesions, told what is known; no other assigns meanwhile."""
        with self._store.change() as change:
            known = _tracking(change.connection)
            chosen = choose(known)
            if _put_tracking(change.connection, chosen, known):
                change.commit()
        return chosen

    def take_over(self, sent: Iterable[SentReport], tracked: Mapping[str, tuple[str, int]]) -> None:
        """Add what a ledger of an earlier version holds: of what is not known here, all of it, or nothing.

        Parameters
        ----------
        sent : iterable of SentReport
            In the order in which they were sent; their numbers do not matter.
        tracked : mapping
            Lesion id → tracking UID and number.
        """
        with self._store.change() as change:
            numbers: dict[tuple[str, str], int] = {}
            for report in sent:
                place = report.destination, report.study
                if place not in numbers:
                    if _newest(change.connection, *place) is not None:
                        continue
                    numbers[place] = 0
                numbers[place] += 1
                _add(change.connection, dataclasses.replace(report, number=numbers[place]))
            known = _tracking(change.connection)
            _put_tracking(change.connection, {**tracked, **known}, known)
            change.commit()
        self._newest.clear()

    def _at(self, destination: str) -> dict[str, SentReport]:
        if destination not in self._newest:
            self.begin(destination)
        return self._newest[destination]

    def _next(self, report: SentReport) -> SentReport:
        newest = self.newest(report.destination, report.study)
        return dataclasses.replace(
            report,
            number=newest.number + 1 if newest is not None else 1,
            sent_by=self._sender,
            sent_at=utc_now(),
            claimed_until=None,
        )

    def _remember(self, destination: str, study: str, found: SentReport | None) -> SentReport | None:
        known = self._at(destination)
        if found is None:
            known.pop(study, None)
        else:
            known[study] = found
        return found


def _newest(connection: Connection, destination: str, study: str) -> SentReport | None:
    query = sa.select(SENT).where(SENT.c.destination == destination, SENT.c.study == study)
    row = connection.execute(query.order_by(SENT.c.number.desc()).limit(1)).first()
    return None if row is None else SentReport(**row._mapping)


def _add(connection: Connection, sent: SentReport) -> bool:
    """Add a row; False where its place is taken."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    row = insert(SENT).values(**dataclasses.asdict(sent)).on_conflict_do_nothing()
    added = connection.execute(row.execution_options(preserve_rowcount=True))  # else -1 on PostgreSQL
    return added.rowcount == 1


def _is(claim: SentReport) -> sa.ColumnElement[bool]:
    """The row of this very claim: the same place may hold another one by now."""
    return sa.and_(
        *(SENT.c[name] == getattr(claim, name) for name in ("destination", "study", "number", "sent_by")),
        SENT.c.claimed_until == claim.claimed_until,
    )


def _tracking(connection: Connection) -> dict[str, tuple[str, int]]:
    rows = connection.execute(sa.select(TRACKING))
    return {row.lesion_id: (row.tracking_uid, row.number) for row in rows}


def _put_tracking(
    connection: Connection, tracked: Mapping[str, tuple[str, int]], known: Mapping[str, tuple[str, int]]
) -> int:
    rows = [(lesion, *found) for lesion, found in sorted(tracked.items()) if known.get(lesion) != found]
    put(connection, TRACKING, pd.DataFrame(rows, columns=_TRACKING_COLUMNS, dtype="object"))
    return len(rows)


def _now(connection: Connection) -> float:
    """Return the seconds since 1970 by the database's clock: those of its users' machines may differ."""
    if connection.dialect.name == "sqlite":
        return time.time()
    return float(connection.execute(sa.text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
