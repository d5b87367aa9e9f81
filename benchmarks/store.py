"""Write and re-write a catalogue of DeepLesion's size, SQLite and PostgreSQL: `python benchmarks/store.py`.

The floor is what was there before the database: the same tables written and flushed as Parquet.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import sqlalchemy

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "store"))

from postgres import create_database, server, why_not
from tables import catalogue, key_of

from lesiongraph.lesion import CATALOGUE
from lesiongraph.mining import MiningResult, assign_subsets
from lesiongraph.pipeline.decide import decide
from lesiongraph.pipeline.stored_catalogue import stored_catalogue
from lesiongraph.workspace import Workspace
from provenance import print_header


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def write_parquet(tables: MiningResult, path: Path) -> None:
    """Write the snapshot alone, as `mine` did before there was a database."""
    workspace = Workspace(path)
    tables = MiningResult(assign_subsets(tables.lesions), tables.series, tables.slices, tables.landmarks)
    with workspace.lock(), workspace.write("catalogue", key_of(tables)) as folder:
        for name, schema in CATALOGUE.items():
            folder.write_table(name, getattr(tables, name), schema)


def put_rows(url: str, path: Path, tables: MiningResult) -> float:
    """Time the database alone: the rows into empty tables, and the commit."""
    from lesiongraph.store import CatalogueStore, StoreAddress

    store = CatalogueStore(StoreAddress.parse(url))
    with store.read():
        pass  # the tables are made
    empty = MiningResult()

    def put() -> None:
        with store.change() as change:
            change.begin_run("mine", str(path))
            for name in CATALOGUE:
                change.put(name, getattr(tables, name), getattr(empty, name))
            change.commit()

    return seconds(put)


def add(workspace: Workspace, tables: MiningResult, url: str) -> float:
    def put() -> None:
        with workspace.lock(), stored_catalogue(workspace, url) as stored:
            stored.around(tables)  # as `mine` does, to judge marks as earlier runs did
            stored.add(tables, ["/archive"])

    return seconds(put)


@contextmanager
def databases(root: Path) -> Iterator[dict[str, Callable[[str], str]]]:
    """Give, for each kind of database, a function that makes an empty one."""
    kinds: dict[str, Callable[[str], str]] = {"SQLite": lambda name: f"sqlite:///{root}/{name}.sqlite"}
    if why_not():
        print(f"PostgreSQL left out: {why_not()}")
        yield kinds
        return
    with server(durable=True) as url:
        yield kinds | {"PostgreSQL": lambda name: create_database(url, name)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=14_601, help="DeepLesion has 14,601 of 4,427 patients")
    parser.add_argument("--slices", type=int, default=70, help="of each series: a million in all")
    options = parser.parse_args()
    print_header(sqlalchemy=sqlalchemy.__version__, pandas=pd.__version__)
    tables = catalogue(range(options.series), slices=options.slices, marks=2)
    more = catalogue(range(options.series, options.series + 1), slices=options.slices, marks=3)
    rows = sum(len(getattr(tables, name)) for name in CATALOGUE)
    counts = (f"{len(getattr(tables, name))} {name}" for name in CATALOGUE)
    print(f"{', '.join(counts)}: {rows} rows")
    with tempfile.TemporaryDirectory() as folder, databases(Path(folder)) as kinds:
        root = Path(folder)
        floor = min(seconds(lambda i=i: write_parquet(tables, root / f"parquet-{i}")) for i in range(2))
        print(f"floor, Parquet alone                {floor:8.2f} s  {rows / floor:12,.0f} rows/s")
        for kind, make in kinds.items():
            workspace = Workspace(root / f"w-{kind}")
            url = make("whole")
            steps = {
                "rows into an empty database": put_rows(make("rows"), root, tables),
                "first run, snapshot included": add(workspace, tables, url),
                "run that changes nothing": add(workspace, tables, url),
                "run that adds one study": add(workspace, more, url),
                "decision on a mark": seconds(
                    lambda w=workspace: decide(w, "reject", [tables.lesions.lesion_id[0]], decided_by="bench")
                ),
                "decision on a match": seconds(
                    lambda w=workspace: decide(
                        w, "confirm-match", more.lesions.lesion_id[:2].tolist(), decided_by="bench"
                    )
                ),
            }
            for name, took in steps.items():
                rate = f"  {rows / took:12,.0f} rows/s" if "row" in name or "first" in name else ""
                print(f"{kind + ', ' + name:42s} {took:8.2f} s  {took / floor:6.2f} x floor{rate}")
            if kind == "SQLite":
                size = (root / "whole.sqlite").stat().st_size
                parquet = sum(p.stat().st_size for p in (root / "parquet-0").rglob("*.parquet"))
                print(f"SQLite file {size / 2**20:.0f} MiB, Parquet {parquet / 2**20:.0f} MiB")


if __name__ == "__main__":
    os.environ.setdefault("PGPASSWORD", "tell-nobody-17")
    main()
