"""Options that several verbs share, each defined once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:  # light verbs do without
    from lesiongraph.recipe import Recipe

WorkspaceOption = Annotated[
    Path, typer.Option("-w", "--workspace", help="The workspace folder that the stages share.")
]
DEFAULT_WORKSPACE = Path("lesiongraph-workspace")
JsonFlag = Annotated[bool, typer.Option("--json", help="Print the run report as JSON.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Random seed.")]
CsvOption = Annotated[Path | None, typer.Option("--csv", help="Write a CSV file here instead of a table.")]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        envvar="LESIONGRAPH_STORE",
        help="Database of the catalogue: postgresql+psycopg://USER@HOST/DATABASE or sqlite:///FILE. "
        "By default the one the workspace remembers, else a SQLite file inside it.",
    ),
]
TokenOption = Annotated[
    str | None, typer.Option("--token", help="Bearer token (better: LESIONGRAPH_PACS_TOKEN).")
]
UserOption = Annotated[
    str | None, typer.Option("--user", help="User name; its password is in LESIONGRAPH_PACS_PASSWORD.")
]
CaOption = Annotated[
    Path | None, typer.Option("--ca", help="Certificates to trust (PEM) instead of the system's.")
]
RateOption = Annotated[float, typer.Option("--rate", min=0.0, help="Most requests a second; 0: any.")]
TimeoutOption = Annotated[float, typer.Option("--timeout", help="Longest wait for an answer, seconds.")]
RetriesOption = Annotated[int, typer.Option("--retries", min=0, help="Repetitions of a failed request.")]
PresetOption = Annotated[str, typer.Option("--preset", help="improved, demo, fast or paper.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Change one number of the preset: key=value.")
]
Vgg16Option = Annotated[
    Path | None, typer.Option("--vgg16", help="VGG-16 weights (or LESIONGRAPH_VGG16_WEIGHTS).")
]
InitOption = Annotated[str, typer.Option("--init", help="imagenet (default), or scratch for a random trunk.")]

FIXED_IMAGING = ("box_padding_px", "window_low_hu", "window_high_hu", "context_slices")


def training_recipe(preset: str, changes: list[str] | None) -> Recipe:
    """Return a preset with `--set` applied, for a verb that trains.

    Raises
    ------
    UsageError
        If the preset or a key is unknown, a value cannot be read, or it is not training's to change.
    """
    from lesiongraph.errors import UsageError
    from lesiongraph.recipe import override
    from lesiongraph.recipe import preset as find_preset

    base = find_preset(preset)
    recipe = override(base, _pairs(changes or []))
    for section in ("ssbr", "matching", "evaluation"):
        if getattr(recipe, section) != getattr(base, section):
            raise UsageError(f"--set {section}.…: training uses the sections embedding and imaging only.")
    for name in FIXED_IMAGING:
        if getattr(recipe.imaging, name) != getattr(base.imaging, name):
            raise UsageError(
                f"--set {name}: fixed by the mined marks and by the trunk, which it would not fit."
            )
    return recipe


def _pairs(changes: list[str]) -> dict[str, str]:
    """Read key=value; a bare key that training has (steps) means training's, not that of another section."""
    import dataclasses

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
