"""A catalogue moved from one database to another: all of it, once, and nobody writes to the first again."""

from __future__ import annotations

import itertools
import json
import shutil
from typing import Any

import pytest
import sqlalchemy as sa
from postgres import PASSWORD, create_database
from tables import catalogue

from lesiongraph.errors import (
    StageMissingError,
    StoreMismatchError,
    StoreMovedError,
    StoreNotEmptyError,
    UsageError,
)
from lesiongraph.lesion import SentReport
from lesiongraph.pipeline.catalogue import read_catalogue
from lesiongraph.pipeline.decide import decide, decisions_table
from lesiongraph.pipeline.move_store import move_store
from lesiongraph.pipeline.stored_catalogue import stored_catalogue
from lesiongraph.store import CatalogueStore, ReportLedger, StoreAddress
from lesiongraph.store.connecting import make_engine, reading
from lesiongraph.store.tables import METADATA
from lesiongraph.workspace import Workspace

_numbers = itertools.count()


def add(workspace: Workspace, patients: range, store: str | None = None):
    with workspace.lock(), stored_catalogue(workspace, store) as stored:
        return stored.add(catalogue(patients), ["/archive"])


def everything(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of every table, moved or not; what says that it moved left out."""
    address = StoreAddress.parse(url)
    with reading(make_engine(address), address) as connection:
        rows = {
            table.name: sorted(map(tuple, connection.execute(sa.select(table))), key=repr)
            for table in METADATA.sorted_tables
        }
    rows["about"] = [row for row in rows["about"] if row[0] != "moved_to"]
    return rows


def lived_in(workspace: Workspace, store: str) -> None:
    """Fill a catalogue with all that it may hold."""
    add(workspace, range(3), store)
    ids = read_catalogue(workspace).lesions.lesion_id.tolist()
    decide(workspace, "reject", [ids[0]], decided_by="Ann", note="a vessel, Gefäß")
    decide(workspace, "type", [ids[1]], value="bone", decided_by="Bob")
    decide(workspace, "confirm-match", ids[2:4], decided_by="Ann")
    decide(workspace, "undo", value="2", decided_by="Eve")
    ledger = ReportLedger(CatalogueStore(StoreAddress.parse(store)), "here", 600.0)
    claim = ledger.claim(SentReport("pacs", "1.2", 0, "2.25.1", "d"))
    assert claim is not None
    ledger.confirm(claim)
    ledger.claim(SentReport("pacs", "1.2", 0, "2.25.2", "e", "2.25.1"))
    ledger.assign_tracking(lambda _: {ids[2]: ("2.25.7", 1), ids[3]: ("2.25.7", 1)})


def test_from_sqlite_to_postgresql_and_back_nothing_is_lost(tmp_path, postgres_server, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    first, last = (f"sqlite:///{tmp_path / name}.sqlite" for name in ("first", "last"))
    server = create_database(postgres_server, f"moved_{next(_numbers)}")
    workspace = Workspace(tmp_path / "w")
    lived_in(workspace, first)
    before, key = everything(first), workspace.key("catalogue")
    assert all(before.values()), "each table holds something, so that its loss would show"
    assert [row[5] for row in before["decisions"]] == ["Ann", "Bob", "Ann", "Eve"]
    moved = move_store(workspace, server)
    assert moved == {name: len(rows) for name, rows in before.items()}
    assert everything(server) == before
    move_store(workspace, last)
    assert everything(last) == before
    assert add(workspace, range(3)).already_done
    assert workspace.key("catalogue") == key, "what was made of it stays valid"


def test_numbers_go_on_after_a_move(tmp_path, store_url):
    workspace = Workspace(tmp_path / "w")
    lived_in(workspace, f"sqlite:///{tmp_path / 'first.sqlite'}")
    move_store(workspace, store_url)
    taken = decide(workspace, "reject", [read_catalogue(workspace).lesions.lesion_id[4]], decided_by="Ann")
    assert taken.id == 5
    assert add(workspace, range(4)).rows_written["lesions"] == 2
    assert decisions_table(workspace, everything=True).decided_by.tolist() == [
        *("Ann", "Bob", "Ann", "Eve", "Ann")
    ]


def test_an_empty_database_only_and_the_first_stays_in_use(tmp_path, store_url):
    workspace, other = Workspace(tmp_path / "w"), Workspace(tmp_path / "other")
    with pytest.raises(StageMissingError, match="mine"):
        move_store(workspace, store_url)
    lived_in(workspace, f"sqlite:///{tmp_path / 'first.sqlite'}")
    add(other, range(7, 9), store_url)
    held = everything(store_url)
    with pytest.raises(StoreNotEmptyError, match=r"expected an empty database, found \d+ rows"):
        move_store(workspace, store_url)
    with pytest.raises(UsageError):
        move_store(workspace, "nonsense")
    assert everything(store_url) == held
    assert add(workspace, range(4)).rows_written["lesions"] == 2


def test_a_move_to_where_it_is(tmp_path):
    workspace = Workspace(tmp_path / "w")
    add(workspace, range(1))
    with pytest.raises(UsageError, match="lies there already"):
        move_store(workspace, f"sqlite:///{workspace.path}/catalogue.sqlite")


def test_the_first_is_refused_and_other_workspaces_follow(tmp_path, store_url):
    first = f"sqlite:///{tmp_path / 'first.sqlite'}"
    one, other = Workspace(tmp_path / "one"), Workspace(tmp_path / "other")
    add(one, range(2), first)
    add(other, range(2), first)
    busy = CatalogueStore(StoreAddress.parse(first))
    with busy.read():
        pass  # a process that looked at it before the move, and writes after it
    move_store(one, store_url)
    with pytest.raises(StoreMovedError, match="was moved to"), busy.change():
        pass
    for _ in range(2):
        with pytest.raises(StoreMovedError, match="--store"):
            add(other, range(3))
    with pytest.raises(StoreMismatchError):
        add(one, range(3), f"sqlite:///{tmp_path / 'elsewhere.sqlite'}")
    stranger = Workspace(tmp_path / "stranger")
    add(stranger, range(2), f"sqlite:///{tmp_path / 'third.sqlite'}")
    with pytest.raises(Exception, match="another database"):
        add(other, range(3), f"sqlite:///{tmp_path / 'third.sqlite'}")
    assert add(other, range(3), store_url).rows_written["lesions"] == 2
    assert add(other, range(3)).already_done, "it remembers the new address"
    decide(other, "reject", ["L-000000-1-0"], decided_by="Ann")
    assert len(decisions_table(one)) == 1


def test_a_move_that_fails_moves_nothing(tmp_path, monkeypatch):
    workspace = Workspace(tmp_path / "w")
    add(workspace, range(2))
    target = tmp_path / "target.sqlite"

    def full(*_: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as broken:
        broken.setattr("lesiongraph.store.moving._count_on", full)
        with pytest.raises(OSError, match="no space"):
            move_store(workspace, f"sqlite:///{target}")
    assert not target.exists()
    assert add(workspace, range(3)).rows_written["lesions"] == 2
    move_store(workspace, f"sqlite:///{target}")
    assert add(workspace, range(3)).already_done


def test_through_the_command_line(cli, tmp_path, store_url):
    workspace = Workspace(tmp_path / "w")
    add(workspace, range(2))
    ran = cli("store", "move", store_url, "-w", workspace.path, "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["lesions"] == 4
    assert PASSWORD not in (workspace.path / "store.json").read_text()
    ran = cli("store", "move", store_url, "-w", workspace.path)
    assert (ran.code, "lies there already" in ran.err) == (2, True)
    copied = Workspace(shutil.copytree(workspace.path, tmp_path / "copied"))
    assert cli("decide", "reject", "L-000000-1-0", "-w", copied.path, "--by", "Ann").code == 0
    assert len(decisions_table(workspace)) == 1, "both workspaces look at the database that was moved to"
