"""What modules with learned noise have in common: a penalty that the loss has to contain."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from dropkit.core import InputError, OptionError


class PenaltyError(InputError, RuntimeError):
    """A penalty is asked for that no forward pass has computed yet."""


class Penalised(nn.Module, ABC):
    """A module whose noise is trained against a penalty, its divergence from a prior.

    Add ``dropkit.objectives.penalty(model)`` to the loss; it sums ``penalty()`` over a model.
    """

    _seen: Any = None  # what the penalty needs of the latest forward pass in training mode, with gradients

    @abstractmethod
    def penalty(self) -> Tensor:
        """Return the penalty as a 0-d tensor that carries gradients."""

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to one forward pass: its tensors carry a graph, and cannot be copied."""
        return {name: value for name, value in self.__dict__.items() if name != "_seen"}

    def _remember(self, seen: Any) -> None:
        """Keep what the penalty needs of this forward pass, unless it is a prediction, or inside a transform."""
        if torch.is_grad_enabled() and (torch.compiler.is_compiling() or not in_transform()):
            self._seen = seen

    def _latest(self) -> Any:
        if self._seen is None:
            raise PenaltyError(
                f"{type(self).__name__}.penalty() depends on the input; call the module in training mode first"
            )
        return self._seen


def in_transform() -> bool:
    """Whether a ``torch.func`` transform is running, whose tensors must not outlive it."""
    return torch._C._functorch.maybe_current_level() is not None


def check_weight(name: str, value: float) -> None:
    """Raise ``OptionError`` unless ``value`` is finite and at least 0."""
    if not 0.0 <= value < float("inf"):
        raise OptionError(f"{name} must be at least 0, got {value!r}")
