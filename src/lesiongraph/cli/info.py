"""`lesiongraph info`: what is installed, and what a workspace holds."""

from __future__ import annotations

from typing import Annotated

import typer

from lesiongraph.cli.console import say, say_json
from lesiongraph.cli.options import DEFAULT_WORKSPACE, WorkspaceOption


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("info")(info)


def info(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Show versions, weights and what a workspace holds.

    Works without a workspace, too.
    """
    from lesiongraph.pipeline.info import describe

    facts = describe(workspace)
    if json:
        say_json(facts)
        return
    for section, values in facts.items():
        say(section)
        for name, value in values.items():
            say(f"  {name}: {value}")
