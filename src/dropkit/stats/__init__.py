"""Metrics, calibration measures, paired comparisons and power: pure functions on arrays."""

from dropkit.stats.abstention import Abstention, abstention_cost, choose_abstention
from dropkit.stats.bootstrap import bca_interval
from dropkit.stats.brier import Brier, brier
from dropkit.stats.calibration import (
    Reliability,
    classwise_calibration_error,
    expected_calibration_error,
    reliability,
)
from dropkit.stats.classification import classification_metrics, per_class
from dropkit.stats.comparison import Comparison
from dropkit.stats.detection import Detection, average_precision, detection, detection_interval
from dropkit.stats.holm import holm
from dropkit.stats.metrics import LARGER_IS_BETTER, SHARES, generalisation_gap
from dropkit.stats.multiple import compare_many, compare_pairs
from dropkit.stats.paired import compare
from dropkit.stats.permutation import sign_flip_p
from dropkit.stats.power import mde, pairs_needed, power, sd_interval
from dropkit.stats.rare import (
    Threshold,
    case_costs,
    choose_threshold,
    expected_cost,
    rare_event_intervals,
    recall_at_precision,
)
from dropkit.stats.regression import regression_metrics
from dropkit.stats.resampling import Estimate, stratified_interval
from dropkit.stats.selective import RiskCoverage, aurc, risk_coverage
from dropkit.stats.spread import VarianceRatio, variance_ratio

__all__ = [
    "LARGER_IS_BETTER",
    "SHARES",
    "Abstention",
    "Brier",
    "Comparison",
    "Detection",
    "Estimate",
    "Reliability",
    "RiskCoverage",
    "Threshold",
    "VarianceRatio",
    "abstention_cost",
    "aurc",
    "average_precision",
    "bca_interval",
    "brier",
    "case_costs",
    "choose_abstention",
    "choose_threshold",
    "classification_metrics",
    "classwise_calibration_error",
    "compare",
    "compare_many",
    "compare_pairs",
    "detection",
    "detection_interval",
    "expected_calibration_error",
    "expected_cost",
    "generalisation_gap",
    "holm",
    "mde",
    "pairs_needed",
    "per_class",
    "power",
    "rare_event_intervals",
    "recall_at_precision",
    "regression_metrics",
    "reliability",
    "risk_coverage",
    "sd_interval",
    "sign_flip_p",
    "stratified_interval",
    "variance_ratio",
]
