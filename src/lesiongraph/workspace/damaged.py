"""A file of a stage's result that is gone or cannot be read is named as such."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from lesiongraph.errors import LesionGraphError


class DamagedResultError(LesionGraphError):
    """A file of a stage's result is gone or cannot be read."""

    def __init__(self, path: Path, cause: str) -> None:
        self.path = path
        self.cause = cause
        stage = path.parent.name.split("-")[0]
        super().__init__(
            f"{path}: expected the {stage} that a stage wrote; it cannot be read ({cause}). "
            f"Delete the folder {path.parent} and run the stage again."
        )


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Tell what goes wrong while `path` is read as a `DamagedResultError`."""
    try:
        yield
    except (OSError, ValueError, EOFError) as error:  # pyarrow's errors are ValueErrors or OSErrors
        cause = "no such file" if isinstance(error, FileNotFoundError) else " ".join(str(error).split())[:120]
        raise DamagedResultError(path, cause) from error
