"""Takes a workspace, gives how well an embedding learned one way or another retrieves (issue 4, item 5)."""

from objectives.archive import Archive, load_archive
from objectives.methods import METHODS, Method
from objectives.trial import Trial, print_trials, run_trials

__all__ = ["METHODS", "Archive", "Method", "Trial", "load_archive", "print_trials", "run_trials"]
