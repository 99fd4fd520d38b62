"""Losses and regularisers over a model and its outputs."""

from dropkit.objectives.arm import arm
from dropkit.objectives.expectation_linear import ExpectationLinear, expectation_linear
from dropkit.objectives.fraternal_dropout import FraternalDropout, fraternal_dropout
from dropkit.objectives.marginalised_dropout import MarginalisedDropout, marginalised_dropout
from dropkit.objectives.passes import EvalPass, SecondPass
from dropkit.objectives.penalty import penalty
from dropkit.objectives.r_drop import RDrop, r_drop
from dropkit.objectives.simcse_pairs import SimCSEPairs, simcse_pairs

__all__ = [
    "EvalPass",
    "ExpectationLinear",
    "FraternalDropout",
    "MarginalisedDropout",
    "RDrop",
    "SecondPass",
    "SimCSEPairs",
    "arm",
    "expectation_linear",
    "fraternal_dropout",
    "marginalised_dropout",
    "penalty",
    "r_drop",
    "simcse_pairs",
]
