"""`lesiongraph decide`: what a person says of a mark or a match, kept through every later run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from lesiongraph.cli.console import say, say_json, show_rows
from lesiongraph.cli.options import DEFAULT_WORKSPACE, CsvOption, StoreOption, WorkspaceOption

ByOption = Annotated[
    str | None,
    typer.Option("--by", envvar="LESIONGRAPH_USER", help="Who decides; by default the system's user name."),
]
NoteOption = Annotated[str, typer.Option("--note", help="Why.")]
JsonDecision = Annotated[bool, typer.Option("--json", help="Print the decision as JSON.")]
Lesion = Annotated[str, typer.Argument(help="Lesion id, as in `lesiongraph catalogue`.")]

verb = typer.Typer(
    help="Accept, reject or retype a mark, confirm or break a match; later runs keep to it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(verb, name="decide")


@verb.command()
def accept(
    lesion: Lesion,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    by: ByOption = None,
    note: NoteOption = "",
    store: StoreOption = None,
    json: JsonDecision = False,
) -> None:
    """Keep a rejected mark; one without an image cannot be kept."""
    _decide(workspace, "accept", (lesion,), _Said(by, note, store, json))


@verb.command()
def reject(
    lesion: Lesion,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    by: ByOption = None,
    note: NoteOption = "",
    store: StoreOption = None,
    json: JsonDecision = False,
) -> None:
    """Reject a kept mark."""
    _decide(workspace, "reject", (lesion,), _Said(by, note, store, json))


@verb.command("type")
def retype(
    lesion: Lesion,
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="One of the eight lesion types.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    by: ByOption = None,
    note: NoteOption = "",
    store: StoreOption = None,
    json: JsonDecision = False,
) -> None:
    """Correct the type of a mark."""
    _decide(workspace, "type", (lesion,), _Said(by, note, store, json), type_)


@verb.command()
def match(
    lesion: Lesion,
    other: Lesion,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    by: ByOption = None,
    note: NoteOption = "",
    store: StoreOption = None,
    json: JsonDecision = False,
) -> None:
    """Say that two marks are the same lesion."""
    _decide(workspace, "confirm-match", (lesion, other), _Said(by, note, store, json))


@verb.command()
def split(
    lesion: Lesion,
    other: Lesion,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    by: ByOption = None,
    note: NoteOption = "",
    store: StoreOption = None,
    json: JsonDecision = False,
) -> None:
    """Say that two marks are different lesions."""
    _decide(workspace, "break-match", (lesion, other), _Said(by, note, store, json))


@verb.command()
def undo(
    decision: Annotated[int, typer.Argument(help="Its number, as in `lesiongraph decide list`.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    by: ByOption = None,
    note: NoteOption = "",
    store: StoreOption = None,
    json: JsonDecision = False,
) -> None:
    """Take a decision back; what held before it holds again."""
    _decide(workspace, "undo", (), _Said(by, note, store, json), str(decision))


@verb.command("list")
def list_decisions(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    everything: Annotated[bool, typer.Option("--all", help="With those undone, and the undoing.")] = False,
    csv: CsvOption = None,
    store: StoreOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List the decisions in force, oldest first."""
    from lesiongraph.pipeline.decide import decisions_table
    from lesiongraph.workspace import Workspace

    rows = decisions_table(Workspace(workspace), everything=everything, store=store)
    if json:
        say_json(rows.to_dict("records"))
    else:
        show_rows(rows, csv)


class _Said(NamedTuple):
    """The options that every decision takes."""

    by: str | None
    note: str
    store: str | None
    json: bool


def _decide(workspace: Path, kind: str, lesions: tuple[str, ...], said: _Said, value: str = "") -> None:
    import getpass

    from lesiongraph.pipeline.decide import decide
    from lesiongraph.workspace import Workspace

    decided = decide(
        Workspace(workspace), kind, lesions,
        value=value, decided_by=said.by or getpass.getuser(), note=said.note, store=said.store,
    )  # fmt: skip
    if said.json:
        say_json(vars(decided))
    else:
        say(str(decided))
