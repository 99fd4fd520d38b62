"""What members of a prediction say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from dropkit.core import ConfigError, DataError
from dropkit.infer.mixture import MixtureLikelihood, check_noise
from dropkit.infer.quantiles import check_probabilities, quantiles

Task = Literal["classification", "regression"]
Mode = Literal["vmap", "expand", "loop"]


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """The mean over members, and how far they disagree.

    With ``task="classification"`` everything is of class probabilities, the classes along the last axis; else of the
    model's raw outputs. Members have the dtype of the outputs; what they say together has at least single precision,
    as half precision would round small variances to 0. Tensors are ordinary ones, also for autograd.

    Attributes:
        mean: Shape ``(N, *out)``.
        variance: Across members, ``ddof = 1``, shape ``(N, *out)``.
        standard_error: Monte-Carlo error of ``mean``: ``sqrt(variance / n_members)``, where the variance itself may be
            too small or too large for a float; of each batch of a ``DataLoader`` by itself.
        n_members: Number of members T; the largest, where batches of a ``DataLoader`` stopped at different ones.
        mode: How they were computed.
        task: As asked.
    """

    mean: Tensor
    variance: Tensor
    n_members: int
    mode: Mode
    task: Task | None = None
    _entropies: tuple[Tensor, Tensor] | None = None  # of the mean, and expected
    _members: Tensor | None = None
    _standard_error: Tensor | None = None
    _dtype: torch.dtype | None = None

    def __repr__(self) -> str:
        """Say of what and by how many, not every number."""
        return (
            f"Prediction(mean: {tuple(self.mean.shape)}, n_members={self.n_members}, mode={self.mode!r}, "
            f"task={self.task!r})"
        )

    @property
    def standard_error(self) -> Tensor:
        """Monte-Carlo standard error of the mean, shape ``(N, *out)``."""
        if self._standard_error is not None:
            return self._standard_error
        return (self.variance / self.n_members).sqrt()

    @property
    def dtype(self) -> torch.dtype:
        """Of the model's outputs, and of ``members``; what they say together may be more precise."""
        return self._dtype or self.mean.dtype

    @property
    def members(self) -> Tensor:
        """What every member says, shape ``(T, N, *out)``; raises unless predicted with ``keep_members=True``."""
        if self._members is None:
            raise ConfigError("members were not kept; predict with keep_members=True")
        return self._members

    @property
    def entropy(self) -> Tensor:
        """Entropy of the mean probabilities in nats, shape ``(N,)``: all uncertainty."""
        return self._of_classes("entropy")[0].to(self.mean.dtype)

    @property
    def expected_entropy(self) -> Tensor:
        """Mean entropy of the members in nats, shape ``(N,)``: uncertainty that more data would not remove."""
        return self._of_classes("expected_entropy")[1].to(self.mean.dtype)

    @property
    def mutual_information(self) -> Tensor:
        """Entropy minus expected entropy in nats, shape ``(N,)``, at least 0: how much the members disagree."""
        total, expected = self._of_classes("mutual_information")
        return (total - expected).clamp(min=0.0).to(self.mean.dtype)

    def _of_classes(self, what: str) -> tuple[Tensor, Tensor]:
        if self._entropies is None:
            raise ConfigError(f"{what} is of class probabilities; predict with task='classification'")
        return self._entropies

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
        return likelihood.value.to(self.mean.dtype)


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
        if self._task == "classification":
            entropies = entropy(chunk.double().clamp(min=0.0)).sum(dim=0)
            self._entropies = entropies if self.count == 0 else self._entropies + entropies
        if self.count == 0:
            self._first = chunk[0].double().clone()
        # in place from here on: outputs may be most of what a member takes
        shifted = chunk - self._first  # exactly 0 where members agree, whatever is rounded later
        mean = shifted.mean(dim=0)
        squares = shifted.sub_(mean).square_().sum(dim=0)
        total = self.count + size
        if self.count == 0:
            self._mean, self._squares = mean, squares
        else:
            gap = mean.sub_(self._mean)
            self._mean.add_(gap, alpha=size / total)
            self._squares.add_(squares).addcmul_(gap, gap, value=self.count * size / total)
        if self._kept is not None:
            self._kept.append(chunk)
        self.count = total

    @property
    def largest_error(self) -> float:
        """The largest Monte-Carlo standard error, of what is not NaN; infinite for fewer than two members."""
        if self.count < 2:
            return float("inf")
        return (
            float((self._squares.nan_to_num(nan=0.0) / (self.count - 1) / self.count).max().sqrt())
            if self._squares.numel()
            else 0.0
        )

    def prediction(self, mode: Mode, dtype: torch.dtype) -> Prediction:
        """Return what was gathered, in ``dtype`` or single precision; the variance of a single member is NaN."""
        ddof = self.count - 1
        wide = torch.promote_types(dtype, torch.float32)
        with torch.inference_mode(False):  # or autograd would not take the results
            variance = self._squares / ddof if ddof else torch.full_like(self._squares, torch.nan)
            mean = self._first + self._mean
            entropies = (
                (entropy(mean.clamp(min=0.0)), self._entropies / self.count)
                if self._task == "classification"
                else None
            )
            members = None if self._kept is None else torch.cat(self._kept)
            return Prediction(
                mean.to(wide),
                variance.to(wide),
                self.count,
                mode,
                self._task,
                entropies,
                members,
                (variance / self.count).sqrt_().to(wide),
                dtype,
            )


def joined(parts: list[Prediction], axis: int) -> Prediction:
    """Return the prediction of all samples from those of batches, which are parts of ``axis``."""
    if len(parts) == 1:
        return parts[0]

    def along(values: Sequence[Tensor], offset: int = 0) -> Tensor:
        try:
            return torch.cat(list(values), dim=axis + offset if axis >= 0 else axis)
        except RuntimeError:
            shapes = dict.fromkeys(str(tuple(value.shape[offset:])) for value in values)
            raise DataError(
                f"outputs of different shapes cannot be joined along axis {axis}: {', '.join(shapes)}; make batches of "
                "samples that are alike, and predict for each"
            ) from None

    entropies = [part._entropies for part in parts if part._entropies is not None]
    kept = [part._members for part in parts if part._members is not None]
    return Prediction(
        along([part.mean for part in parts]),
        along([part.variance for part in parts]),
        max(part.n_members for part in parts),
        parts[0].mode,
        parts[0].task,
        (along([pair[0] for pair in entropies]), along([pair[1] for pair in entropies]))
        if entropies
        else None,
        along(kept, 1) if kept else None,
        along([part.standard_error for part in parts]),
        parts[0].dtype,
    )
