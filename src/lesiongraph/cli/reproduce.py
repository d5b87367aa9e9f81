"""`lesiongraph reproduce`: Table 1 in full."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lesiongraph.cli.console import progress, say, show_report
from lesiongraph.cli.options import (
    DEFAULT_WORKSPACE,
    InitOption,
    JsonFlag,
    PresetOption,
    SetOption,
    Vgg16Option,
    WorkspaceOption,
    training_recipe,
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("reproduce")(reproduce)


def reproduce(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    preset: PresetOption = "demo",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Trainings a row, random seeds 0 on.")] = 5,
    rows: Annotated[
        str | None, typer.Option("--rows", help="Only these rows, as in --rows all,conv5,no-refinement.")
    ] = None,
    changes: SetOption = None,
    vgg16: Vgg16Option = None,
    init: InitOption = "imagenet",
    truth: Annotated[
        Path | None,
        typer.Option("--truth", help="The phantom's truth.csv: adds Fig. 8 and the noise of the labels."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the files; table1 in the workspace if not given.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Train and score every row of Table 1.

    Each row is trained with several random seeds; finished trainings are kept, so a stopped run goes on.
    Writes table1.md, .csv, .json and the figures. Rows: imagenet, location-feature, type, location,
    type+location, all, conv5, conv5+conv4, no-refinement.
    """
    from lesiongraph.pipeline.reproduce import reproduce as run
    from lesiongraph.workspace import Workspace

    recipe = training_recipe(preset, changes)
    names = None if rows is None else [name.strip() for name in rows.split(",")]
    with progress() as callback:
        report = run(
            Workspace(workspace), recipe, seeds=seeds, rows=names, vgg16=vgg16, init=init, truth=truth,
            out=out, progress=callback,
        )  # fmt: skip
    show_report(report, json)
    if not json:
        for path in report.details["files"].values():
            say(path)
