"""A folder that patients are written into one by one, by one run at a time, and resumable after a kill."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from pathlib import Path
from typing import TypeVar

from lesiongraph.errors import DiskFullError, WorkspaceBusyError
from lesiongraph.processes import worker_pool

Task = TypeVar("Task")


@contextlib.contextmanager
def alone(out: Path, settings: Path) -> Iterator[None]:
    """Keep a second run out of the folder `out`; the lock goes with the process, however it ends.

    Raises
    ------
    WorkspaceBusyError
        If another process holds the settings file.
    """
    with settings.open("rb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WorkspaceBusyError(out, "unknown") from None
        yield


@contextlib.contextmanager
def clear_disk_full(path: Path) -> Iterator[None]:
    """Turn the system's error of a full disk or quota into ours.

    Raises
    ------
    DiskFullError
        If the disk fills up inside the block.
    """
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFullError(path) from error
        raise


def write_settings(path: Path, settings: Mapping[str, object]) -> None:
    """Write what makes two runs the same one, whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def run_each(make: Callable[[Task], None], tasks: Sequence[Task], workers: int) -> Iterator[None]:
    """Make every task, in this process or in several, and yield after each."""
    if workers == 1 or len(tasks) < 2:
        for task in tasks:
            make(task)
            yield
        return
    with worker_pool(min(workers, len(tasks))) as pool:
        for future in as_completed([pool.submit(make, task) for task in tasks]):
            yield future.result()
