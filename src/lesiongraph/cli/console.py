"""How the command line talks: progress on standard error, results on standard output, paths plain."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # pandas and rich take most of a second: `--help` does without
    import pandas as pd

    from lesiongraph.workspace import RunReport

ProgressCallback = Callable[[str, int, int], None]
_PLAIN_INTERVAL_S = 10.0
_LONG_COLUMNS = ("study", "path", "image", "reason")  # shortened on a terminal; a CSV holds them whole
_LONG_WIDTH = 24


def say(text: str) -> None:
    """Print a line as it is: no colour, no wrapping; a reader that has gone (head, less) is no error."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def remark(text: str) -> None:
    """Print a line on standard error, beside a table that a script may read from standard output."""
    print(f"note: {text}", file=sys.stderr, flush=True)


def say_json(value: object) -> None:
    """Print a value as JSON; what is not a number becomes null."""
    say(as_json(value))


def as_json(value: object) -> str:
    """Return a value as strict JSON text."""
    return json.dumps(_strict(value), indent=2, default=str, allow_nan=False)


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    if hasattr(value, "item"):  # a NumPy scalar
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


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
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def callback(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

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
        say_json(report.as_dict())
        return
    if headline:
        say(headline)
    if report.already_done:
        say(f"  {report.verb}: done before with the same input, nothing changed")
    for name, number in report.counts.items():
        say(f"  {name}: {number}")
    for reason, number in sorted(report.rejected.items(), key=lambda item: -item[1]):
        say(f"  rejected, {reason}: {number}")
    for weights in report.weights:
        say(f"  weights: {weights['name']} (sha256 {weights['sha256'][:12]})")
    for note in report.notes:
        say(f"  note: {note}")
    say(f"  seconds: {report.seconds}")


def show_rows(rows: pd.DataFrame, csv: Path | None, *, shown: Sequence[str] | None = None) -> None:
    """Print a table, or write it as CSV and print where.

    On a terminal only the columns `shown` are drawn; elsewhere all are printed, as CSV.
    """
    if csv is not None:
        write_csv(rows, csv)
        say(str(csv))
    elif sys.stdout.isatty():
        _draw(rows[list(shown)] if shown else rows)
    else:
        say(rows.to_csv(index=False, float_format="%.4f").rstrip("\n"))


def write_csv(rows: pd.DataFrame, csv: Path) -> None:
    """Write a table as CSV, whole or not at all."""
    csv.parent.mkdir(parents=True, exist_ok=True)
    part = csv.with_name(csv.name + ".part")
    try:
        _harmless(rows).to_csv(part, index=False)
        part.replace(csv)
    finally:
        part.unlink(missing_ok=True)


def _harmless(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the table with an apostrophe before text that a spreadsheet would run as a formula (OWASP)."""
    text = rows.select_dtypes(include=["object", "string"])
    return rows.assign(**{name: text[name].replace(r"^(?=[=@\t\r])", "'", regex=True) for name in text})


def write_text(text: str, path: Path) -> None:
    """Write a text file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(text + "\n")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _draw(rows: pd.DataFrame) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    for name in rows.columns:
        width = _LONG_WIDTH if name in _LONG_COLUMNS else None
        table.add_column(str(name), no_wrap=True, overflow="ellipsis", max_width=width)
    for row in rows.itertuples(index=False):
        table.add_row(*(_cell(value) for value in row))
    Console(highlight=False).print(table)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else "–"
    return str(value)
