"""The command `lesiongraph`: collects the verbs, turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import os
import sys

import typer

from lesiongraph.errors import LesionGraphError

VERBS = (
    "phantom",
    "mine",
    "catalogue",
    "locate",
    "locate_slices",
    "train",
    "embed",
    "search",
    "match",
    "evaluate",
    "report",
    "info",
)

app = typer.Typer(
    name="lesiongraph",
    help="From a hospital's archive of CT studies to a searchable lesion graph. Not for clinical use.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _verb in VERBS:
    importlib.import_module(f"lesiongraph.cli.{_verb}").register(app)


def main() -> None:
    """Run the command line; exit 0 done, 1 run error, 2 usage error."""
    try:
        app()
    except LesionGraphError as error:
        print(f"lesiongraph: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of our output (head, less) has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        print("lesiongraph: interrupted; the workspace is as it was before this stage.", file=sys.stderr)
        sys.exit(1)
