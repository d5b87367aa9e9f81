"""`lesiongraph store`: the database that a workspace's catalogue lies in."""

from __future__ import annotations

from typing import Annotated

import typer

from lesiongraph.cli.console import say, say_json
from lesiongraph.cli.options import DEFAULT_WORKSPACE, StoreOption, WorkspaceOption

verb = typer.Typer(
    help="The catalogue's database: move it to another one.", no_args_is_help=True, rich_markup_mode=None
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(verb, name="store")


@verb.callback()
def _of_the_store() -> None:
    """Keep `move` a verb of its own: typer would drop the name of an only command."""


@verb.command()
def move(
    to: Annotated[
        str,
        typer.Argument(
            metavar="URL",
            help="An empty database: postgresql+psycopg://USER@HOST/DATABASE or sqlite:///FILE.",
        ),
    ],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    store: StoreOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print the rows of each table as JSON.")] = False,
) -> None:
    """Move the catalogue, every decision with who and when, and what was pushed where.

    The workspace goes on with the new database. The former one stays as it is and is refused from then on;
    other workspaces that used it are told the new address once, by --store.
    """
    from lesiongraph.pipeline.move_store import move_store
    from lesiongraph.workspace import Workspace

    rows = move_store(Workspace(workspace), to, store)
    if json:
        say_json(rows)
        return
    for name, number in rows.items():
        say(f"{name}: {number} rows")
