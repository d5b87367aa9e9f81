"""The catalogue in SQLite and in PostgreSQL: the same rows back, one writer at a time, nothing lost."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading

import numpy as np
import pandas as pd
import pytest
from postgres import PASSWORD
from tables import catalogue

from lesiongraph.errors import StoreError, StoreVersionError, UsageError
from lesiongraph.lesion import CATALOGUE, Decision
from lesiongraph.mining import MiningResult, as_found, in_order, merge_results
from lesiongraph.store import CatalogueStore, StoreAddress, storable

TABLES = tuple(CATALOGUE)


def put(store: CatalogueStore, found: MiningResult) -> dict[str, int]:
    """Add what was found, as `mine` does."""
    with store.change() as change:
        change.begin_run("mine", "/w", ["/archive"])
        former = MiningResult(**{name: change.table(name) for name in TABLES})
        part = merge_results([found, former])
        for name in TABLES:
            change.put(name, getattr(part, name), getattr(former, name))
        change.mark_seen("lesions", found.lesions.lesion_id)
        return change.commit().rows


def everything(store: CatalogueStore) -> MiningResult:
    with store.read() as view:
        return in_order(MiningResult(**{name: view.table(name) for name in TABLES}))


def look(store: CatalogueStore) -> int:
    with store.read() as view:
        return view.revision


def same(one: MiningResult, other: MiningResult) -> None:
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))


@pytest.fixture
def store(store_url) -> CatalogueStore:
    return CatalogueStore(StoreAddress.parse(store_url))


def undealt(tables: MiningResult) -> MiningResult:
    return MiningResult(as_found(tables.lesions), tables.series, tables.slices, tables.landmarks)


def test_rows_come_back_as_they_were(store):
    found = undealt(catalogue(range(3)))
    found.lesions.loc[0, ["finding", "long_mm", "patient_age"]] = ["Läsion ‚3‘ %s ? :x \\ \t", 1e-300, np.inf]
    found.lesions.loc[1, "long_mm"] = 0.1 + 0.2
    written = put(store, found)
    assert written == {"lesions": 6, "series": 3, "slices": 12, "landmarks": 3}
    same(everything(store), found)
    assert np.isnan(everything(store).lesions.short_mm).all()


def test_what_changes_nothing_writes_nothing(store):
    found = undealt(catalogue(range(3)))
    put(store, found)
    with store.read() as view:
        before = view.revision
    assert put(store, found) == {}
    with store.read() as view:
        assert view.revision == before
        seen = view.provenance()
    assert (seen.first_run.unique().tolist(), seen.last_run.unique().tolist()) == ([1], [2])


def test_only_what_differs_is_written(store):
    put(store, undealt(catalogue(range(5))))
    changed = undealt(catalogue(range(5)))
    changed.lesions.loc[4, "finding"] = "mass"
    more = changed.slices.series_instance_uid != "1.2.3.1"
    grown = pd.concat([changed.slices, changed.slices[~more].iloc[-1:].assign(
        slice_index=4, position_mm=99.0, sop_instance_uid="9.9")])  # fmt: skip
    changed = MiningResult(changed.lesions, changed.series, grown, changed.landmarks)
    assert put(store, changed) == {"lesions": 1, "series": 1, "slices": 5}
    found = everything(store)
    assert len(found.slices) == 21
    assert found.lesions.finding[4] == "mass"


def test_what_is_not_committed_is_not_kept(store):
    put(store, undealt(catalogue(range(2))))
    before = everything(store)
    other = undealt(catalogue(range(5, 9)))
    with store.change() as change:
        change.begin_run("mine", "/w")
        for name in TABLES:
            assert change.put(name, getattr(other, name), change.table(name))
    same(everything(store), before)
    with store.read() as view:
        assert len(view.runs()) == 1


def test_text_that_a_database_cannot_hold(store):
    found = undealt(catalogue(range(1)))
    found.lesions.loc[0, "finding"] = "a\x00b"
    found.lesions.loc[1, "finding"] = "half \ud800 pair"
    shown = storable(found.lesions, "lesions")
    assert shown.finding.tolist() == ["a\u2400b", "half ? pair"]
    put(store, MiningResult(shown, found.series, found.slices, found.landmarks))
    pd.testing.assert_frame_equal(everything(store).lesions, shown)


def test_decisions_are_numbered_and_kept(store):
    asked = Decision("a", "b", "break-match", "", "Ann", "2026-01-01T00:00:00Z", "a note")
    with store.change() as change:
        first, second = change.decide(asked), change.decide(asked)
        change.commit()
    with store.change() as change:
        change.decide(asked)  # not committed: nobody has seen its number
    with store.read() as view:
        assert view.decisions() == [first, second]
    assert second.id > first.id > 0


def _mine_some(url: str, start: int, barrier) -> None:
    store = CatalogueStore(StoreAddress.parse(url))
    barrier.wait()
    for step in range(4):
        own = range(start + 10 * step, start + 10 * step + 10)
        shared = range(5000, 5010)  # met by both
        for patients in (own, shared):
            put(store, undealt(catalogue(patients)))


def test_two_miners_at_once_lose_nothing_and_write_nothing_twice(store_url):
    apart = multiprocessing.get_context("spawn")
    barrier = apart.Barrier(2)
    miners = [apart.Process(target=_mine_some, args=(store_url, s, barrier)) for s in (0, 1000)]
    for miner in miners:
        miner.start()
    for miner in miners:
        miner.join(120)
    assert [miner.exitcode for miner in miners] == [0, 0]
    wanted = merge_results([catalogue(p) for p in (range(40), range(1000, 1040), range(5000, 5010))])
    store = CatalogueStore(StoreAddress.parse(store_url))
    same(everything(store), undealt(wanted))
    with store.read() as view:
        runs = view.runs()
    assert runs.id.tolist() == sorted(set(runs.id))
    assert len(runs) == 16


def test_an_address_is_told_without_its_password():
    url = "postgresql://me:secret@db.example:5433/lesions?sslmode=verify-full&sslpassword=hidden"
    address = StoreAddress.parse(url)
    assert "secret" not in str(address)
    assert "hidden" not in str(address)
    assert str(address) == "postgresql+psycopg://me@db.example:5433/lesions?sslmode=verify-full"
    assert address.same_place(StoreAddress.parse(url.replace("secret", "other")))
    assert not address.same_place(StoreAddress.parse(url.replace("5433", "5434")))


@pytest.mark.parametrize("text", ["mysql://h/d", "nonsense:secret", "sqlite://", "postgresql://h"])
def test_an_address_that_is_none(text):
    with pytest.raises(UsageError, match="expected sqlite") as raised:
        StoreAddress.parse(text)
    assert "secret" not in str(raised.value)


def test_a_server_that_refuses(postgres_server):
    for url, said in (
        (f"{postgres_server}/nowhere", "nowhere"),
        (f"{postgres_server}/postgres".replace(PASSWORD, "wrong-word"), "password"),
        ("postgresql://nobody:wrong-word@127.0.0.1:1/x", "refused"),
    ):
        with pytest.raises(StoreError, match=said) as raised:
            look(CatalogueStore(StoreAddress.parse(url)))
        assert "wrong-word" not in str(raised.value)
        assert PASSWORD not in str(raised.value)


def test_a_file_that_is_no_database(tmp_path):
    path = tmp_path / "catalogue.sqlite"
    path.write_bytes(b"no database, only text that is long enough to be looked at" * 100)
    with pytest.raises(StoreError, match="backup"):
        look(CatalogueStore(StoreAddress.of_file(path)))
    assert path.read_bytes().startswith(b"no database")


def test_a_database_of_a_newer_lesiongraph(store, store_url):
    import sqlalchemy as sa

    look(store)
    engine = sa.create_engine(StoreAddress.parse(store_url).url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE lesiongraph_version SET version_num = '9001'"))
    engine.dispose()
    with pytest.raises(StoreVersionError, match="9001"):
        look(CatalogueStore(StoreAddress.parse(store_url)))


def test_a_new_file_that_another_writes_is_waited_for(tmp_path):
    """SQLite answers a switch to its write-ahead log with "locked" at once while another holds the file."""
    file = tmp_path / "shared.sqlite"
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    other.execute("CREATE TABLE anything (value)")
    timer = threading.Timer(0.5, other.execute, ["COMMIT"])
    timer.start()
    store = CatalogueStore(StoreAddress.parse(f"sqlite:///{file}"))
    with store.read() as view:
        assert view.runs().empty
    timer.join()
    other.close()
