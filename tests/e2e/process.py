"""The command line in a process of its own."""

from __future__ import annotations

import subprocess
import sys

COMMAND = [sys.executable, "-c", "from lesiongraph.cli import main; main()"]


def start(*arguments: object) -> subprocess.Popen[str]:
    """Start it in a process group of its own, so that its workers can be told apart."""
    words = [*COMMAND, *map(str, arguments)]
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
