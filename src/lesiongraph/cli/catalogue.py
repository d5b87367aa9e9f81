"""`lesiongraph catalogue`: the lesion catalogue as CSV."""

from __future__ import annotations

import typer

from lesiongraph.cli.console import say_json, show_rows, write_csv
from lesiongraph.cli.options import DEFAULT_WORKSPACE, CsvOption, JsonFlag, WorkspaceOption

# what fits a terminal; `--csv` writes every column
SHOWN = (
    *("lesion_id", "patient_id", "study_date", "source", "status", "reason", "type"),
    *("long_mm", "short_mm", "x", "y", "z", "subset"),
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("catalogue")(catalogue)


def catalogue(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE, csv: CsvOption = None, json: JsonFlag = False
) -> None:
    """List every mark, kept and rejected.

    With its location where `locate` has run. On a terminal some columns, with --csv all.
    """
    from lesiongraph.pipeline.catalogue import catalogue_report, catalogue_table
    from lesiongraph.workspace import Workspace

    rows = catalogue_table(Workspace(workspace))
    if not json:
        show_rows(rows, csv, shown=SHOWN)
        return
    if csv is not None:
        write_csv(rows, csv)
    say_json(catalogue_report(rows).as_dict())
