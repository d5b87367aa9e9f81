"""`lesiongraph mine`: sources → lesion catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lesiongraph.cli.console import progress, show_report
from lesiongraph.cli.options import DEFAULT_WORKSPACE, JsonFlag, StoreOption, WorkspaceOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("mine")(mine)


def mine(
    sources: Annotated[
        list[Path],
        typer.Argument(
            help="DICOM folders, DeepLesion releases (a folder with DL_info.csv), image + mask CSVs."
        ),
    ],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    roi: Annotated[
        str | None, typer.Option("--roi", help="Regular expression: which structures are lesions.")
    ] = None,
    store: StoreOption = None,
    json: JsonFlag = False,
) -> None:
    """Read lesion marks into the catalogue; sources add up.

    A mark met again changes nothing. Marks that cannot stand stay in the catalogue as rejected, with the
    reason.
    """
    from lesiongraph.pipeline.mine import mine as run
    from lesiongraph.workspace import Workspace

    with progress() as callback:
        report = run(Workspace(workspace), sources, roi_pattern=roi, store=store, progress=callback)
    show_report(report, json, str(workspace))
