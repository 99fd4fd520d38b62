"""The max-norm constraint on the weights that come into a unit."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dropkit.core import ConfigError

_PLAIN = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


class MaxNorm:
    """Project each unit's incoming weight vector ``w`` onto the ball ``||w||_2 <= limit``.

    A unit is a row of a Linear layer or a filter of a convolution (over its input channels and places); every Linear
    and convolution of the model is constrained, the output layer included. Biases, norms and embeddings are free.

    Args:
        model: Looked at once, now.
        limit: Largest norm, ``> 0``.

    Raises:
        ConfigError: the model has no such layer, or one whose weight is computed from other parameters.

    Reference:
        Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", JMLR 15, 2014,
        section 5.1. Departures: the output layer is constrained too (theirs: hidden units).
    """

    def __init__(self, model: nn.Module, limit: float) -> None:
        self.limit = limit
        self._views: list[Tensor] = []
        seen: set[int] = set()  # a shared weight is projected once
        for name, module in model.named_modules():
            if not isinstance(module, _PLAIN + _TRANSPOSED):
                continue
            weight = module._parameters.get("weight")
            if weight is None:
                raise ConfigError(
                    f"max_norm cannot hold {name!r}: its weight is computed; leave max_norm out"
                )
            if id(weight) not in seen:
                seen.add(id(weight))
                self._views.append(_units_first(module, weight))
        if not self._views:
            raise ConfigError(
                "max_norm applies to Linear and Conv layers, and the model has none; leave it out"
            )

    @torch.no_grad()
    def project(self) -> None:
        """Shrink, in place, every vector that is too long; leave the others bit for bit."""
        for view in self._views:
            norm = torch.linalg.vector_norm(view, dim=tuple(range(2, view.ndim)), keepdim=True)
            view.mul_((self.limit / norm).clamp_(max=1.0))


def _units_first(module: nn.Module, weight: Tensor) -> Tensor:
    """View ``weight`` as (groups, units of the group, incoming ...)."""
    values = weight.detach()
    if isinstance(module, _TRANSPOSED):  # stored as (in, out / groups, ...)
        return values.view(int(module.groups), -1, *weight.shape[1:]).transpose(1, 2)
    return values.unsqueeze(0)
