"""`lesiongraph phantom`: write a synthetic hospital."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lesiongraph.cli.console import progress, show_report
from lesiongraph.cli.options import JsonFlag, SeedOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("phantom")(phantom)


def phantom(
    out: Annotated[Path, typer.Option("--out", help="Folder to write into.")],
    patients: Annotated[int, typer.Option("--patients", min=1, help="Number of patients.")] = 30,
    seed: SeedOption = 0,
    rows: Annotated[int, typer.Option("--rows", min=64, help="Rows and columns of a slice.")] = 256,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes.")] = 2,
    difficulty: Annotated[
        str, typer.Option("--difficulty", help="plain, or hard: calibrated to the paper's baselines.")
    ] = "plain",
    json: JsonFlag = False,
) -> None:
    """Write a synthetic hospital as DICOM.

    CT series, the radiologist's marks as SR and GSPS, and the truth in a side file that mining never reads.
    A run that was killed goes on where it stopped.
    """
    from lesiongraph.pipeline.phantom import write_phantom

    with progress() as callback:
        report = write_phantom(
            out, patients, seed, rows=rows, workers=workers, difficulty=difficulty, progress=callback
        )
    show_report(report, json, str(out))
