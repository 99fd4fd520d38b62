"""What members of a prediction say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

import torch
from torch import Tensor

from dropkit.core import ConfigError
from dropkit.infer.mixture import MixtureLikelihood, check_noise
from dropkit.infer.quantiles import check_probabilities, quantiles

Task = Literal["classification", "regression"]
Mode = Literal["vmap", "expand", "loop"]


@dataclass(frozen=True, eq=False)
class Prediction:
    """The mean over members, and how far they disagree.

    With ``task="classification"`` everything is of class probabilities, the classes along the last axis; else of the
    model's raw outputs.

    Attributes:
        mean: Shape ``(N, *out)``.
        variance: Across members, ``ddof = 1``, shape ``(N, *out)``.
        standard_error: Monte-Carlo error of ``mean``: ``sqrt(variance / n_members)``.
        n_members: Number of members T.
        mode: How they were computed.
        task: As asked.
    """

    mean: Tensor
    variance: Tensor
    n_members: int
    mode: Mode
    task: Task | None = None
    _expected_entropy: Tensor | None = field(default=None, repr=False)
    _members: Tensor | None = field(default=None, repr=False)

    @property
    def standard_error(self) -> Tensor:
        """Monte-Carlo standard error of the mean, shape ``(N, *out)``."""
        return (self.variance / self.n_members).sqrt()

    @property
    def members(self) -> Tensor:
        """What every member says, shape ``(T, N, *out)``; raises unless predicted with ``keep_members=True``."""
        if self._members is None:
            raise ConfigError("members were not kept; predict with keep_members=True")
        return self._members

    @property
    def entropy(self) -> Tensor:
        """Entropy of the mean probabilities in nats, shape ``(N,)``: all uncertainty."""
        if self._expected_entropy is None:
            raise _no_classes("entropy")
        return entropy(self.mean)

    @property
    def expected_entropy(self) -> Tensor:
        """Mean entropy of the members in nats, shape ``(N,)``: uncertainty that more data would not remove."""
        if self._expected_entropy is None:
            raise _no_classes("expected_entropy")
        return self._expected_entropy

    @property
    def mutual_information(self) -> Tensor:
        """Entropy minus expected entropy in nats, shape ``(N,)``, at least 0: how much the members disagree."""
        return (self.entropy - self.expected_entropy).clamp(min=0.0)

    def quantile(self, q: float | Sequence[float] | Tensor) -> Tensor:
        """Return quantiles over the members, shape ``(N, *out)`` or ``(Q, N, *out)``; needs ``keep_members=True``.

        Args:
            q: Probability in ``[0, 1]``, or several in a list or a 1-d tensor.
        """
        return quantiles(self.members, check_probabilities(q, ends=True))

    def log_likelihood(self, target: Tensor, *, noise: float | Tensor) -> Tensor:
        """Return ``log p(target)`` under the mixture of the members' normal distributions, shape ``(N,)``.

        ``log 1/T sum_t prod_d N(target_d; member_td, noise)``; needs ``task="regression"`` and ``keep_members=True``.

        Args:
            target: Shape ``(N, *out)``.
            noise: Variance of the observation noise, above 0: a number (1 / tau), or a tensor that broadcasts to
                ``(T, N, *out)``, such as what a second head of the model says.

        Reference:
            Gal and Ghahramani, "Dropout as a Bayesian Approximation", ICML 2016, arXiv:1506.02142, eq. 8 and
            appendix 4.2.
        """
        if self.task != "regression":
            raise ConfigError("log_likelihood needs predict(..., task='regression')")
        likelihood = MixtureLikelihood(target)
        likelihood.add(self.members, check_noise(noise, self.members))
        return likelihood.value.to(self.members.dtype)


def _no_classes(what: str) -> ConfigError:
    return ConfigError(f"{what} is of class probabilities; predict with task='classification'")


def entropy(probabilities: Tensor) -> Tensor:
    """Return the entropy along the last axis in nats; 0 log 0 is 0."""
    result: Tensor = torch.special.entr(probabilities).sum(dim=-1)
    return result


class Moments:
    """Mean and variance of members that come in chunks; memory of one chunk, whatever their number.

    Args:
        task: ``"classification"``: also the mean of the members' entropies.
        keep: Whether to keep the members.

    Reference:
        Chan, Golub and LeVeque, "Algorithms for Computing the Sample Variance", American Statistician 37 (1983),
        eq. 2.1, for the merging of chunks.
    """

    def __init__(self, task: Task | None, keep: bool) -> None:
        self.count = 0
        self._task = task
        self._kept: list[Tensor] | None = [] if keep else None
        self._first = self._mean = self._squares = self._entropies = torch.zeros(())

    def add(self, chunk: Tensor) -> None:
        """Take members, shape ``(t, N, *out)``."""
        size = len(chunk)
        wide = chunk.double()
        if self.count == 0:
            self._first = wide[0].clone()
        shifted = wide - self._first  # exactly 0 where members agree, whatever is rounded later
        mean = shifted.mean(dim=0)
        squares = ((shifted - mean) ** 2).sum(dim=0)
        total = self.count + size
        if self.count == 0:
            self._mean, self._squares = mean, squares
        else:
            gap = mean - self._mean
            self._mean = self._mean + gap * (size / total)
            self._squares = self._squares + squares + gap**2 * (self.count * size / total)
        if self._task == "classification":
            entropies = entropy(wide).sum(dim=0)
            self._entropies = entropies if self.count == 0 else self._entropies + entropies
        if self._kept is not None:
            self._kept.append(chunk)
        self.count = total

    @property
    def largest_error(self) -> float:
        """The largest Monte-Carlo standard error; infinite for fewer than two members."""
        if self.count < 2:
            return float("inf")
        return (
            float((self._squares / (self.count - 1) / self.count).max().sqrt())
            if self._squares.numel()
            else 0.0
        )

    @property
    def varies(self) -> bool:
        """Whether any output differs between members."""
        return bool((self._squares > 0).any())

    def prediction(self, mode: Mode, dtype: torch.dtype) -> Prediction:
        """Return what was gathered, in ``dtype``; the variance of a single member is NaN."""
        ddof = self.count - 1
        variance = self._squares / ddof if ddof else torch.full_like(self._squares, torch.nan)
        return Prediction(
            (self._first + self._mean).to(dtype),
            variance.to(dtype),
            self.count,
            mode,
            self._task,
            (self._entropies / self.count).to(dtype) if self._task == "classification" else None,
            None if self._kept is None else torch.cat(self._kept),
        )


def joined(parts: list[Prediction], axis: int) -> Prediction:
    """Return the prediction of all samples from those of batches, which are parts of ``axis``."""
    if len(parts) == 1:
        return parts[0]

    def along(name: str, offset: int = 0) -> Tensor | None:
        values = [getattr(part, name) for part in parts]
        return None if values[0] is None else torch.cat(values, dim=axis + offset if axis >= 0 else axis)

    entropies = [part._expected_entropy for part in parts]
    return Prediction(
        cast(Tensor, along("mean")),
        cast(Tensor, along("variance")),
        parts[0].n_members,
        parts[0].mode,
        parts[0].task,
        None if entropies[0] is None else torch.cat(cast(list[Tensor], entropies), dim=axis),
        along("_members", 1),
    )
