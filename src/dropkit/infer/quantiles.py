"""Quantiles over members."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from dropkit.core import ConfigError

_MOST = 2**24  # elements that torch.quantile takes


def check_probabilities(q: Any, *, ends: bool) -> Tensor:
    """Return one probability, 0-d, or several, 1-d, in fp64.

    Args:
        q: A number, or several in a list, an array or a 1-d tensor.
        ends: Whether 0 and 1 are allowed.

    Raises:
        ConfigError: It is something else.
    """
    try:
        wanted = torch.as_tensor(q, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        wanted = torch.tensor(math.nan)
    inside = (wanted >= 0) & (wanted <= 1) if ends else (wanted > 0) & (wanted < 1)
    if wanted.ndim > 1 or not bool(inside.all()):
        raise ConfigError(
            f"q must be {'in [0, 1]' if ends else 'above 0 and below 1'}, a number or several in a list, got {q!r}"
        )
    return wanted


def quantiles(members: Tensor, q: Tensor) -> Tensor:
    """Return quantiles along the first axis, ``q`` first if it is 1-d; torch's own takes 2^24 elements at most."""
    wide = members.float() if members.dtype in (torch.float16, torch.bfloat16) else members
    flat = wide.reshape(len(members), -1)
    blocks = torch.split(flat, max(1, _MOST // len(members)), dim=1)
    found = torch.cat([torch.quantile(block, q.to(block), dim=0) for block in blocks], dim=-1)
    return found.view(*q.shape, *members.shape[1:]).to(members.dtype)
