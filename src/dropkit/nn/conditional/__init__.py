"""Dropout whose rates or masks depend on the input, or on the place of the layer, as modules."""

from dropkit.nn.conditional.attention_based_dropout import AttentionBasedDropout
from dropkit.nn.conditional.conditional import Conditional
from dropkit.nn.conditional.contextual_dropout import ContextualDropout
from dropkit.nn.conditional.guided_dropout import GuidedDropout
from dropkit.nn.conditional.lima_dropout import LimaDropout
from dropkit.nn.conditional.standout import Standout

__all__ = [
    "AttentionBasedDropout",
    "Conditional",
    "ContextualDropout",
    "GuidedDropout",
    "LimaDropout",
    "Standout",
]
