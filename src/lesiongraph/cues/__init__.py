"""Types, locations and sizes → cue vectors, pseudo-labels, training sequences A–E (paper Sec. 4.1–4.3)."""

from lesiongraph.cues.candidates import CUES, LETTERS
from lesiongraph.cues.classifier import PseudoLabels, TypeClassifier
from lesiongraph.cues.sequences import SequenceSampler
from lesiongraph.cues.vectors import location_vectors, size_vectors

__all__ = [
    "CUES",
    "LETTERS",
    "PseudoLabels",
    "SequenceSampler",
    "TypeClassifier",
    "location_vectors",
    "size_vectors",
]
