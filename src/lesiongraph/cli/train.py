"""`lesiongraph train`: learn the lesion embedding."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lesiongraph.cli.console import progress, show_report
from lesiongraph.cli.options import (
    DEFAULT_WORKSPACE,
    InitOption,
    JsonFlag,
    PresetOption,
    SeedOption,
    SetOption,
    Vgg16Option,
    WorkspaceOption,
    training_recipe,
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("train")(train)


def train(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    preset: PresetOption = "improved",
    changes: SetOption = None,
    vgg16: Vgg16Option = None,
    init: InitOption = "imagenet",
    truth: Annotated[
        Path | None,
        typer.Option("--truth", help="The phantom's truth.csv: adds how wrong the pseudo-labels are."),
    ] = None,
    seed: SeedOption = 0,
    json: JsonFlag = False,
) -> None:
    """Learn the lesion embedding.

    Pseudo-labels from the seeds, sequences A–E, triplet network, one refinement.
    """
    from lesiongraph.pipeline.train import train as run
    from lesiongraph.workspace import Workspace

    recipe = training_recipe(preset, changes)
    with progress() as callback:
        report = run(
            Workspace(workspace),
            recipe,
            vgg16=vgg16,
            init=init,
            truth=truth,
            rng_seed=seed,
            progress=callback,
        )
    show_report(report, json)
