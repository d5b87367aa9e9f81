"""`lesiongraph report`: one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lesiongraph.cli.console import progress, say, show_report
from lesiongraph.cli.options import DEFAULT_WORKSPACE, JsonFlag, SeedOption, WorkspaceOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("report")(report)


def report(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    truth: Annotated[
        Path | None, typer.Option("--truth", help="The phantom's truth.csv: adds what only truth can show.")
    ] = None,
    seed: SeedOption = 0,
    json: JsonFlag = False,
) -> None:
    """Draw the paper's figures into one HTML page.

    Its path is printed last, on a line of its own.
    """
    from lesiongraph.pipeline.report import write_report
    from lesiongraph.workspace import Workspace

    with progress() as callback:
        path, run_report = write_report(Workspace(workspace), truth=truth, rng_seed=seed, progress=callback)
    run_report.details["path"] = str(path)
    show_report(run_report, json)
    if not json:
        say(str(path))
