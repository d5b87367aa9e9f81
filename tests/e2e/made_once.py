"""Folders that all test processes of a session share."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def made_once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Make a folder once for all test processes of this session (read-only by agreement)."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if root.name.startswith("popen-") else root
    with (root / f"{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not (root / name).exists():
            part = root / f"{name}-unfinished"
            shutil.rmtree(part, ignore_errors=True)
            make(part)
            part.rename(root / name)
    return root / name
