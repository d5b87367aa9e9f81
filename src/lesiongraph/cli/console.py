"""How the command line talks: progress on standard error, results on standard output, paths plain."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from lesiongraph.workspace import RunReport

ProgressCallback = Callable[[str, int, int], None]
_PLAIN_INTERVAL_S = 10.0


@contextmanager
def progress() -> Iterator[ProgressCallback]:
    """Give a callback `(what, done, total)`: bars on a terminal, a line now and then elsewhere."""
    if sys.stderr.isatty():
        with _bars() as callback:
            yield callback
    else:
        yield _plain_lines()


@contextmanager
def _bars() -> Iterator[ProgressCallback]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, object] = {}

        def callback(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)  # type: ignore[arg-type]

        yield callback


def _plain_lines() -> ProgressCallback:
    last: dict[str, float] = {}

    def callback(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done >= total or now - last.setdefault(what, now) >= _PLAIN_INTERVAL_S:
            last[what] = now
            print(f"{what}: {done}/{total}", file=sys.stderr, flush=True)

    return callback


def show_report(report: RunReport, as_json: bool, headline: str = "") -> None:
    """Print a run report: JSON, or a few lines for a person."""
    if as_json:
        print(json.dumps(report.as_dict(), indent=2, default=str))
        return
    if report.already_done:
        print(f"{report.verb}: done before, nothing to do")
    if headline:
        print(headline)
    for name, number in report.counts.items():
        print(f"  {name}: {number}")
    for reason, number in sorted(report.rejected.items(), key=lambda item: -item[1]):
        print(f"  rejected, {reason}: {number}")
    for weights in report.weights:
        print(f"  weights: {weights['name']} (sha256 {weights['sha256'][:12]})")
    for note in report.notes:
        print(f"  note: {note}")
    print(f"  seconds: {report.seconds}")


def show_rows(rows: pd.DataFrame, csv: Path | None) -> None:
    """Print a table, or write it as CSV and print where."""
    if csv is not None:
        csv.parent.mkdir(parents=True, exist_ok=True)
        rows.to_csv(csv, index=False)
        print(csv)
    elif sys.stdout.isatty():
        table = Table(box=None)
        for name in rows.columns:
            table.add_column(str(name))
        for row in rows.itertuples(index=False):
            table.add_row(*(_cell(value) for value in row))
        Console().print(table)
    else:
        print(rows.to_csv(index=False, float_format="%.4f"), end="")


def _cell(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
