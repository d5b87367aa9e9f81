"""The tables of the database: those of `lesion.schema`, and who found what, who decided what.

`migrations/` makes the same tables step by step; a test holds that both agree.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from lesiongraph.lesion import CATALOGUE, FLAG, NUMBER, TEXT, WHOLE

METADATA = sa.MetaData()
# Dealt anew over all patients with every run: a property of a snapshot, not of a mark.
DEALT = ("subset",)
_SQL_TYPES: dict[str, type[Any]] = {
    TEXT: sa.Text,
    NUMBER: sa.Double,
    WHOLE: sa.BigInteger,
    FLAG: sa.Boolean,
}
# What names a row. Rows of `slices` and `landmarks` belong to a series and are written as a whole with it.
KEYS: dict[str, tuple[str, ...]] = {
    "lesions": ("lesion_id",),
    "series": ("series_instance_uid",),
    "slices": ("series_instance_uid", "slice_index"),
    "landmarks": ("series_instance_uid", "number"),
}
OF_A_SERIES = ("slices", "landmarks")
NUMBER_IN_SERIES = "number"  # landmarks have no name of their own: 0, 1, … in their order


def stored_columns(name: str) -> list[str]:
    """Return the columns of a catalogue table that the database keeps."""
    return [column for column in CATALOGUE[name] if column not in DEALT]


def _catalogue_table(name: str) -> sa.Table:
    columns = [
        sa.Column(
            column,
            _SQL_TYPES[CATALOGUE[name][column]](),
            primary_key=column in KEYS[name],
            nullable=column not in KEYS[name],  # NULL: unknown, or not yet known of when the row was written
        )
        for column in stored_columns(name)
    ]
    if NUMBER_IN_SERIES in KEYS[name]:
        columns.append(sa.Column(NUMBER_IN_SERIES, sa.BigInteger, primary_key=True, autoincrement=False))
    columns.append(sa.Column("changed_run", sa.Integer, nullable=False))
    return sa.Table(name, METADATA, *columns, sqlite_with_rowid=False)


CATALOGUE_TABLES = {name: _catalogue_table(name) for name in CATALOGUE}

ABOUT = sa.Table(
    "about",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),  # store_id, revision
    sa.Column("value", sa.Text, nullable=False),
)
RUNS = sa.Table(
    "runs",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("verb", sa.Text, nullable=False),
    sa.Column("started_at", sa.Text, nullable=False),  # UTC, ISO 8601
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("workspace", sa.Text, nullable=False),
    sa.Column("sources", sa.Text, nullable=False),  # JSON list
    sa.Column("rows_written", sa.Text, nullable=False),  # JSON: table → rows
)
# Apart from the wide rows: a run that finds everything as it was writes these narrow ones alone.
SEEN = sa.Table(
    "seen",
    METADATA,
    sa.Column("kind", sa.Text, primary_key=True),  # lesions | series
    sa.Column("name", sa.Text, primary_key=True),  # its key
    sa.Column("first_run", sa.Integer, nullable=False),
    sa.Column("last_run", sa.Integer, nullable=False),
    sqlite_with_rowid=False,
)
DECISIONS = sa.Table(
    "decisions",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("lesion_id", sa.Text, nullable=False),
    sa.Column("other_lesion_id", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("decided_by", sa.Text, nullable=False),
    sa.Column("decided_at", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sqlite_autoincrement=True,  # a number is never given twice
)
# A row a report: claimed before it is sent, confirmed (claimed_until NULL) once it was seen there. By its key
# one sender alone claims the next report of a study.
SENT = sa.Table(
    "sent",
    METADATA,
    sa.Column("destination", sa.Text, primary_key=True),
    sa.Column("study", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("sop_instance_uid", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("predecessor", sa.Text, nullable=False),
    sa.Column("sent_by", sa.Text, nullable=False),
    sa.Column("sent_at", sa.Text, nullable=False),
    sa.Column("claimed_until", sa.Double, nullable=True),  # seconds since 1970, by the database's clock
    sqlite_with_rowid=False,
)
TRACKING = sa.Table(
    "tracking",
    METADATA,
    sa.Column("lesion_id", sa.Text, primary_key=True),
    sa.Column("tracking_uid", sa.Text, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sqlite_with_rowid=False,
)
