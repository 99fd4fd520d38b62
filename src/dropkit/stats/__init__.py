"""Metrics, calibration measures, paired comparisons and power: pure functions on arrays."""

from dropkit.stats.bootstrap import bca_interval
from dropkit.stats.calibration import Reliability, expected_calibration_error, reliability
from dropkit.stats.classification import classification_metrics, per_class
from dropkit.stats.comparison import Comparison
from dropkit.stats.holm import holm
from dropkit.stats.metrics import LARGER_IS_BETTER, generalisation_gap
from dropkit.stats.multiple import compare_many, compare_pairs
from dropkit.stats.paired import compare
from dropkit.stats.permutation import sign_flip_p
from dropkit.stats.power import mde, pairs_needed, power, sd_interval
from dropkit.stats.regression import regression_metrics
from dropkit.stats.spread import VarianceRatio, variance_ratio

__all__ = [
    "LARGER_IS_BETTER",
    "Comparison",
    "Reliability",
    "VarianceRatio",
    "bca_interval",
    "classification_metrics",
    "compare",
    "compare_many",
    "compare_pairs",
    "expected_calibration_error",
    "generalisation_gap",
    "holm",
    "mde",
    "pairs_needed",
    "per_class",
    "power",
    "regression_metrics",
    "reliability",
    "sd_interval",
    "sign_flip_p",
    "variance_ratio",
]
