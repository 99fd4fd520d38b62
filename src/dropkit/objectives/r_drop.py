"""R-Drop: two passes with different masks should predict the same."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dropkit.core import Variant, register
from dropkit.objectives.outputs import check_coefficient, check_outputs


def r_drop(x: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """Return the mean of ``(KL(p || q) + KL(q || p)) / 2`` between the predictions of two passes, in nats.

    ``p = softmax(x)`` and ``q = softmax(other)`` over the classes; both get gradients. It is ``sum((p - q) * (log p -
    log q)) / 2``, at least 0, and 0 only where they are equal. Computed in fp32 (fp64 for fp64).

    Args:
        x: Logits of the first pass, finite, classes along ``dim``.
        other: Logits of the second pass, of the same shape.
        dim: Axis of the classes: -1, or 1 for the ``(N, C, *)`` of ``cross_entropy``.

    Returns:
        A 0-d tensor of the dtype of ``x``: the mean over everything but the classes.

    Raises:
        DtypeError: An input is not floating point.
        ShapeError: The shapes differ, or there is no sample.

    Reference:
        Liang et al., "R-Drop: Regularized Dropout for Neural Networks", NeurIPS 2021, arXiv:2106.14448, eq. (2).
        Some implementations differ by a factor: a quarter where the two cross-entropies are averaged, not summed.
    """
    check_outputs("r_drop", x, other, axes=2)
    wide = torch.promote_types(x.dtype, torch.float32)
    log_p, log_q = x.to(wide).log_softmax(dim), other.to(wide).log_softmax(dim)
    mean = ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(dim).mean()
    return (0.5 * mean).to(x.dtype)


class RDrop(nn.Module):
    """Module form of :func:`dropkit.objectives.r_drop`, times ``alpha``.

    ``SecondPass(RDrop(alpha), torch.nn.functional.cross_entropy)`` adds what the paper's loss has beyond the
    cross-entropy of the first pass, eq. (4): ``-log p(y) - log q(y) + alpha * (KL(p || q) + KL(q || p)) / 2``.

    Args:
        alpha: Coefficient, at least 0; the paper's are between 0.1 and 5.

    Raises:
        OptionError: ``alpha`` is negative or not finite.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = check_coefficient("alpha", alpha)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """Return the penalty of two passes' logits, both of shape ``(*, C)``."""
        return self.alpha * r_drop(x, other)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return f"alpha={self.alpha:g}"


register(
    Variant(
        name="r_drop",
        family="objectives",
        kind="objective",
        op=r_drop,
        module=RDrop,
        paper='Liang et al., "R-Drop: Regularized Dropout for Neural Networks", NeurIPS 2021, arXiv:2106.14448',
        year=2021,
        law="alpha (KL(p || q) + KL(q || p)) / 2 between the predictions of two passes with different masks",
        at=(),
        default_rate=None,
        samples=False,
        example=lambda: (RDrop(5.0), (torch.linspace(-1.0, 1.0, 12).view(4, 3), torch.ones(4, 3))),
    )
)
