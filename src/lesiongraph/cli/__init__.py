"""Takes a command line, calls one pipeline function, prints what came of it (no science here)."""

from lesiongraph.cli.app import main

__all__ = ["main"]
