"""`lesiongraph train`: learn the lesion embedding."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from lesiongraph.cli.console import progress, show_report
from lesiongraph.cli.options import DEFAULT_WORKSPACE, JsonFlag, SeedOption, WorkspaceOption

FIXED_IMAGING = ("box_padding_px", "window_low_hu", "window_high_hu", "context_slices")


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
    """Learn the lesion embedding.

    Pseudo-labels from the seeds, sequences A–E, triplet network, one refinement.
    """
    from lesiongraph.errors import UsageError
    from lesiongraph.pipeline.train import train as run
    from lesiongraph.recipe import override
    from lesiongraph.recipe import preset as find_preset
    from lesiongraph.workspace import Workspace

    recipe = override(find_preset(preset), _pairs(changes or []))
    for section in ("ssbr", "matching", "evaluation"):
        if getattr(recipe, section) != getattr(find_preset(preset), section):
            raise UsageError(f"--set {section}.…: training uses the sections embedding and imaging only.")
    for name in FIXED_IMAGING:
        if getattr(recipe.imaging, name) != getattr(find_preset(preset).imaging, name):
            raise UsageError(
                f"--set {name}: fixed by the mined marks and by the trunk, which it would not fit."
            )
    with progress() as callback:
        report = run(Workspace(workspace), recipe, vgg16=vgg16, init=init, rng_seed=seed, progress=callback)
    show_report(report, json)


def _pairs(changes: list[str]) -> dict[str, str]:
    """Read key=value; a bare key that training has (steps) means training's, not that of another section."""
    from lesiongraph.errors import UsageError
    from lesiongraph.recipe import EmbeddingRecipe

    own = {field.name for field in dataclasses.fields(EmbeddingRecipe)}
    pairs = {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise UsageError(f"--set {change}: expected key=value, as in --set steps=300.")
        pairs[f"embedding.{key}" if key in own else key] = value
    return pairs
