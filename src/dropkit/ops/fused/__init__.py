"""Dropout together with what stands beside it in a model: fewer passes over memory, the masks of ``dropout``."""

from dropkit.ops.fused.bias_dropout_add import bias_dropout_add
from dropkit.ops.fused.dropout_add import dropout_add
from dropkit.ops.fused.gelu_dropout import gelu_dropout
from dropkit.ops.fused.relu_dropout import relu_dropout
from dropkit.ops.fused.silu_dropout import silu_dropout

__all__ = ["bias_dropout_add", "dropout_add", "gelu_dropout", "relu_dropout", "silu_dropout"]
