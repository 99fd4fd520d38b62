"""The mixture of normal distributions that members with observation noise are."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dropkit.core import ConfigError, DataError


def check_noise(noise: float | Tensor, like: Tensor) -> Tensor:
    """Return noise variances in fp64, of the shape of members ``like``; ``ConfigError`` unless all are above 0."""
    try:
        variance = torch.as_tensor(noise, dtype=torch.float64, device=like.device)
    except (TypeError, ValueError, RuntimeError):
        raise ConfigError(f"noise must be a variance above 0, got a {type(noise).__name__}") from None
    if not bool(((variance > 0) & variance.isfinite()).all()):
        shown = "a tensor with others" if isinstance(noise, Tensor) and noise.ndim else float(noise)
        raise ConfigError(f"noise must be a variance above 0, and finite, got {shown!r}")
    try:
        return variance.expand(like.shape)
    except RuntimeError:
        raise ConfigError(
            f"noise must broadcast to the members' shape {tuple(like.shape)}, got {tuple(variance.shape)}"
        ) from None


def check_target(target: Tensor, members: Tensor) -> None:
    """Raise ``ConfigError`` unless targets have the shape of what one of the members says."""
    wanted, got = tuple(members.shape[1:]), tuple(target.shape)
    if got != wanted:
        hint = "; give target[:, None]" if wanted == (*got, 1) else ""
        raise ConfigError(f"target must have shape {wanted}, got {got}{hint}")


class MixtureLikelihood:
    """``log 1/T sum_t prod_d N(target_d; member_td, variance_td)`` of members that come in chunks.

    Args:
        target: Shape ``(N, *out)``; the product is over ``out``.

    Reference:
        Gal and Ghahramani, "Dropout as a Bayesian Approximation", ICML 2016, arXiv:1506.02142, eq. 8 and appendix 4.2.
    """

    def __init__(self, target: Tensor) -> None:
        self._target = torch.as_tensor(target).double()
        self._total: Tensor | None = None
        self._count = 0

    def add(self, members: Tensor, variance: Tensor) -> None:
        """Take members, shape ``(t, N, *out)``, and their noise variances, of the same shape."""
        check_target(self._target, members)
        wide = variance.double()
        log_p = -0.5 * ((self._target - members.double()) ** 2 / wide + (2 * math.pi * wide).log())
        chunk = torch.logsumexp(log_p.flatten(2).sum(-1) if log_p.ndim > 2 else log_p, dim=0)
        self._total = chunk if self._total is None else torch.logaddexp(self._total, chunk)
        self._count += len(members)

    @property
    def value(self) -> Tensor:
        """Log-likelihood of each sample, shape ``(N,)``, fp64."""
        if self._total is None:
            raise DataError("there are no members yet; a likelihood needs at least one")
        return self._total - math.log(self._count)
