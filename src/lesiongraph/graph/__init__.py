"""Embeddings and studies → lesion graph and matched lesion groups, Algorithm 1 (paper Sec. 5)."""

from lesiongraph.graph.algorithm1 import exclude, extract, merge, threshold
from lesiongraph.graph.lesions import lesion_graph, to_edge_table, write_edge_table, write_graphml
from lesiongraph.graph.matching import MatchResult, match_lesions, match_patients
from lesiongraph.graph.thresholds import between_patients_threshold

__all__ = [
    "MatchResult",
    "between_patients_threshold",
    "exclude",
    "extract",
    "lesion_graph",
    "match_lesions",
    "match_patients",
    "merge",
    "threshold",
    "to_edge_table",
    "write_edge_table",
    "write_graphml",
]
