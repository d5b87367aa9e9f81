"""Connections: how both databases are opened, how writers wait for each other, what their errors mean."""

from __future__ import annotations

import contextlib
import errno
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from lesiongraph.errors import DiskFullError, StoreError
from lesiongraph.store.address import StoreAddress

WAIT_S = 600  # for another writer: a large archive's upsert takes a minute
_LOCK = 0x6C6573696F6E  # "lesion": all writers of a PostgreSQL catalogue queue at this number
_WRITES = "lesiongraph_writes"
_FULL = ("disk is full", "No space left on device", "disk I/O error")
_BUSY = ("database is locked", "lock timeout")
_DAMAGED = ("not a database", "malformed")


def make_engine(address: StoreAddress) -> Engine:
    """Return an engine that opens one connection a use and keeps none: nothing outlives a stage."""
    if address.file is None:
        return sa.create_engine(
            address.url, poolclass=NullPool, connect_args={"connect_timeout": 15, "client_encoding": "utf8"}
        )
    engine = sa.create_engine(
        address.url, poolclass=NullPool, connect_args={"timeout": WAIT_S, "isolation_level": None}
    )
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: object, _record: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]
    _switch_to_wal(cursor)  # readers go on while one writes; stays in the file
    cursor.execute("PRAGMA synchronous=FULL")  # a decision that was told is on the disk
    cursor.execute("PRAGMA cache_size=-65536")
    cursor.close()


def _switch_to_wal(cursor: sqlite3.Cursor) -> None:
    """Switch the file to a write-ahead log; SQLite does not wait by itself for others who open a new file."""
    patience = time.monotonic() + WAIT_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if _BUSY[0] not in str(error) or time.monotonic() > patience:
                raise
            time.sleep(0.02)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextlib.contextmanager
def reading(engine: Engine, address: StoreAddress) -> Iterator[Connection]:
    """Give a connection that sees one state of the database throughout."""
    with told(address), engine.connect() as connection:
        if address.file is None:
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            yield connection


@contextlib.contextmanager
def writing(engine: Engine, address: StoreAddress) -> Iterator[Connection]:
    """Give the connection of the one writer; others wait. The caller commits, else nothing is kept.

    SQLite locks the file (BEGIN IMMEDIATE), PostgreSQL an advisory lock that ends with the transaction:
    both are freed when the process dies.
    """
    with told(address), engine.connect() as connection:
        connection = connection.execution_options(**{_WRITES: True})
        transaction = connection.begin()
        try:
            if address.file is None:
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{WAIT_S}s'")
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            yield connection
        finally:
            if transaction.is_active:
                transaction.rollback()


@contextlib.contextmanager
def told(address: StoreAddress) -> Iterator[None]:
    """Turn a driver's errors into ours.

    Raises
    ------
    DiskFullError, StoreError
    """
    try:
        yield
    except DBAPIError as error:
        cause = _cause(error)
        folder = address.file.parent if address.file else Path(str(address))
        if address.file and any(word in cause for word in _FULL):
            raise DiskFullError(folder) from OSError(errno.ENOSPC, cause)
        raise StoreError(str(address), cause, _next_step(cause, address)) from error
    except ModuleNotFoundError as error:
        if error.name != "psycopg":
            raise
        raise StoreError(
            str(address), "the driver psycopg is not installed", "Run `pip install 'lesiongraph[postgres]'`."
        ) from error


def _cause(error: DBAPIError) -> str:
    """Say what the database said, without the values it was given: they are patients'."""
    stated = getattr(getattr(error.orig, "diag", None), "message_primary", None) or str(error.orig)
    return " ".join(stated.split())[:200].rstrip(".")


def _next_step(cause: str, address: StoreAddress) -> str:
    if any(word in cause for word in _BUSY):
        return "Another process has been writing to it all the while: wait for it, and run the command again."
    if any(word in cause for word in _DAMAGED):
        return "Put the file back from a backup (docs/catalogue-store.md)."
    if address.file is None:
        return (
            "Check that the server runs, and its address, user and password (PGPASSWORD or ~/.pgpass: "
            "a workspace keeps none); then run the command again."
        )
    return "Check the folder and its rights, and run the command again."
