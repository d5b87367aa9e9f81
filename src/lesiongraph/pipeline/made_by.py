"""Where and by what a result was made: machine, version, commit (a table of results states them)."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from lesiongraph import __version__
from lesiongraph.embedding import device_name


def made_by() -> dict[str, str]:
    """Return what a table states about where a run was made; the commit is "" outside a git checkout."""
    return {"machine": _machine(), "version": __version__, "commit": _commit()}


def _machine() -> str:
    cores = f"{os.cpu_count()} cores, {device_name()}"
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {cores}"


def _commit() -> str:
    """Return the commit of the checkout that this package is run from."""
    root = Path(__file__).parents[3]
    if not ((root / ".git").exists() and (root / "pyproject.toml").is_file()):
        return ""
    asked = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
