"""Predictions and truth → Table 1, Fig. 7 and Fig. 8 of the paper (Sec. 6.2, 6.3)."""

from lesiongraph.evaluation.bootstrap import (
    ConfidenceInterval,
    patient_bootstrap,
    patient_resamples,
    percentile_interval,
)
from lesiongraph.evaluation.classification import (
    ClassificationResult,
    classification_accuracy,
    classify,
    confusion_matrix,
)
from lesiongraph.evaluation.clustering import (
    ClusterScores,
    cluster_scores,
    normalised_mutual_information,
    purity,
)
from lesiongraph.evaluation.pairs import (
    PairCounts,
    PrecisionRecallCurve,
    area_under_curve,
    pair_counts,
    precision_recall_curve,
)
from lesiongraph.evaluation.retrieval import (
    RetrievalErrors,
    average_retrieval_error,
    retrieval_errors,
    retrieve,
    type_retrieval_error,
)
from lesiongraph.evaluation.table1 import (
    TABLE1_FIGURES,
    ScoredLesions,
    Table1Row,
    evaluate_features,
    score_features,
    score_retrieval,
)

__all__ = [
    "TABLE1_FIGURES",
    "ClassificationResult",
    "ClusterScores",
    "ConfidenceInterval",
    "PairCounts",
    "PrecisionRecallCurve",
    "RetrievalErrors",
    "ScoredLesions",
    "Table1Row",
    "area_under_curve",
    "average_retrieval_error",
    "classification_accuracy",
    "classify",
    "cluster_scores",
    "confusion_matrix",
    "evaluate_features",
    "normalised_mutual_information",
    "pair_counts",
    "patient_bootstrap",
    "patient_resamples",
    "percentile_interval",
    "precision_recall_curve",
    "purity",
    "retrieval_errors",
    "retrieve",
    "score_features",
    "score_retrieval",
    "type_retrieval_error",
]
