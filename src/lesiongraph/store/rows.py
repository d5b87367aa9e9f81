"""Frames ↔ rows of a database: read whole, written in bulk, and only where they differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lesiongraph.lesion import CATALOGUE, NUMBER, TEXT, conform
from lesiongraph.store.tables import (
    CATALOGUE_TABLES,
    KEYS,
    NUMBER_IN_SERIES,
    OF_A_SERIES,
    stored_columns,
)

_CHUNK = 500  # keys in one IN (…): SQLite takes 32,766 parameters, older ones 999
_NUL, _NUL_SHOWN = "\x00", "\u2400"


def storable(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return a catalogue frame with the text that every database can hold.

    PostgreSQL has no NUL character, and UTF-8 no half of a surrogate pair: a NUL becomes U+2400 (the picture
    of it), a half pair "?". Hostile headers hold such, real ones do not.
    """
    text = [column for column, kind in CATALOGUE[name].items() if kind == TEXT]
    strange = [column for column in text if _is_strange("".join(frame[column]))]  # a column at a time: fast
    return frame.assign(**{column: frame[column].map(_shown).astype("object") for column in strange})


def _is_strange(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return _NUL in text


def _shown(text: str) -> str:
    return text.replace(_NUL, _NUL_SHOWN).encode("utf-8", "replace").decode("utf-8")


def read_rows(connection: Connection, name: str, **where: Sequence[str]) -> pd.DataFrame:
    """Return a catalogue table, or its rows with these values of one column, conformed to its schema."""
    table, columns = CATALOGUE_TABLES[name], stored_columns(name)
    query = sa.select(*(table.c[column] for column in columns))
    if NUMBER_IN_SERIES in KEYS[name]:
        query = query.order_by(table.c.series_instance_uid, table.c[NUMBER_IN_SERIES])
    rows: list[Any] = []
    if not where:
        rows += connection.execute(query).fetchall()
    for column, wanted in where.items():
        for chunk in _chunks(wanted):
            rows += connection.execute(query.where(table.c[column].in_(chunk))).fetchall()
    return conform(pd.DataFrame.from_records(rows, columns=columns), CATALOGUE[name])


def series_changed(connection: Connection, name: str, since_run: int) -> list[str]:
    """Return, sorted, the series of which a run after `since_run` wrote rows of a catalogue table."""
    table = CATALOGUE_TABLES[name]
    query = sa.select(table.c.series_instance_uid).where(table.c.changed_run > since_run).distinct()
    return sorted(connection.execute(query).scalars())  # here: each database sorts text its own way


def write_rows(connection: Connection, name: str, frame: pd.DataFrame, former: pd.DataFrame, run: int) -> int:
    """Write the rows of a catalogue table that differ from what is there; return how many.

    Lesions and series are added or replaced one by one; of slices and landmarks all of a series together.

    Parameters
    ----------
    former : frame
        The table as it is in the database, at least where `frame` touches it.
    run : int
        Noted with each row that is written.
    """
    frame = frame[stored_columns(name)]
    key = KEYS[name][0]
    former = former.loc[former[key].isin(set(frame[key])), stored_columns(name)]
    if name in OF_A_SERIES:
        changed = _changed_series(frame, former)
        _delete_of_series(connection, name, sorted(changed & set(former.series_instance_uid)))
        frame = frame[frame.series_instance_uid.isin(changed)]
    else:
        frame = frame[_is_new(frame, former, key)]
    if NUMBER_IN_SERIES in KEYS[name]:
        frame = frame.assign(**{NUMBER_IN_SERIES: frame.groupby("series_instance_uid").cumcount()})
    put(connection, CATALOGUE_TABLES[name], frame.assign(changed_run=run))
    return len(frame)


def _is_new(frame: pd.DataFrame, former: pd.DataFrame, key: str) -> list[bool]:
    known = dict(zip(former[key], _hashes(former), strict=True))
    return [known.get(name) != value for name, value in zip(frame[key], _hashes(frame), strict=True)]


def _changed_series(frame: pd.DataFrame, former: pd.DataFrame) -> set[str]:
    new, old = _series_hashes(frame), _series_hashes(former)
    return {uid for uid, value in new.items() if old.get(uid) != value}


def _series_hashes(frame: pd.DataFrame) -> dict[str, tuple[int, int]]:
    groups = pd.Series(_hashes(frame), dtype="uint64").groupby(frame.series_instance_uid.to_numpy())
    return dict(zip(groups.groups, zip(groups.sum(), groups.size(), strict=True), strict=True))


def _hashes(frame: pd.DataFrame) -> list[int]:
    found: list[int] = pd.util.hash_pandas_object(frame, index=False).tolist()
    return found


def _delete_of_series(connection: Connection, name: str, series_uids: Sequence[str]) -> None:
    table = CATALOGUE_TABLES[name]
    for chunk in _chunks(series_uids):
        connection.execute(sa.delete(table).where(table.c.series_instance_uid.in_(chunk)))


def _chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), _CHUNK):
        yield names[start : start + _CHUNK]


def put(connection: Connection, table: sa.Table, frame: pd.DataFrame, keep: Iterable[str] = ()) -> None:
    """Insert rows, replacing those of the same key but for the columns of `keep`.

    SQLite takes one prepared statement for all rows; PostgreSQL copies them into a temporary table first,
    which is several times faster than a statement a row.
    """
    if frame.empty:
        return
    quote = connection.dialect.identifier_preparer.quote
    names = [quote(str(column)) for column in frame.columns]
    key = [quote(column.name) for column in table.primary_key]
    kept = {*key, *map(quote, keep)}
    updates = ", ".join(f"{name} = excluded.{name}" for name in names if name not in kept)
    conflict = f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {updates}"
    target = f"INSERT INTO {quote(table.name)} ({', '.join(names)})"
    rows = list(zip(*(_values(frame[column]) for column in frame.columns), strict=True))
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(names))
        connection.exec_driver_sql(f"{target} VALUES ({marks}) {conflict}", rows)
        return
    arriving = quote(f"arriving_{table.name}")
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE {arriving} ON COMMIT DROP AS "
        f"SELECT {', '.join(names)} FROM {quote(table.name)} WITH NO DATA"
    )
    cursor: Any = connection.connection.cursor()
    with cursor.copy(f"COPY {arriving} ({', '.join(names)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    connection.exec_driver_sql(f"{target} SELECT {', '.join(names)} FROM {arriving} {conflict}")
    connection.exec_driver_sql(f"DROP TABLE {arriving}")


def _values(column: pd.Series) -> list[Any]:
    """Return plain Python values, None for an unknown number."""
    if column.dtype == NUMBER:
        return [None if value != value else value for value in column.tolist()]
    values: list[Any] = column.tolist()
    return values
