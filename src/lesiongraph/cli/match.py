"""`lesiongraph match`: the same lesion across a patient's studies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lesiongraph.cli.console import remark, show_report, show_rows, write_csv
from lesiongraph.cli.options import DEFAULT_WORKSPACE, CsvOption, JsonFlag, WorkspaceOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("match")(match)


def match(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    patient: Annotated[str | None, typer.Option("--patient", help="Only this patient.")] = None,
    matcher: Annotated[
        str | None,
        typer.Option(
            "--matcher", help="exclusive (default), algorithm1 (the paper's), mutual-nearest or optimal."
        ),
    ] = None,
    cues: Annotated[
        str, typer.Option("--cues", help="What the cost holds; algorithm1 knows appearance alone.")
    ] = "appearance,location,size",
    truth: Annotated[
        Path | None,
        typer.Option(
            "--truth",
            help="CSV with tracking_uid (or lesion_id) and lesion: its validation patients choose limits.",
        ),
    ] = None,
    t1: Annotated[
        float | None, typer.Option("--t1", min=0, help="Intra-study threshold T1, in the matcher's measure.")
    ] = None,
    t2: Annotated[
        float | None, typer.Option("--t2", min=0, help="Inter-study threshold T2, in the matcher's measure.")
    ] = None,
    feature: Annotated[str, typer.Option("--feature", help="embedding or initial.")] = "embedding",
    csv: CsvOption = None,
    json: JsonFlag = False,
) -> None:
    """Group each patient's lesions over time.

    Columns: patient, group, lesion, study, study_date, distance (to the nearest lesion of the group),
    probability (of the best edge into another study; empty where nothing calibrates it), state_before and
    state_after (matched, new, gone, merged, split or not covered, seen from the study before and after).
    """
    from lesiongraph.pipeline.match import match as run
    from lesiongraph.workspace import Workspace

    rows, report = run(
        Workspace(workspace),
        patient=patient,
        t1=t1,
        t2=t2,
        feature=feature,
        matcher=matcher,
        cues=[cue.strip() for cue in cues.split(",") if cue.strip()],
        truth=truth,
    )
    if not json:
        show_rows(rows, csv)
        for note in report.notes:
            remark(note)
        return
    if csv is not None:
        write_csv(rows, csv)
    show_report(report, True)
