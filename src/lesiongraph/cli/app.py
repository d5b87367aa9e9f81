"""The command `lesiongraph`: collects the verbs, turns errors into one line and an exit code."""

from __future__ import annotations

import errno
import importlib
import sys

import typer

from lesiongraph.errors import LesionGraphError

VERBS = (
    "phantom",
    "implant",
    "mine",
    "catalogue",
    "decide",
    "store",
    "locate",
    "locate_slices",
    "train",
    "embed",
    "search",
    "match",
    "push",
    "evaluate",
    "reproduce",
    "report",
    "info",
)

INTERRUPTED = "interrupted; the workspace is as it was before this stage."
_CONTROL_C = 130  # how typer reports Control-C

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
    sys.exit(_run())


def _run() -> int:
    try:
        code = app(prog_name="lesiongraph", standalone_mode=False)
    except LesionGraphError as error:
        return _say(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _say(INTERRUPTED)
    except OSError as error:
        return _say(_system_error(error))
    except FloatingPointError as error:  # training diverged: the message names the number to change
        return _say(str(error))
    except Exception as error:
        if not hasattr(error, "show"):  # an error of ours, not of the caller: the traceback helps to mend it
            raise
        error.show()  # an unknown option, a missing argument
        return int(getattr(error, "exit_code", 2))
    return _say(INTERRUPTED) if code == _CONTROL_C else int(code or 0)


def _say(message: str, code: int = 1) -> int:
    print(f"lesiongraph: {message}", file=sys.stderr)
    return code


def _system_error(error: OSError) -> str:
    """What the operating system refused, and what to do about it."""
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{where}no space left on the device. Free some space and run the command again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{where}not allowed to write or read there ({error.strerror}). Choose another folder."
    return f"{where}{error.strerror or error}. Check the path and the disk, and run the command again."
