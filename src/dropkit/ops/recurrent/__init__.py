"""Ops for sequences that recurrent networks read."""

from dropkit.ops.recurrent.embedding_dropout import embedding_dropout
from dropkit.ops.recurrent.locked_dropout import locked_dropout

__all__ = ["embedding_dropout", "locked_dropout"]
