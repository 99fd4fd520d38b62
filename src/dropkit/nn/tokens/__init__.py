"""Modules for attention and for sequences of tokens."""

from dropkit.nn.tokens.attention_dropout import AttentionDropout
from dropkit.nn.tokens.drop_dim import DropDim
from dropkit.nn.tokens.drop_head import DropHead
from dropkit.nn.tokens.drop_key import DropKey
from dropkit.nn.tokens.hidden_cut import HiddenCut
from dropkit.nn.tokens.patch_dropout import PatchDropout
from dropkit.nn.tokens.token_dropout import TokenDropout
from dropkit.nn.tokens.word_dropout import WordDropout

__all__ = [
    "AttentionDropout",
    "DropDim",
    "DropHead",
    "DropKey",
    "HiddenCut",
    "PatchDropout",
    "TokenDropout",
    "WordDropout",
]
