"""`lesiongraph locate-slices`: where in the body loose slices lie."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lesiongraph.cli.console import progress, say, say_json, show_rows, write_csv
from lesiongraph.cli.options import CsvOption, JsonFlag

if TYPE_CHECKING:
    from lesiongraph.workspace import RunReport


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("locate-slices")(locate_slices)


def locate_slices(
    paths: Annotated[list[Path], typer.Argument(help="NIfTI files, DICOM folders, 8-bit PNGs or folders.")],
    csv: CsvOption = None,
    window: Annotated[
        tuple[float, float], typer.Option("--window", help="HU window that an 8-bit PNG shows: LO HI.")
    ] = (-175.0, 275.0),
    weights: Annotated[Path | None, typer.Option("--weights", help="SSBR weights to use.")] = None,
    json: JsonFlag = False,
) -> None:
    """Say where in the body loose slices lie.

    One row a slice: path, slice, score, z, confidence, flag, expected error of z, region, nearest landmark;
    one line a series: what it shows. Needs no workspace. What is not CT is left out and counted.
    """
    from lesiongraph.pipeline.locate_slices import locate_slices as run

    with progress() as callback:
        rows, report = run(paths, window_hu=window, weights=weights, progress=callback)
    if not json:
        # piped rows stay a clean table: the summary then goes where the progress goes
        say_summary(report, to_stderr=csv is None and not sys.stdout.isatty())
        show_rows(rows, csv)
        return
    if csv is not None:
        write_csv(rows, csv)
    say_json(report.as_dict())


def say_summary(report: RunReport, *, to_stderr: bool) -> None:
    """Print a line a series, and what was left out."""
    lines = [f"{row['path']}: {row['summary']}" for row in report.details["series"]]
    lines += [f"left out, {reason}: {number}" for reason, number in report.rejected.items()]
    lines += [f"note: {note}" for note in report.notes]
    for line in lines:
        if to_stderr:
            print(line, file=sys.stderr)
        else:
            say(line)
