"""`lesiongraph locate`: relative body location (x, y, z) of each lesion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lesiongraph.cli.console import progress, show_report
from lesiongraph.cli.options import DEFAULT_WORKSPACE, JsonFlag, SeedOption, WorkspaceOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("locate")(locate)


def locate(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    weights: Annotated[Path | None, typer.Option("--weights", help="SSBR weights to use.")] = None,
    fit: Annotated[bool, typer.Option("--fit", help="Train SSBR on the workspace's own volumes.")] = False,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Training steps with --fit.")] = None,
    design: Annotated[
        str | None,
        typer.Option("--design", help="With --fit: compact (as packaged, default) or paper (VGG-16, Eq. 2)."),
    ] = None,
    all_series: Annotated[
        bool, typer.Option("--all-series", help="Also say what series without a lesion show.")
    ] = False,
    seed: SeedOption = 0,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that read images.")] = 2,
    json: JsonFlag = False,
) -> None:
    """Give each lesion its x, y and z in the body.

    x and y from the body mask, z from SSBR (the packaged weights unless --weights or --fit says otherwise),
    with its expected error and region; for each series DICOM's term for what it shows, and flags.
    """
    from lesiongraph.bodypart import COMPACT_DESIGN, DESIGNS
    from lesiongraph.errors import UsageError
    from lesiongraph.pipeline.locate import locate as run
    from lesiongraph.workspace import Workspace

    if fit and weights is not None:
        raise UsageError("--fit trains new weights and --weights names old ones: give one of the two.")
    if not fit and (design is not None or steps is not None):
        raise UsageError("--design and --steps say how to train: give --fit too, or leave them out.")
    if design is not None and design not in DESIGNS:
        raise UsageError(f"--design {design}: expected {' or '.join(sorted(DESIGNS))}.")
    with progress() as callback:
        report = run(
            Workspace(workspace),
            weights=weights,
            fit_steps=(steps or 0) if fit else None,
            fit_design=COMPACT_DESIGN if design is None else DESIGNS[design],
            all_series=all_series,
            rng_seed=seed,
            workers=workers,
            progress=callback,
        )
    show_report(report, json)
