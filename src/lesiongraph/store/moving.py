"""A whole catalogue from one database to another: every table, in one transaction, and the first retires."""

from __future__ import annotations

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lesiongraph.errors import StoreNotEmptyError
from lesiongraph.store.catalogue import MOVED_TO, CatalogueStore
from lesiongraph.store.rows import put
from lesiongraph.store.tables import ABOUT, METADATA

_CHUNK = 20_000  # rows in memory at once
_COUNTED = ("runs", "decisions")  # numbered by the database itself


def move(source: CatalogueStore, target: CatalogueStore) -> dict[str, int]:
    """Copy all of a catalogue into an empty database, and have the first say that it has moved.

    The copy has the first one's name (`store_id`), so that its workspaces know it again. Nobody writes to the
    first meanwhile; afterwards whoever opens it is sent to the other. A kill leaves the catalogue where it
    was; within a moment at the end it is in both places, and the first one in use.

    Returns
    -------
    dict of str to int
        Rows of each table.

    Raises
    ------
    StoreNotEmptyError
        If the target holds anything; it stays as it is.
    StoreError, DiskFullError
        If a database cannot be used; the first stays in use.
    """
    made_here = not target.exists
    try:
        with target.read() as view:  # first without locks: both addresses may name one database
            _check_empty(view.connection, target)
        with source.change() as old, target.change() as new:
            _check_empty(new.connection, target)
            rows = {
                table.name: _copy(old.connection, new.connection, table) for table in METADATA.sorted_tables
            }
            _count_on(new.connection)
            new.connection.commit()
            moved = {"name": MOVED_TO, "value": str(target.address)}
            old.connection.execute(sa.insert(ABOUT).values(**moved))
            old.connection.commit()
    except BaseException:
        if made_here:
            target.remove()
        raise
    return rows


def _check_empty(connection: Connection, target: CatalogueStore) -> None:
    for table in METADATA.sorted_tables:
        if table is not ABOUT and (rows := _rows(connection, table)):
            raise StoreNotEmptyError(str(target.address), table.name, rows)


def _rows(connection: Connection, table: sa.Table) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def _copy(old: Connection, new: Connection, table: sa.Table) -> int:
    names = [column.name for column in table.columns]
    found = old.execute(sa.select(table).execution_options(yield_per=_CHUNK))
    for chunk in found.partitions():
        # as objects: pandas would make a NULL among numbers a NaN
        put(new, table, pd.DataFrame([tuple(row) for row in chunk], columns=names, dtype="object"))
    return _rows(new, table)


def _count_on(connection: Connection) -> None:
    """Have PostgreSQL go on with the numbers that were copied; SQLite does so by itself."""
    if connection.dialect.name == "sqlite":
        return
    for name in _COUNTED:
        connection.exec_driver_sql(
            f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), max(id)) FROM {name} HAVING max(id) > 0"
        )
