"""Terms of a loss that need another pass of the model, as ``train.fit`` takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from dropkit.core import OptionError

Pair = Callable[[Tensor, Tensor], Tensor]


class SecondPass:
    """``extra_loss(model, x, y, outputs)``: calls the model again, with new masks, and compares.

    It returns ``penalty(outputs, second)``, and with ``loss`` also what the second pass's loss contributes. Under a
    stream the second pass draws its masks as later calls of the same sites. A model without random layers gives
    two equal passes. Batch norm sees the batch twice.

    Args:
        penalty: From the outputs of both passes to a 0-d tensor, such as :class:`dropkit.objectives.RDrop`.
        loss: From outputs and targets to the loss of a pass, such as ``torch.nn.functional.cross_entropy``; it must
            be the one that the loop computes. None: the second pass has no loss of its own.
        reduce: ``"sum"``: the total is ``loss(outputs) + loss(second) + penalty``; ``"mean"``: it is
            ``(loss(outputs) + loss(second)) / 2 + penalty``.

    Raises:
        OptionError: ``reduce`` is neither word.
    """

    def __init__(
        self, penalty: Pair, loss: Pair | None = None, *, reduce: Literal["sum", "mean"] = "sum"
    ) -> None:
        if reduce not in ("sum", "mean"):
            raise OptionError(f"reduce must be 'sum' or 'mean', got {reduce!r}")
        self.penalty = penalty
        self.loss = loss
        self.reduce = reduce

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, outputs: Tensor) -> Tensor:
        """Return what is to be added to the loss of ``outputs``."""
        second = model(x)
        total = self.penalty(outputs, second)
        if self.loss is None:
            return total
        if self.reduce == "sum":
            return total + self.loss(second, y)
        return total + 0.5 * (self.loss(second, y) - self.loss(outputs, y))

    def __repr__(self) -> str:
        name = getattr(self.loss, "__name__", repr(self.loss))
        return f"SecondPass({self.penalty!r}, {name}, reduce={self.reduce!r})"


class EvalPass:
    """``extra_loss(model, x, y, outputs)``: calls the model in eval mode, and compares.

    It returns ``penalty(outputs, quiet)``. Flags of training and evaluation are afterwards as before. Batch norm uses
    its running statistics in that pass, and does not change them; their distance from the batch's is part of the gap.

    Args:
        penalty: From the outputs with and without dropout to a 0-d tensor, such as
            :class:`dropkit.objectives.ExpectationLinear`.
    """

    def __init__(self, penalty: Pair) -> None:
        self.penalty = penalty

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, outputs: Tensor) -> Tensor:
        """Return what is to be added to the loss of ``outputs``."""
        flags = [(module, module.training) for module in model.modules()]
        model.eval()
        try:
            quiet = model(x)
        finally:
            for module, training in flags:
                module.training = training
        return self.penalty(outputs, quiet)

    def __repr__(self) -> str:
        return f"EvalPass({self.penalty!r})"
