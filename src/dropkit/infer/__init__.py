"""Honest uncertainty from any network with dropout, and what to do with it."""

from dropkit.infer.acquisition import bald, batch_bald, entropy, least_confidence
from dropkit.infer.active import ActiveLearning
from dropkit.infer.conformal import ConformalIntervals, ConformalSets, conformal_quantile
from dropkit.infer.ensemble_folder import load_ensemble
from dropkit.infer.ensembling import Ensemble, ensemble
from dropkit.infer.enumeration import Enumeration, enumerate_masks
from dropkit.infer.fold import fold
from dropkit.infer.geometric_mean import geometric_mean
from dropkit.infer.isotonic import IsotonicCalibration
from dropkit.infer.observation_noise import NoisyPrediction, fit_noise, log_likelihood, with_noise
from dropkit.infer.predicting import predict
from dropkit.infer.prediction import Prediction
from dropkit.infer.scaling import TemperatureScaling, VectorScaling
from dropkit.infer.scaling_curve import ScalingCurve, scaling_curve
from dropkit.infer.snapshots import snapshots

__all__ = [
    "ActiveLearning",
    "ConformalIntervals",
    "ConformalSets",
    "Ensemble",
    "Enumeration",
    "IsotonicCalibration",
    "NoisyPrediction",
    "Prediction",
    "ScalingCurve",
    "TemperatureScaling",
    "VectorScaling",
    "bald",
    "batch_bald",
    "conformal_quantile",
    "ensemble",
    "entropy",
    "enumerate_masks",
    "fit_noise",
    "fold",
    "geometric_mean",
    "least_confidence",
    "load_ensemble",
    "log_likelihood",
    "predict",
    "scaling_curve",
    "snapshots",
    "with_noise",
]
