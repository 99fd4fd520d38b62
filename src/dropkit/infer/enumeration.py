"""The exact average over all thinned networks of a small model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from dropkit.core import ConfigError, DataError, InputError, whole_number
from dropkit.infer.inputs import batch_of, check_device
from dropkit.infer.prediction import Task, entropy
from dropkit.random import GivenMasks
from dropkit.surgery.sampling import Sampler, sampler

_MOST_UNITS = 20
_CHUNK = 1024  # masks at once, at most
_MEMORY = 2**28  # bytes that the activations of a chunk may take


@dataclass(frozen=True, eq=False)
class Enumeration:
    """What all thinned networks of a model say together, each weighted with the probability of its mask.

    With ``task="classification"`` everything is of class probabilities, the classes along the last axis; else of the
    model's raw outputs.

    Attributes:
        mean: Shape ``(N, *out)``.
        variance: Of the outputs over the masks, shape ``(N, *out)``; exact, so nothing is divided by T - 1.
        units: Number of units that each site drops by a coin of their own, by the site's id; a site called several
            times has the sum.
        task: As asked.
    """

    mean: Tensor
    variance: Tensor
    units: dict[str, int]
    task: Task | None = None
    _expected_entropy: Tensor | None = field(default=None, repr=False)
    _log: Tensor | None = field(default=None, repr=False)

    @property
    def n_masks(self) -> int:
        """Number of thinned networks: 2 to the number of units."""
        return int(2 ** sum(self.units.values()))

    @property
    def entropy(self) -> Tensor:
        """Entropy of the mean probabilities in nats, shape ``(N,)``."""
        self._classes("entropy")
        return entropy(self.mean)

    @property
    def expected_entropy(self) -> Tensor:
        """Mean entropy of the thinned networks in nats, shape ``(N,)``."""
        return self._classes("expected_entropy")[0]

    @property
    def mutual_information(self) -> Tensor:
        """Entropy minus expected entropy in nats, shape ``(N,)``, at least 0."""
        return (self.entropy - self.expected_entropy).clamp(min=0.0)

    @property
    def geometric_mean(self) -> Tensor:
        """Normalised geometric mean of the class probabilities, shape ``(N, C)``: what weight scaling approximates.

        For one softmax layer on dropped inputs it equals the weight-scaled pass exactly.
        """
        return self._classes("geometric_mean")[1].softmax(-1)

    def _classes(self, what: str) -> tuple[Tensor, Tensor]:
        if self._expected_entropy is None or self._log is None:
            raise ConfigError(
                f"{what} is of class probabilities; enumerate_masks(..., task='classification')"
            )
        return self._expected_entropy, self._log


def enumerate_masks(
    model: nn.Module,
    *inputs: Any,
    task: Task | None = None,
    outputs: Literal["logits", "probabilities"] = "logits",
    batch_dim: int = 0,
    max_units: int = _MOST_UNITS,
    **forward_kwargs: Any,
) -> Enumeration:
    """Average a model over all masks of its dropout, exactly: what :func:`dropkit.predict` estimates.

    ``mean = sum_m P(m) f(x, m)`` over the ``2**n`` masks of ``n`` units. All samples share a mask, as with
    ``share_masks=True``. It works on the same unmodified models, wherever the noise is a mask of independent coins.

    Args:
        model: Any module that a forward pass in training mode shows to be random; it is not touched.
        inputs: What its forward takes.
        task: ``"classification"``: everything is of class probabilities.
        outputs: What a classifier returns.
        batch_dim: Axis of the batch in inputs, activations and outputs.
        max_units: Largest number of units; the work doubles with each.
        forward_kwargs: Keyword arguments of the forward.

    Raises:
        ConfigError: There are more than ``max_units`` units, or an argument makes no sense.
        NoMatchError: Nothing in the model is random.
        PlanError: A site is random in a way that cannot be reached.
        StreamError: A site draws other noise than coins, or has no axis of the batch.
        DataError: The model does not return one floating-point tensor, or draws other masks in another pass.

    Reference:
        Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", JMLR 15 (2014), sec. 10;
        Baldi and Sadowski, "Understanding Dropout", NeurIPS 2013.
    """
    if task not in (None, "classification", "regression") or outputs not in ("logits", "probabilities"):
        raise ConfigError(
            f"task must be None, 'classification' or 'regression', and outputs 'logits' or 'probabilities', got "
            f"{task!r} and {outputs!r}"
        )
    if whole_number(max_units) is None or max_units < 1:
        raise ConfigError(f"max_units must be a whole number of at least 1, got {max_units!r}")
    batch_dim, count = batch_of(inputs, forward_kwargs, batch_dim)
    check_device(model, (inputs, forward_kwargs))
    with torch.inference_mode():
        with torch.inference_mode(False):
            made = sampler(model, *_copies(inputs, forward_kwargs))
        drawn: tuple[str, ...] = ()
        masks = _Masks((batch_dim, count))

        def run(number: int | Tensor) -> Tensor:
            nonlocal drawn
            with masks.numbered(number) as drawing:
                value = _tensor(made.run(*_copies(inputs, forward_kwargs)))
            drawn = drawing.drawn
            return value

        run(-1)  # keeps every unit, and tells how many there are
        while not made.is_complete(drawn):
            masks = _Masks((batch_dim, count))
            run(-1)
        made.check()
        masks.close(max_units)
        sums = _Sums(task, outputs)
        for numbers, values in _chunks(run, masks, made):
            sums.add(values.double(), masks.probabilities(numbers))
    return sums.enumeration(masks.units(), task)


def _copies(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return inputs that a forward may write to."""
    copies: tuple[tuple[Any, ...], dict[str, Any]] = tree_map_only(Tensor, Tensor.clone, (args, kwargs))
    return copies


class _Masks:
    """The units of a model, numbered in the order of its calls, and the masks of all of them as binary numbers."""

    def __init__(self, batch: tuple[int, int]) -> None:
        self._batch = batch
        self._places: dict[tuple[str, int], tuple[int, Sequence[int]]] = {}  # call -> first unit, shape
        self._keep: list[Tensor] = []  # probability of keeping each unit, call by call
        self._total = 0
        self._open = True
        self._number: int | Tensor = -1

    def numbered(self, number: int | Tensor) -> GivenMasks:
        """Return a stream that gives mask ``number``: unit ``k`` is kept if bit ``k`` is set."""
        self._number = number
        return GivenMasks(self._give, self._batch)

    def close(self, most: int) -> None:
        """Take no more units."""
        if self._total > most:
            sites = ", ".join(f"{site!r}: {count:,}" for site, count in self.units().items())
            raise ConfigError(
                f"the model has {self._total:,} units that are dropped ({sites}), more than max_units={most}; use "
                "dropkit.predict"
            )
        self._open = False

    @property
    def count(self) -> int:
        """Number of masks."""
        return 1 << self._total

    def units(self) -> dict[str, int]:
        """Return the number of units by site."""
        found: dict[str, int] = {}
        for (site, _), (_, shape) in self._places.items():
            found[site] = found.get(site, 0) + math.prod(shape)
        return found

    def probabilities(self, numbers: Tensor) -> Tensor:
        """Return the probability of each mask, fp64."""
        keep = torch.cat([part.reshape(-1) for part in self._keep])
        bits = (numbers[:, None] >> torch.arange(self._total)) & 1
        return torch.where(bits.bool(), keep, 1.0 - keep).prod(dim=1)

    def _give(self, site: str, occurrence: int, shape: Sequence[int], rate: float | Tensor) -> Tensor:
        call = (site, occurrence)
        if call not in self._places and self._open:
            self._places[call] = (self._total, tuple(shape))
            self._keep.append((1.0 - torch.as_tensor(rate, dtype=torch.float64)).expand(tuple(shape)))
            self._total += math.prod(shape)
        first, known = self._places.get(call, (0, None))
        if known != tuple(shape):
            raise DataError(
                f"site {site!r} draws a mask of shape {tuple(shape)} in one pass and not in another; masks can be "
                "enumerated only where the model always draws the same ones"
            )
        if isinstance(self._number, int) and self._number < 0:
            return torch.ones(tuple(shape), dtype=torch.bool)
        bits = torch.arange(first, first + math.prod(shape))
        return ((self._number >> bits) & 1).bool().view(tuple(shape))


def _chunks(
    run: Callable[[int | Tensor], Tensor], masks: _Masks, made: Sampler
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield numbers of masks and the model's outputs under them."""
    size = max(1, min(_CHUNK, _MEMORY // max(made.memory, 1)))
    vmapped = True
    for first in range(0, masks.count, size):
        numbers = torch.arange(first, min(first + size, masks.count))
        if vmapped:
            try:
                values = torch.vmap(run)(numbers)
            except (RuntimeError, ValueError, TypeError, InputError):
                vmapped = False  # not for this model; the loop will raise what is wrong with more than that
        if not vmapped:
            values = torch.stack([run(number) for number in numbers.tolist()])
        made.check()
        yield numbers, values


def _tensor(value: Any) -> Tensor:
    if not isinstance(value, Tensor) or not value.is_floating_point():
        raise DataError(f"the model must return one floating-point tensor, got a {type(value).__name__}")
    return value


class _Sums:
    """Weighted moments of chunks of masks."""

    def __init__(self, task: Task | None, outputs: str) -> None:
        self._classes = task == "classification"
        self._logits = outputs == "logits"
        self._first = torch.zeros(())
        self._parts: list[Tensor] = []

    def add(self, values: Tensor, weights: Tensor) -> None:
        """Take outputs under some masks, shape ``(t, N, *out)``, and the masks' probabilities."""
        weights = weights.view(-1, *[1] * (values.ndim - 1))
        parts = []
        if self._classes:
            logs = values.log_softmax(-1) if self._logits else values.log()
            values = logs.exp()
            parts = [(weights[..., 0] * entropy(values)).sum(0), (weights * logs).sum(0)]
        if not self._parts:
            self._first = values[0].clone()
        shifted = values - self._first  # exactly 0 where masks do not matter
        parts = [(weights * shifted).sum(0), (weights * shifted.square()).sum(0), *parts]
        self._parts = [a + b for a, b in zip(self._parts, parts, strict=True)] if self._parts else parts

    def enumeration(self, units: dict[str, int], task: Task | None) -> Enumeration:
        """Return what all of them say."""
        shift, square, *rest = self._parts
        return Enumeration(self._first + shift, (square - shift.square()).clamp(min=0.0), units, task, *rest)
