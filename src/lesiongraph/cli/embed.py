"""`lesiongraph embed`: one vector a lesion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lesiongraph.cli.console import progress, show_report
from lesiongraph.cli.options import DEFAULT_WORKSPACE, JsonFlag, WorkspaceOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("embed")(embed)


def embed(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    vgg16: Annotated[
        Path | None, typer.Option("--vgg16", help="VGG-16 weights (or LESIONGRAPH_VGG16_WEIGHTS).")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Embed every kept lesion that has an image.

    Before `train` has run, the embedder inside the package is used.
    """
    from lesiongraph.pipeline.embed import embed as run
    from lesiongraph.workspace import Workspace

    with progress() as callback:
        report = run(Workspace(workspace), vgg16=vgg16, progress=callback)
    show_report(report, json)
