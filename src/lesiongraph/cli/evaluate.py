"""`lesiongraph evaluate`: one row of Table 1."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lesiongraph.cli.console import as_json, say, write_text
from lesiongraph.cli.options import DEFAULT_WORKSPACE, SeedOption, WorkspaceOption

SHOWN = (
    *("feature", "split", "type_are", "location_are", "size_are", "purity", "nmi", "accuracy"),
    *("balanced_accuracy", "map", "auc", "ece", "retrieval_map", "map_at_r", "n", "k"),
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("evaluate")(evaluate)


def evaluate(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    feature: Annotated[
        str, typer.Option("--feature", help="embedding, initial, location or size.")
    ] = "embedding",
    split: Annotated[str, typer.Option("--split", help="train, val or test.")] = "test",
    subset: Annotated[
        str | None, typer.Option("--subset", help="Only this subset: pool, seed, validation or test.")
    ] = None,
    other_patients: Annotated[
        bool, typer.Option("--other-patients", help="Leave hits of the query's own patient out.")
    ] = False,
    k: Annotated[int, typer.Option("-k", min=1, help="Retrieved lesions a query.")] = 5,
    location: Annotated[
        str, typer.Option("--location", help="stated where there is one (default), or ours.")
    ] = "stated",
    truth: Annotated[
        Path | None, typer.Option("--truth", help="The phantom's truth.csv: adds the Fig. 8 curve.")
    ] = None,
    seed: SeedOption = 0,
    json: Annotated[Path | None, typer.Option("--json", help="Write the row as JSON; - prints it.")] = None,
) -> None:
    """Score a feature as Table 1 does.

    Retrieval errors, clustering, classification, in percent, over the typed lesions of a split that are not
    noisy.
    """
    from lesiongraph.pipeline.evaluate import evaluate as run
    from lesiongraph.workspace import Workspace

    result = run(
        Workspace(workspace),
        feature=feature,
        split=split,
        subset=subset,
        other_patients=other_patients,
        k=k,
        location=location,
        truth=truth,
        rng_seed=seed,
    )
    if json is None:
        for key in SHOWN:
            value = result[key]
            text = "cannot be computed" if value is None else value
            say(f"{key:>17}: {value:.1f}" if isinstance(value, float) else f"{key:>17}: {text}")
        for key, value in result.get("matching", {}).items():
            say(f"{'matching ' + key:>17}: {value:.3g}")
    elif str(json) == "-":
        say(as_json(result))
    else:
        write_text(as_json(result), json)
        say(str(json))
