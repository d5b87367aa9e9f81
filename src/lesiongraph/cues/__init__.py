"""Types, locations and sizes → cue vectors, pseudo-labels, training sequences A–E (paper Sec. 4.1–4.3)."""

from lesiongraph.cues.abstention import AbstainingLabeller, label_left_out
from lesiongraph.cues.candidates import LETTERS
from lesiongraph.cues.classifier import TypeClassifier
from lesiongraph.cues.labels import PseudoLabels, TypeLabeller, count_seeds
from lesiongraph.cues.noise import (
    CoverageCurve,
    LabelNoise,
    RefinementEffect,
    coverage_curve,
    measure_noise,
    measure_refinement,
)
from lesiongraph.cues.sequences import SequenceSampler
from lesiongraph.cues.vectors import location_vectors, size_vectors
from lesiongraph.recipe import CUES

__all__ = [
    "CUES",
    "LETTERS",
    "AbstainingLabeller",
    "CoverageCurve",
    "LabelNoise",
    "PseudoLabels",
    "RefinementEffect",
    "SequenceSampler",
    "TypeClassifier",
    "TypeLabeller",
    "count_seeds",
    "coverage_curve",
    "label_left_out",
    "location_vectors",
    "measure_noise",
    "measure_refinement",
    "size_vectors",
]
