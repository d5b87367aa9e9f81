"""Lesions with known types → how well each labeller spreads types from seeds to the pool (Sec. 4.1, 4.3)."""

from labelling.refinement import print_refinement
from labelling.rivals import METHODS
from labelling.tables import deeplesion_marks, metadata, workspace_marks
from labelling.trial import Data, print_abstention, print_trial

__all__ = [
    "METHODS",
    "Data",
    "deeplesion_marks",
    "metadata",
    "print_abstention",
    "print_refinement",
    "print_trial",
    "workspace_marks",
]
