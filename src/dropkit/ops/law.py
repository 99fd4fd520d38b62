"""What a random op does to an element that is kept, and to one that is dropped."""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from dropkit.random.layout import threshold
from dropkit.random.philox import MASK32


class Form(IntEnum):
    """How an output comes from the input ``x``; the numbers are those of the native kernels."""

    SELECT = 0  # keep ? x * scale : 0
    AFFINE = 1  # keep ? x * scale + shift : dropped


class Law(NamedTuple):
    """A form with its numbers. Arithmetic is in fp32 (fp64 for fp64), with one final rounding to the dtype."""

    form: int
    rate: float
    threshold: int  # of the 32-bit number below which an element is dropped
    scale: float
    shift: float = 0.0
    dropped: float = 0.0

    def derivative(self) -> Law:
        """Return the law of a tangent or a gradient: what the output has of ``x`` itself."""
        return self if self.form == Form.SELECT else selecting(self.rate, self.scale)

    def tensor(self) -> Tensor:
        """Return what registered operators take: threshold and scale, and for AFFINE shift and dropped value too.

        fp64 holds each exactly. In compiled code a rate that was changed is a symbolic number, and added to a
        tensor it stays one: as an operator's own argument it would be a constant, compiled again each time.
        """
        rest = (self.shift, self.dropped) if self.form == Form.AFFINE else ()
        if not torch.compiler.is_compiling():
            return torch.tensor((self.threshold, self.scale, *rest), dtype=torch.float64, device="cpu")
        zero = torch.zeros((), dtype=torch.float64, device="cpu")
        drawn = ((zero + self.rate) * 2.0**32).round().clamp(1.0, float(MASK32))
        return torch.stack((drawn, zero + self.scale, *(zero + number for number in rest)))


def selecting(rate: float, scale: float) -> Law:
    """Return the law of ``x * scale``, or zero with probability ``rate`` in ``(0, 1)``."""
    return _law(Form.SELECT, rate, scale, 0.0, 0.0)


def replacing(rate: float, scale: float, shift: float, dropped: float) -> Law:
    """Return the law of ``x * scale + shift``, or ``dropped`` with probability ``rate`` in ``(0, 1)``."""
    return _law(Form.AFFINE, rate, scale, shift, dropped)


def _make(form: Form, rate: float, scale: float, shift: float, dropped: float) -> Law:
    return Law(form, rate, threshold(rate), scale, shift, dropped)


_remembered = lru_cache(maxsize=1024)(_make)


def _law(form: Form, rate: float, scale: float, shift: float, dropped: float) -> Law:
    if torch.compiler.is_compiling():  # a cache cannot be traced
        return _make(form, rate, scale, shift, dropped)
    return _remembered(form, rate, scale, shift, dropped)
