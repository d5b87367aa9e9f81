"""Takes nothing, gives what a figure must be printed with: commit, machine, and where the data lies."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
CODE = ("src", "benchmarks")

__all__ = ["REPOSITORY", "add_data_argument", "commit", "print_header", "skip_without"]


def print_header(**more: object) -> None:
    """Print commit, Python, machine, its cores and its load, then whatever else the script names."""
    parts = [
        f"commit {commit()}",
        f"Python {platform.python_version()}",
        f"{_processor()}, {os.cpu_count()} cores",
        f"load {os.getloadavg()[0]:.1f}",
        *(f"{name} {value}" for name, value in more.items()),
    ]
    print(", ".join(parts), flush=True)


def add_data_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--data DIR`; by default LESIONGRAPH_REAL_DATA, or ../shared/data beside the repository."""
    beside = REPOSITORY.parent / "shared" / "data"
    default = Path(os.environ.get("LESIONGRAPH_REAL_DATA") or beside)
    parser.add_argument("--data", type=Path, default=default, help="folder of the real data")


def skip_without(*paths: Path) -> None:
    """End the script with a line and exit code 0 if one of the paths does not exist."""
    missing = [path for path in paths if not path.exists()]
    if missing:
        print(f"skipped: no {missing[0].name} in {missing[0].parent.name}/ of the data; give --data DIR")
        sys.exit(0)


def commit() -> str:
    """Short hash of the commit, and whether code was changed since."""
    head = _git("rev-parse", "--short", "HEAD")
    if not head:
        return "unknown"
    return head + (" with uncommitted changes" if _git("status", "--porcelain", "--", *CODE) else "")


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):  # a copy without git still measures
        return ""
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
