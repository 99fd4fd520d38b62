"""Multi-sample dropout: a head that sees several dropped copies of its input."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from dropkit.core import OptionError, ShapeError, Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops.drop import drop
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input


class MultiSampleDropout(RateModule):
    """A head applied to ``samples`` copies of its input, each with a dropout mask of its own, in training.

    The head's parameters are shared and its ``state_dict`` stays as it is; what comes before it runs once. In eval
    mode it is the head.

    Args:
        head: Maps ``(M, *)`` to ``(M, *)``, such as the last linear layer.
        rate: Probability of dropping an element of the input, in ``[0, 1]``.
        samples: Number of copies, at least 1.
        reduce: ``"mean"``: the mean of the copies' outputs, shape ``(N, *)``. ``"none"``: all of them, shape
            ``(samples, N, *)``, for the paper's loss, the mean of the losses of the copies.
        site: Name under which an active stream counts its calls.

    Raises:
        OptionError: ``samples`` is below 1, or ``reduce`` is neither word.

    Reference:
        Inoue, "Multi-Sample Dropout for Accelerated Training and Better Generalization", 2019, arXiv:1905.09788,
        sec. 3. *Departures*: the mean of the outputs by default (theirs: of the losses).
    """

    def __init__(
        self,
        head: nn.Module,
        rate: Rate,
        samples: int = 8,
        reduce: Literal["mean", "none"] = "mean",
        *,
        site: str | None = None,
    ) -> None:
        super().__init__(rate, site=site)
        if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
            raise OptionError(f"samples must be a whole number of at least 1, got {samples!r}")
        if reduce not in ("mean", "none"):
            raise OptionError(f"reduce must be 'mean' or 'none', got {reduce!r}")
        self.head = head
        self.samples = samples
        self.reduce = reduce

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(N, *)``."""
        used = check_input("multi_sample_dropout", x, self.rate, training=self.training)
        if x.ndim == 0:
            raise ShapeError("multi_sample_dropout needs a batch axis, shape (N, *), got a 0-d tensor")
        if not self.training:
            y: Tensor = self.head(x)
            return y
        copies = x.unsqueeze(1).expand(-1, self.samples, *x.shape[1:])
        dropped = drop(copies, used, None, generator=None, site=self.site).transpose(0, 1)
        outputs: Tensor = self.head(dropped.flatten(0, 1)).unflatten(0, (self.samples, x.shape[0]))
        return outputs.mean(dim=0) if self.reduce == "mean" else outputs

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return f"{super().extra_repr()}, samples={self.samples}, reduce={self.reduce!r}"


register(
    Variant(
        name="multi_sample_dropout",
        family="ensembles",
        kind="ensemble",
        op=None,
        module=MultiSampleDropout,
        paper='Inoue, "Multi-Sample Dropout", 2019, arXiv:1905.09788',
        year=2019,
        law="mean over copies of head(x with each element 0 with probability rate, else x / (1 - rate))",
        at=("fc",),
        default_rate=0.5,
        samples=True,
        example=lambda: (
            MultiSampleDropout(nn.Linear(6, 6), 0.5, 4),
            torch.linspace(-1.0, 2.0, 48).view(8, 6),
        ),
    )
)
