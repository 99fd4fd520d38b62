"""Fraternal dropout: two passes with different masks should have the same logits."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dropkit.core import Variant, register
from dropkit.objectives.outputs import check_coefficient, check_outputs


def fraternal_dropout(x: Tensor, other: Tensor) -> Tensor:
    """Return the mean of ``(x - other)**2`` over all elements of the outputs of two passes.

    For outputs of ``m`` numbers a sample that is ``||x - other||**2 / m``. Over masks its mean is twice the mean
    variance of an output. Computed in fp32 (fp64 for fp64).

    Args:
        x: Outputs of the first pass before the softmax, shape ``(N, *)``.
        other: Those of the second pass, of the same shape.

    Returns:
        A 0-d tensor of the dtype of ``x``.

    Raises:
        DtypeError: An input is not floating point.
        ShapeError: The shapes differ, or there is no sample.

    Reference:
        Zolna et al., "Fraternal Dropout", ICLR 2018, arXiv:1711.00066, sec. 2.
    """
    check_outputs("fraternal_dropout", x, other)
    wide = torch.promote_types(x.dtype, torch.float32)
    return (x.to(wide) - other.to(wide)).square().mean().to(x.dtype)


class FraternalDropout(nn.Module):
    """Module form of :func:`dropkit.objectives.fraternal_dropout`, times ``kappa``.

    ``SecondPass(FraternalDropout(kappa), loss, reduce="mean")`` makes the paper's objective of a run: the mean of
    the losses of both passes, plus this.

    Args:
        kappa: Coefficient, at least 0.

    Raises:
        OptionError: ``kappa`` is negative or not finite.
    """

    def __init__(self, kappa: float = 0.1) -> None:
        super().__init__()
        self.kappa = check_coefficient("kappa", kappa)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """Return the penalty of two passes' outputs, both of shape ``(N, *)``."""
        return self.kappa * fraternal_dropout(x, other)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return f"kappa={self.kappa:g}"


register(
    Variant(
        name="fraternal_dropout",
        family="objectives",
        kind="objective",
        op=fraternal_dropout,
        module=FraternalDropout,
        paper='Zolna et al., "Fraternal Dropout", ICLR 2018, arXiv:1711.00066',
        year=2018,
        law="kappa mean((x - z)^2) between the logits of two passes with different masks",
        at=(),
        default_rate=None,
        samples=False,
        example=lambda: (FraternalDropout(0.1), (torch.linspace(-1.0, 1.0, 12).view(4, 3), torch.ones(4, 3))),
    )
)
