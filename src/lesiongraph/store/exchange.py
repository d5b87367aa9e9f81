"""Small tables of the exchange with a PACS: how far each source was read, what was sent where."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lesiongraph.store.clock import utc_now
from lesiongraph.store.rows import upsert_row
from lesiongraph.store.tables import CURSORS, SENT


def read_cursor(connection: Connection, source: str) -> Any:
    """Return what was kept for a source, None where nothing was."""
    found = connection.execute(sa.select(CURSORS.c.value).where(CURSORS.c.source == source)).scalar()
    return None if found is None else json.loads(found)


def write_cursor(connection: Connection, source: str, value: Any) -> None:
    """Keep a JSON value for a source."""
    row = {"source": source, "value": json.dumps(value, sort_keys=True), "updated_at": utc_now()}
    upsert_row(connection, CURSORS, row)


def write_sent(connection: Connection, destination: str, sop_instance_uid: str, content_hash: str) -> None:
    """Note that an object was stored at a destination; a later note of the same object takes its place."""
    row = {
        "destination": destination,
        "sop_instance_uid": sop_instance_uid,
        "content_hash": content_hash,
        "sent_at": utc_now(),
    }
    upsert_row(connection, SENT, row)


def read_sent(connection: Connection, destination: str) -> dict[str, str]:
    """Return SOP Instance UID → content hash of what was sent there."""
    query = sa.select(SENT.c.sop_instance_uid, SENT.c.content_hash).where(SENT.c.destination == destination)
    return {row.sop_instance_uid: row.content_hash for row in connection.execute(query)}
