"""Modules for sequences, and dropout inside recurrent networks."""

from dropkit.nn.recurrent.embedding_dropout import EmbeddingDropout
from dropkit.nn.recurrent.locked_dropout import LockedDropout
from dropkit.nn.recurrent.recurrent_dropout import RecurrentDropout
from dropkit.nn.recurrent.rnn_drop import RNNDrop
from dropkit.nn.recurrent.variational_rnn import VariationalRNN
from dropkit.nn.recurrent.zoneout import Zoneout

__all__ = [
    "EmbeddingDropout",
    "LockedDropout",
    "RNNDrop",
    "RecurrentDropout",
    "VariationalRNN",
    "Zoneout",
]
