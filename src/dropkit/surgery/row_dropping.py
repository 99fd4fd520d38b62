"""Whether a module that somebody else wrote is stochastic depth and nothing more."""

from __future__ import annotations

import torch
from torch import nn

_ROWS = 256
_TIMES = 100  # at most: where one coin is tossed for the whole batch, many forwards may be all zeros
_NEAR = 1e-3  # relative, by which a factor in half precision may be off


def drops_rows(module: nn.Module, rate: float, ndim: int) -> bool:
    """Return whether ``module`` keeps each row times ``1 / (1 - rate)``, or makes it zero.

    It is tried on rows of numbers, in training mode, in which it is left; torch's generator stays as it is. What has
    modules or parameters of its own does more.

    Args:
        module: The module.
        rate: Its probability of dropping.
        ndim: Number of axes that its input has.
    """
    if any(True for _ in module.children()) or any(True for _ in module.parameters()):
        return False
    module.training = True
    shape = _ROWS, *[2] * (ndim - 1)
    rows = torch.linspace(1.0, 2.0, torch.Size(shape).numel()).reshape(shape)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        for _ in range(_TIMES):
            try:
                found = module(rows)
            except Exception:  # whatever a module raises that wants something else than a tensor
                return False
            if not isinstance(found, torch.Tensor) or found.shape != rows.shape:
                return False
            kept = found.reshape(_ROWS, -1)[:, 0] != 0
            if bool(
                (found[~kept] != 0).any() or (found[kept] / rows[kept] * (1 - rate) - 1).abs().gt(_NEAR).any()
            ):
                return False
            if bool(kept.any()):
                return True
    return True
