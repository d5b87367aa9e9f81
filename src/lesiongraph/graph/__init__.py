"""Embeddings and studies → lesion graph and matched lesion groups, Algorithm 1 (paper Sec. 5)."""

from lesiongraph.graph.algorithm1 import exclude, extract, merge, threshold
from lesiongraph.graph.calibration import (
    ChosenLimit,
    CostCalibration,
    brier_score,
    choose_limit,
    cross_fitted_probabilities,
    expected_calibration_error,
    fit_calibration,
    patient_folds,
)
from lesiongraph.graph.cost import CostWeights, LesionCues, pair_costs
from lesiongraph.graph.cost_matching import match_by_cost
from lesiongraph.graph.lesions import lesion_graph, to_edge_table, write_edge_table, write_graphml
from lesiongraph.graph.linkage import ExclusiveLinkage
from lesiongraph.graph.links import Links
from lesiongraph.graph.matcher import Matcher
from lesiongraph.graph.matching import MatchResult, match_lesions, match_patients
from lesiongraph.graph.mutual_nearest import MutualNearest
from lesiongraph.graph.optimal import OptimalAssignment
from lesiongraph.graph.states import LesionChange, State, lesion_changes
from lesiongraph.graph.thresholds import between_patients_threshold

__all__ = [
    "ChosenLimit",
    "CostCalibration",
    "CostWeights",
    "ExclusiveLinkage",
    "LesionChange",
    "LesionCues",
    "Links",
    "MatchResult",
    "Matcher",
    "MutualNearest",
    "OptimalAssignment",
    "State",
    "between_patients_threshold",
    "brier_score",
    "choose_limit",
    "cross_fitted_probabilities",
    "exclude",
    "expected_calibration_error",
    "extract",
    "fit_calibration",
    "lesion_changes",
    "lesion_graph",
    "match_by_cost",
    "match_lesions",
    "match_patients",
    "merge",
    "pair_costs",
    "patient_folds",
    "threshold",
    "to_edge_table",
    "write_edge_table",
    "write_graphml",
]
