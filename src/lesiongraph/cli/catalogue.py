"""`lesiongraph catalogue`: the lesion catalogue as CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lesiongraph.cli.console import say, say_json, show_rows, write_csv
from lesiongraph.cli.options import DEFAULT_WORKSPACE, CsvOption, JsonFlag, StoreOption, WorkspaceOption

# what fits a terminal; `--csv` writes every column
SHOWN = (
    *("lesion_id", "patient_id", "study_date", "source", "status", "reason", "type"),
    *("long_mm", "short_mm", "x", "y", "z", "subset"),
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("catalogue")(catalogue)


def catalogue(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    csv: CsvOption = None,
    export: Annotated[
        Path | None,
        typer.Option("--export", help="Write lesions, series, slices, landmarks, decisions as Parquet here."),
    ] = None,
    store: StoreOption = None,
    json: JsonFlag = False,
) -> None:
    """List every mark, kept and rejected.

    With its location where `locate` has run. On a terminal some columns, with --csv all. --export first
    brings the workspace up to date with its database, which others may have written to.
    """
    if export is not None:
        _export(workspace, export, store)
        return
    from lesiongraph.pipeline.catalogue import catalogue_report, catalogue_table
    from lesiongraph.workspace import Workspace

    rows = catalogue_table(Workspace(workspace))
    if not json:
        show_rows(rows, csv, shown=SHOWN)
        return
    if csv is not None:
        write_csv(rows, csv)
    say_json(catalogue_report(rows).as_dict())


def _export(workspace: Path, folder: Path, store: str | None) -> None:
    from lesiongraph.pipeline.stored_catalogue import export
    from lesiongraph.workspace import Workspace

    for name, rows in export(Workspace(workspace), folder, store).items():
        say(f"{folder / name}.parquet: {rows} rows")
