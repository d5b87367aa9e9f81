"""The catalogue's database: read it, change it in one transaction, one writer at a time."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from lesiongraph.errors import StoreMovedError
from lesiongraph.lesion import Decision
from lesiongraph.store.address import StoreAddress
from lesiongraph.store.clock import utc_now
from lesiongraph.store.connecting import make_engine, reading, told, writing
from lesiongraph.store.migrating import check_revision, upgrade
from lesiongraph.store.rows import put, read_rows, series_changed, write_rows
from lesiongraph.store.tables import ABOUT, DECISIONS, RUNS, SEEN

MOVED_TO = "moved_to"  # in `about`: where this catalogue went
_RUN = sa.select(RUNS.c.id, RUNS.c.started_at)
_DECISION_COLUMNS = [column.name for column in DECISIONS.columns]


class CatalogueStore:
    """The durable catalogue: what was found, by which run, and what people decided.

    Holds no connection: each call opens its own. Several processes may use one store; writers wait for each
    other.

    Raises
    ------
    StoreVersionError
        If a newer lesiongraph wrote the tables.
    StoreMovedError
        If the catalogue was moved to another database.
    StoreError, DiskFullError
        If the database cannot be reached, read or written.
    """

    def __init__(self, address: StoreAddress) -> None:
        self.address = address
        self._engine: Engine | None = None

    @property
    def exists(self) -> bool:
        """Whether the file is there; a server's database always counts as such."""
        return self.address.file is None or self.address.file.exists()

    @contextlib.contextmanager
    def read(self) -> Iterator[CatalogueView]:
        """Look at one state of the database; tables are made, or brought up to date, first."""
        with reading(self._ready(), self.address) as connection:
            self._check_not_moved(connection)
            yield CatalogueView(connection)

    @contextlib.contextmanager
    def change(self) -> Iterator[CatalogueChange]:
        """Write as the one writer; what is not committed with `CatalogueChange.commit` is taken back."""
        with writing(self._ready(), self.address) as connection:
            self._check_not_moved(connection)  # here too: it may have moved since this process last looked
            yield CatalogueChange(connection)

    def remove(self) -> None:
        """Delete the files of a SQLite database, if it is one."""
        if self.address.file is not None:
            for ending in ("", "-wal", "-shm", "-journal"):
                self.address.file.with_name(self.address.file.name + ending).unlink(missing_ok=True)
        self._engine = None

    def _check_not_moved(self, connection: Connection) -> None:
        moved = connection.execute(sa.select(ABOUT.c.value).where(ABOUT.c.name == MOVED_TO)).scalar()
        if moved is not None:
            raise StoreMovedError(str(self.address), moved)

    def _ready(self) -> Engine:
        """Return the engine, the tables being those of today."""
        if self._engine is not None:
            return self._engine
        with told(self.address):
            engine = make_engine(self.address)
            with reading(engine, self.address) as connection:
                current = check_revision(connection, str(self.address))
        if not current:
            with writing(engine, self.address) as connection:
                if not check_revision(connection, str(self.address)):  # another may have been faster
                    upgrade(connection)
                connection.commit()
        self._engine = engine
        return engine


@dataclass(frozen=True)
class Committed:
    """What a change left: the revision of the catalogue, and the rows written of each table."""

    revision: int
    rows: dict[str, int]


@dataclass(frozen=True)
class Run:
    """Which run: its number, and when it began, since another database counts the same numbers."""

    id: int
    started_at: str


class CatalogueView:
    """One state of the catalogue.

    Attributes
    ----------
    connection : Connection
        For the other tables of this room.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @property
    def store_id(self) -> str:
        """A name of this database that no other has."""
        return self._about("store_id")

    @property
    def revision(self) -> int:
        """Grows with every change of a lesion, series, slice or landmark."""
        return int(self._about("revision"))

    def table(self, name: str, **where: Sequence[str]) -> pd.DataFrame:
        """Return lesions, series, slices or landmarks as found, or their rows with these values of a column.

        >>> view.table("slices", series_instance_uid=["1.2.3", "1.2.4"])  # doctest: +SKIP
        """
        return read_rows(self.connection, name, **where)

    def series_changed(self, name: str, since: Run | None = None) -> list[str]:
        """Return, sorted, the series whose rows of a table were written after a run; without one, all."""
        if since is not None and since == self.last_run:
            return []
        return series_changed(self.connection, name, -1 if since is None else since.id)

    @property
    def last_run(self) -> Run | None:
        """The run that wrote last; None before the first."""
        row = self.connection.execute(_RUN.order_by(RUNS.c.id.desc()).limit(1)).first()
        return None if row is None else Run(*row)

    def knows(self, run: Run) -> bool:
        """Whether a run is this database's: not where it was put back from a backup of before."""
        row = self.connection.execute(_RUN.where(RUNS.c.id == run.id)).first()
        return row is not None and Run(*row) == run

    def decisions(self) -> list[Decision]:
        """Return every decision ever taken, oldest first."""
        rows = self.connection.execute(sa.select(DECISIONS).order_by(DECISIONS.c.id))
        return [Decision(**row._mapping) for row in rows]

    def runs(self) -> pd.DataFrame:
        """Return the runs that wrote, oldest first."""
        return pd.DataFrame(
            self.connection.execute(sa.select(RUNS).order_by(RUNS.c.id)).fetchall(),
            columns=[column.name for column in RUNS.columns],
        )

    def provenance(self) -> pd.DataFrame:
        """Return kind (lesions, series), name, and when and in which run it was first and last found."""
        seen = pd.DataFrame(
            self.connection.execute(sa.select(SEEN)).fetchall(), columns=[c.name for c in SEEN.columns]
        )
        started = self.runs().set_index("id").started_at
        seen = seen.assign(first_seen=seen.first_run.map(started), last_seen=seen.last_run.map(started))
        return seen.sort_values(["kind", "name"], ignore_index=True)

    def _about(self, name: str) -> str:
        return str(self.connection.execute(sa.select(ABOUT.c.value).where(ABOUT.c.name == name)).scalar_one())


class CatalogueChange(CatalogueView):
    """One transaction of the one writer."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._run = 0
        self._written: Counter[str] = Counter()

    def begin_run(self, verb: str, workspace: str, sources: Iterable[str] = ()) -> int:
        """Note who writes; return the number of the run."""
        added = self.connection.execute(
            sa.insert(RUNS).values(
                verb=verb, started_at=utc_now(), version=version("lesiongraph"), workspace=workspace,
                sources=json.dumps(list(sources)), rows_written="{}",
            )
        )  # fmt: skip
        self._run = int(added.inserted_primary_key[0])  # type: ignore[index]
        return self._run

    def put(self, name: str, frame: pd.DataFrame, former: pd.DataFrame) -> int:
        """Write the rows of lesions, series, slices or landmarks that differ from `former`.

        Nothing else is touched: no lesion and no series is ever removed.

        Parameters
        ----------
        former : frame
            The table as `table` gave it in this transaction, at least where `frame` touches it.

        Returns
        -------
        int
            Rows written.
        """
        written = write_rows(self.connection, name, frame, former, self._run)
        self._written[name] += written
        return written

    def mark_seen(self, kind: str, names: Iterable[str]) -> None:
        """Note that this run found these lesions or series."""
        seen = pd.DataFrame({"kind": kind, "name": list(names)}, dtype="object")
        put(self.connection, SEEN, seen.assign(first_run=self._run, last_run=self._run), keep=["first_run"])

    def decide(self, decision: Decision) -> Decision:
        """Add a decision; return it with its number."""
        values = {name: getattr(decision, name) for name in _DECISION_COLUMNS if name != "id"}
        added = self.connection.execute(sa.insert(DECISIONS).values(**values))
        return Decision(**values, id=int(added.inserted_primary_key[0]))  # type: ignore[index]

    def commit(self) -> Committed:
        """Keep all of it."""
        written = {name: number for name, number in self._written.items() if number}
        revision = self.revision + bool(written)
        if written:
            self._set_about("revision", str(revision))
        if self._run:
            self.connection.execute(
                sa.update(RUNS).where(RUNS.c.id == self._run).values(rows_written=json.dumps(written))
            )
        self.connection.commit()
        return Committed(revision, written)

    def _set_about(self, name: str, value: str) -> None:
        self.connection.execute(sa.update(ABOUT).where(ABOUT.c.name == name).values(value=value))
