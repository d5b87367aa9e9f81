"""`lesiongraph train`: learn the lesion embedding."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lesiongraph.cli.console import progress, show_report
from lesiongraph.cli.options import DEFAULT_WORKSPACE, JsonFlag, SeedOption, WorkspaceOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("train")(train)


def train(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    preset: Annotated[str, typer.Option("--preset", help="demo, fast or paper.")] = "demo",
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Change one number of the preset: key=value.")
    ] = None,
    vgg16: Annotated[
        Path | None, typer.Option("--vgg16", help="VGG-16 weights (or LESIONGRAPH_VGG16_WEIGHTS).")
    ] = None,
    init: Annotated[
        str, typer.Option("--init", help="imagenet (default), or scratch for a random trunk.")
    ] = "imagenet",
    seed: SeedOption = 0,
    json: JsonFlag = False,
) -> None:
    """Pseudo-labels from the seeds, sequences A–E, triplet network, one refinement."""
    from lesiongraph.errors import UsageError
    from lesiongraph.pipeline.train import train as run
    from lesiongraph.recipe import override
    from lesiongraph.recipe import preset as find_preset
    from lesiongraph.workspace import Workspace

    pairs = [change.partition("=") for change in changes or []]
    for key, equals, _ in pairs:
        if not equals:
            raise UsageError(f"--set {key}: expected key=value.")
    recipe = override(find_preset(preset), {key: value for key, _, value in pairs})
    with progress() as callback:
        report = run(Workspace(workspace), recipe, vgg16=vgg16, init=init, rng_seed=seed, progress=callback)
    show_report(report, json)
