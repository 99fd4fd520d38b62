"""Ops for attention and for sequences of tokens."""

from dropkit.ops.tokens.attention_dropout import attention_dropout
from dropkit.ops.tokens.drop_dim import drop_dim
from dropkit.ops.tokens.drop_head import drop_head
from dropkit.ops.tokens.drop_key import drop_key
from dropkit.ops.tokens.hidden_cut import hidden_cut
from dropkit.ops.tokens.patch_dropout import patch_dropout
from dropkit.ops.tokens.token_dropout import token_dropout
from dropkit.ops.tokens.word_dropout import word_dropout

__all__ = [
    "attention_dropout",
    "drop_dim",
    "drop_head",
    "drop_key",
    "hidden_cut",
    "patch_dropout",
    "token_dropout",
    "word_dropout",
]
