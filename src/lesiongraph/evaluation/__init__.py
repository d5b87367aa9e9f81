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
from lesiongraph.evaluation.heads import TypeHead, fit_head
from lesiongraph.evaluation.limit_choice import LIMIT_RATIO, ChosenLimits, choose_limits
from lesiongraph.evaluation.limits import LimitCurve, Run, labelled_edges, limit_curve
from lesiongraph.evaluation.pairs import (
    PairCounts,
    PrecisionRecallCurve,
    area_under_curve,
    pair_counts,
    pair_counts_by_patient,
    precision_recall_curve,
)
from lesiongraph.evaluation.ranking import RankingScores, ranking_scores
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
from lesiongraph.evaluation.type_calibration import TypeCalibration, fit_type_calibration
from lesiongraph.evaluation.type_scores import TypeScores, type_scores

__all__ = [
    "LIMIT_RATIO",
    "TABLE1_FIGURES",
    "ChosenLimits",
    "ClassificationResult",
    "ClusterScores",
    "ConfidenceInterval",
    "LimitCurve",
    "PairCounts",
    "PrecisionRecallCurve",
    "RankingScores",
    "RetrievalErrors",
    "Run",
    "ScoredLesions",
    "Table1Row",
    "TypeCalibration",
    "TypeHead",
    "TypeScores",
    "area_under_curve",
    "average_retrieval_error",
    "choose_limits",
    "classification_accuracy",
    "classify",
    "cluster_scores",
    "confusion_matrix",
    "evaluate_features",
    "fit_head",
    "fit_type_calibration",
    "labelled_edges",
    "limit_curve",
    "normalised_mutual_information",
    "pair_counts",
    "pair_counts_by_patient",
    "patient_bootstrap",
    "patient_resamples",
    "percentile_interval",
    "precision_recall_curve",
    "purity",
    "ranking_scores",
    "retrieval_errors",
    "retrieve",
    "score_features",
    "score_retrieval",
    "type_retrieval_error",
    "type_scores",
]
