"""`lesiongraph match`: the same lesion across a patient's studies."""

from __future__ import annotations

from typing import Annotated

import typer

from lesiongraph.cli.console import show_report, show_rows, write_csv
from lesiongraph.cli.options import DEFAULT_WORKSPACE, CsvOption, JsonFlag, WorkspaceOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("match")(match)


def match(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    patient: Annotated[str | None, typer.Option("--patient", help="Only this patient.")] = None,
    t1: Annotated[float | None, typer.Option("--t1", min=0, help="Intra-study threshold T1.")] = None,
    t2: Annotated[float | None, typer.Option("--t2", min=0, help="Inter-study threshold T2.")] = None,
    feature: Annotated[str, typer.Option("--feature", help="embedding or initial.")] = "embedding",
    csv: CsvOption = None,
    json: JsonFlag = False,
) -> None:
    """Group each patient's lesions over time.

    Algorithm 1. Columns: patient, group, lesion, study, study_date, distance (to the nearest lesion of the
    group).
    """
    from lesiongraph.pipeline.match import match as run
    from lesiongraph.workspace import Workspace

    rows, report = run(Workspace(workspace), patient=patient, t1=t1, t2=t2, feature=feature)
    if not json:
        show_rows(rows, csv)
        return
    if csv is not None:
        write_csv(rows, csv)
    show_report(report, True)
