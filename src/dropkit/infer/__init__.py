"""Honest uncertainty from any network with dropout, and what to do with it."""

from dropkit.infer.acquisition import bald, batch_bald, entropy, least_confidence
from dropkit.infer.active import ActiveLearning
from dropkit.infer.conformal import ConformalIntervals, ConformalSets, conformal_quantile
from dropkit.infer.fold import fold
from dropkit.infer.isotonic import IsotonicCalibration
from dropkit.infer.predicting import predict
from dropkit.infer.prediction import Prediction
from dropkit.infer.scaling import TemperatureScaling, VectorScaling

__all__ = [
    "ActiveLearning",
    "ConformalIntervals",
    "ConformalSets",
    "IsotonicCalibration",
    "Prediction",
    "TemperatureScaling",
    "VectorScaling",
    "bald",
    "batch_bald",
    "conformal_quantile",
    "entropy",
    "fold",
    "least_confidence",
    "predict",
]
