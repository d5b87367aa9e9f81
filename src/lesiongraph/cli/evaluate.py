"""`lesiongraph evaluate`: one row of Table 1."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

import typer

from lesiongraph.cli.options import DEFAULT_WORKSPACE, SeedOption, WorkspaceOption


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
    """Score a feature as Table 1 does: retrieval errors, clustering, classification (percent)."""
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
    text = json_module.dumps(result, indent=2, default=str)
    if json is not None and str(json) != "-":
        json.parent.mkdir(parents=True, exist_ok=True)
        json.write_text(text + "\n")
        print(json)
    elif json is not None:
        print(text)
    else:
        for key in ("feature", "type_are", "location_are", "size_are", "purity", "nmi", "accuracy", "n", "k"):
            value = result[key]
            print(f"{key:>14}: {value:.1f}" if isinstance(value, float) else f"{key:>14}: {value}")
