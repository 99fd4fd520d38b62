"""One training run: loop, checkpoint, events. Knows nothing of plans or studies."""

from dropkit.train.augment import Augmentation, Crop, Cutout, Flip, Rotate, Shift
from dropkit.train.config import TrainConfig
from dropkit.train.evaluate import evaluate
from dropkit.train.fit import FitResult, fit
from dropkit.train.kept import load_weights, weights_of

__all__ = [
    "Augmentation",
    "Crop",
    "Cutout",
    "FitResult",
    "Flip",
    "Rotate",
    "Shift",
    "TrainConfig",
    "evaluate",
    "fit",
    "load_weights",
    "weights_of",
]
