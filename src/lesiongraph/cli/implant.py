"""`lesiongraph implant`: write virtual patients, real CT with the phantom's lesions grafted in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lesiongraph.cli.console import progress, show_report
from lesiongraph.cli.options import JsonFlag, SeedOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("implant")(implant)


def implant(
    out: Annotated[Path, typer.Option("--out", help="Folder to write into.")],
    backgrounds: Annotated[
        list[Path], typer.Option("--backgrounds", help="Folder of DICOM with real CT; may be repeated.")
    ],
    patients: Annotated[int, typer.Option("--patients", min=1, help="Number of virtual patients.")] = 30,
    seed: SeedOption = 0,
    leave_out: Annotated[
        list[str] | None,
        typer.Option("--leave-out", help="Patient id or folder not to use; may be repeated."),
    ] = None,
    open_licence_only: Annotated[
        bool,
        typer.Option("--open-licence-only", help="Use only sets whose licence is known to be open."),
    ] = False,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes.")] = 1,
    json: JsonFlag = False,
) -> None:
    """Write virtual patients: real CT, deformed, with the phantom's lesions grafted in by tissue.

    DICOM studies with marks as SR, and the truth in a side file that mining never reads. A run that was
    killed goes on where it stopped. Backgrounds keep their licence: what is written from them is for
    tests, or for training where the licence is open.
    """
    from lesiongraph.phantom.grafting import CohortOptions
    from lesiongraph.pipeline.implant import write_implants

    options = CohortOptions(tuple(backgrounds), seed, tuple(leave_out or ()), open_licence_only)
    with progress() as callback:
        report = write_implants(out, patients, options, workers=workers, progress=callback)
    show_report(report, json, str(out))
