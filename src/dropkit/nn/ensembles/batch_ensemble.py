"""BatchEnsemble: members that differ from a shared layer by a matrix of rank one each."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from dropkit.core import ModuleError, OptionError, ShapeError, Variant, register
from dropkit.ops.ensembles.rows import row_members


class BatchEnsemble(nn.Module):
    """A linear or convolution layer as an ensemble: member ``m`` has the weight ``W * outer(r[m], s[m])``.

    It computes ``y = r[m] * (W (s[m] * x)) + bias + b[m]`` for a row of member ``m``, at the cost of one layer. Members
    take turns over the rows of a batch, in training and in eval mode; see :class:`dropkit.nn.Masksembles` for how to
    predict. The layer itself stays as it is.

    Args:
        layer: ``nn.Linear`` or ``nn.Conv1d/2d/3d``: the shared ("slow") weight.
        members: Number of members, at least 1.
        init: ``"signs"``: the factors start as +1 or -1, each as likely; ``"normal"``: around 1 with deviation 0.5.
            Drawn from PyTorch's global generator, as all initial weights are.
        site: Name of the site.

    Attributes:
        inputs: ``s``, a parameter of shape ``(members, in)``.
        outputs: ``r``, a parameter of shape ``(members, out)``.
        bias: ``b``, a parameter of shape ``(members, out)``, zero at first; None where the layer has no bias.

    Raises:
        ModuleError: ``layer`` is of another type, or has groups.
        OptionError: ``members`` is below 1, or ``init`` is neither word.

    Reference:
        Wen et al., "BatchEnsemble: an Alternative Approach to Efficient Ensemble and Lifelong Learning", ICLR 2020,
        arXiv:2002.06715, eq. (1) and (5), app. B for the initial values. *Departures*: members take turns over the rows
        (theirs: contiguous groups), and follow the stream's ``member``.
    """

    def __init__(
        self,
        layer: nn.Module,
        members: int,
        init: Literal["signs", "normal"] = "signs",
        *,
        site: str | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            raise ModuleError(f"BatchEnsemble needs Linear or Conv1d/2d/3d, got {type(layer).__name__}")
        if getattr(layer, "groups", 1) != 1:
            raise ModuleError(f"BatchEnsemble needs a convolution without groups, got groups={layer.groups}")
        if isinstance(members, bool) or not isinstance(members, int) or members < 1:
            raise OptionError(f"members must be a whole number of at least 1, got {members!r}")
        if init not in ("signs", "normal"):
            raise OptionError(f"init must be 'signs' or 'normal', got {init!r}")
        self.layer = layer
        self.site = site
        self.linear = isinstance(layer, nn.Linear)
        weight = layer.weight
        self.axes = weight.ndim
        sizes = weight.shape[1], weight.shape[0]
        self.inputs, self.outputs = (
            nn.Parameter(_start(weight.detach().new_empty(members, size), init)) for size in sizes
        )
        self.bias = None if layer.bias is None else nn.Parameter(weight.detach().new_zeros(members, sizes[1]))

    @property
    def members(self) -> int:
        """Number of members."""
        return self.inputs.shape[0]

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(N, *, in)`` for a linear layer, ``(N, in, *)`` for a convolution."""
        if x.ndim < 2 or (not self.linear and x.ndim != self.axes):
            layout = "(N, *, in)" if self.linear else f"(N, in, *) with {self.axes} axes"
            raise ShapeError(f"BatchEnsemble needs shape {layout}, got {tuple(x.shape)}")
        member = row_members(x.shape[0], self.members, x.device, self.site)
        scaled = x * self._spread(self.inputs[member], x)
        if self.bias is None:
            y: Tensor = self.layer(scaled)
            return y * self._spread(self.outputs[member], x)
        own: Tensor = self.layer.bias  # type: ignore[assignment]
        y = functional_call(self.layer, {"bias": torch.zeros_like(own)}, (scaled,))
        return y * self._spread(self.outputs[member], x) + self._spread(own + self.bias[member], x)

    def _spread(self, rows: Tensor, x: Tensor) -> Tensor:
        """Return ``(N, features)`` with axes of length 1 in the place of those of ``x`` that are no features."""
        ones = [1] * (x.ndim - 2)
        shape = (*ones, rows.shape[1]) if self.linear else (rows.shape[1], *ones)
        return rows.view(rows.shape[0], *shape)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return f"members={self.members}" + ("" if self.site is None else f", site={self.site!r}")


def _start(values: Tensor, init: str) -> Tensor:
    if init == "normal":
        return nn.init.normal_(values, mean=1.0, std=0.5)
    return torch.where(nn.init.uniform_(values) < 0.5, -torch.ones_like(values), 1.0)


register(
    Variant(
        name="batch_ensemble",
        family="ensembles",
        kind="ensemble",
        op=None,
        module=BatchEnsemble,
        paper='Wen et al., "BatchEnsemble", ICLR 2020, arXiv:2002.06715',
        year=2020,
        law="member m has the weight W * outer(r[m], s[m]) and a bias of its own; nothing is dropped",
        at=("fc", "conv"),
        default_rate=None,
        samples=True,
        example=lambda: (BatchEnsemble(nn.Linear(6, 6), 4), torch.linspace(-1.0, 2.0, 48).view(8, 6)),
    )
)
