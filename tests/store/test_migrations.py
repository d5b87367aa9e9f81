"""The steps of the database: they lead to the tables of today, and carry old data along."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from tables import catalogue
from test_catalogue_store import everything, put, undealt

from lesiongraph.lesion import CATALOGUE
from lesiongraph.store import CatalogueStore, StoreAddress
from lesiongraph.store.connecting import make_engine, reading, writing
from lesiongraph.store.migrating import newest_revision, revision_of, upgrade
from lesiongraph.store.tables import METADATA

WRITE_ONE = "the steps do not lead to the tables of lesion.schema: write one with tools/new_migration.py"


def test_the_steps_lead_to_the_tables_of_today(store_url):
    store = CatalogueStore(StoreAddress.parse(store_url))
    with store.read() as view:
        assert view.revision == 0
    with reading(make_engine(store.address), store.address) as connection:
        found = MigrationContext.configure(
            connection, opts={"version_table": "lesiongraph_version", "compare_type": True}
        )
        assert compare_metadata(found, METADATA) == [], WRITE_ONE
        tables = sa.inspect(connection)
        for name, table in METADATA.tables.items():
            key = tables.get_pk_constraint(name)["constrained_columns"]
            assert key == [column.name for column in table.primary_key]
    assert set(CATALOGUE) < set(METADATA.tables)


def test_a_database_of_revision_1_is_upgraded_with_its_data(store_url):
    address = StoreAddress.parse(store_url)
    engine = make_engine(address)
    with writing(engine, address) as connection:
        upgrade(connection, "0001")
        old = sa.MetaData()
        old.reflect(connection)
        assert {"lesions", "decisions"} < set(old.tables)
        assert "sent" not in old.tables
        empty = {str: "", int: 0, float: 0.0, bool: False}
        row = {column.name: empty[column.type.python_type] for column in old.tables["lesions"].columns}
        connection.execute(old.tables["lesions"].insert(), row | {"lesion_id": "L-old", "long_mm": 12.5})
        decision = dict.fromkeys(
            ("other_lesion_id", "value", "decided_by", "decided_at", "note"), "-"
        ) | {"id": 7, "lesion_id": "L-old", "kind": "reject"}  # fmt: skip
        connection.execute(old.tables["decisions"].insert(), decision)
        connection.commit()
    store = CatalogueStore(address)
    with store.read() as view:
        lesions = view.table("lesions")
        assert (lesions.lesion_id.item(), lesions.long_mm.item()) == ("L-old", 12.5)
        assert [(d.id, d.lesion_id, d.kind) for d in view.decisions()] == [(7, "L-old", "reject")]
    with reading(engine, address) as connection:
        assert revision_of(connection) == newest_revision() != "0001"
    put(store, undealt(catalogue(range(2))))
    assert len(everything(store).lesions) == 5


def test_a_step_that_fails_leaves_the_database_as_it_was(store_url, monkeypatch):
    address = StoreAddress.parse(store_url)
    engine = make_engine(address)
    with writing(engine, address) as connection:
        upgrade(connection, "0001")
        connection.commit()
        connection.exec_driver_sql("CREATE TABLE sent (unexpected INTEGER)")  # made after `cursors`
        connection.commit()
    with pytest.raises(Exception, match="sent"), CatalogueStore(address).read():
        pass
    with reading(engine, address) as connection:
        assert revision_of(connection) == "0001"
        assert not sa.inspect(connection).has_table("cursors")
