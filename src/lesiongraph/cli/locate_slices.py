"""`lesiongraph locate-slices`: where in the body loose slices lie."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lesiongraph.cli.console import progress, say_json, show_rows, write_csv
from lesiongraph.cli.options import CsvOption, JsonFlag


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

    One row a slice: path, slice, score, z, confidence, flag. Needs no workspace.
    """
    from lesiongraph.pipeline.locate_slices import locate_slices as run

    with progress() as callback:
        rows, report = run(paths, window_hu=window, weights=weights, progress=callback)
    if not json:
        show_rows(rows, csv)
        return
    if csv is not None:
        write_csv(rows, csv)
    say_json(report.as_dict())
