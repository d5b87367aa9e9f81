"""`lesiongraph search`: the lesions most like one lesion."""

from __future__ import annotations

from typing import Annotated

import typer

from lesiongraph.cli.console import say_json, show_rows, write_csv
from lesiongraph.cli.options import DEFAULT_WORKSPACE, CsvOption, JsonFlag, WorkspaceOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("search")(search)


def search(
    lesion: Annotated[str, typer.Argument(help="Lesion id, as `lesiongraph catalogue` lists it.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    k: Annotated[int, typer.Option("-k", min=1, help="Number of hits.")] = 9,
    other_patients: Annotated[
        bool, typer.Option("--other-patients", help="Only lesions of other patients.")
    ] = False,
    lesion_type: Annotated[str | None, typer.Option("--type", help="Only lesions of this type.")] = None,
    feature: Annotated[str, typer.Option("--feature", help="embedding or initial.")] = "embedding",
    csv: CsvOption = None,
    json: JsonFlag = False,
) -> None:
    """Rank the lesions nearest to one lesion.

    Columns: rank, lesion, patient, type, distance.
    """
    from lesiongraph.pipeline.search import search as run
    from lesiongraph.workspace import Workspace

    rows, report = run(
        Workspace(workspace),
        lesion,
        k=k,
        other_patients=other_patients,
        lesion_type=lesion_type,
        feature=feature,
    )
    if not json:
        show_rows(rows, csv)
        return
    if csv is not None:
        write_csv(rows, csv)
    say_json({**report.as_dict(), "hits": rows.to_dict("records")})
