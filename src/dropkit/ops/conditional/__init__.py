"""Dropout whose rates or masks depend on the input, or on the place of the layer."""

from dropkit.ops.conditional.attention_based_dropout import attention_based_dropout
from dropkit.ops.conditional.conditional import conditional
from dropkit.ops.conditional.guided_dropout import guided_dropout

__all__ = ["attention_based_dropout", "conditional", "guided_dropout"]
