"""`lesiongraph catalogue`: the lesion catalogue as CSV."""

from __future__ import annotations

import typer

from lesiongraph.cli.console import show_rows
from lesiongraph.cli.options import DEFAULT_WORKSPACE, CsvOption, WorkspaceOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("catalogue")(catalogue)


def catalogue(workspace: WorkspaceOption = DEFAULT_WORKSPACE, csv: CsvOption = None) -> None:
    """List every mark, kept and rejected, with its location where `locate` has run."""
    from lesiongraph.pipeline.catalogue import catalogue_table
    from lesiongraph.workspace import Workspace

    show_rows(catalogue_table(Workspace(workspace)), csv)
