"""Dropout that a model already has: modules by class, functions by identity, and each one's twin in dropkit."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dropkit.surgery.existing.attention import ATTENTION, INNER
from dropkit.surgery.existing.plain import FUNCTIONAL, MODULES, PLAIN, WRITERS, Plain, dropout_class
from dropkit.surgery.existing.protocol import Existing, cannot_take
from dropkit.surgery.existing.recurrent import RECURRENT

CALLS: dict[Any, Existing] = {**PLAIN, **ATTENTION, **RECURRENT}
"""Every function that drops, as a function mode sees it."""

_ATEN = torch.ops.aten
BY_HAND: dict[Any, str] = {
    torch.bernoulli: "bernoulli",
    Tensor.bernoulli: "bernoulli",
    Tensor.bernoulli_: "bernoulli",
    torch.rand: "rand",
    torch.rand_like: "rand_like",
    torch.native_dropout: "native_dropout",
    _ATEN.dropout: "dropout",
    _ATEN.dropout.default: "dropout",
    _ATEN.native_dropout: "native_dropout",
    _ATEN.native_dropout.default: "native_dropout",
}
"""Functions by which a model may drop in a way of its own."""

__all__ = [
    "BY_HAND",
    "CALLS",
    "FUNCTIONAL",
    "INNER",
    "MODULES",
    "PLAIN",
    "WRITERS",
    "Existing",
    "Plain",
    "cannot_take",
    "dropout_class",
]
