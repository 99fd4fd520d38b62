"""SimCSE: a sample's two passes should be nearer to each other than to other samples."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dropkit.core import Variant, register
from dropkit.objectives.outputs import check_coefficient, check_outputs


def simcse_pairs(x: Tensor, other: Tensor, *, temperature: float = 0.05) -> Tensor:
    """Return the mean of ``-log(exp(s[i, i] / t) / sum_j exp(s[i, j] / t))``, over a batch's embeddings.

    ``s[i, j]`` is the cosine of ``x[i]`` and ``other[j]``: the cross-entropy, in nats, of finding a sample's second
    embedding among those of the batch, ``log(N)`` where all are equal. Only ``x`` looks for ``other``, not the other
    way round. Computed in fp32 (fp64 for fp64).

    Args:
        x: Embeddings of the first pass, shape ``(N, D)``, none of them zero.
        other: Those of the second pass, of the same shape.
        temperature: ``t``, above 0.

    Returns:
        A 0-d tensor of the dtype of ``x``.

    Raises:
        DtypeError: An input is not floating point.
        ShapeError: The shapes differ, are not ``(N, D)``, or there is no sample.
        OptionError: ``temperature`` is not above 0.

    Reference:
        Gao et al., "SimCSE: Simple Contrastive Learning of Sentence Embeddings", EMNLP 2021, arXiv:2104.08821, eq. (4).
    """
    check_outputs("simcse_pairs", x, other, axes=2)
    check_coefficient("temperature", temperature, positive=True)
    wide = torch.promote_types(x.dtype, torch.float32)
    a, b = F.normalize(x.to(wide).flatten(1), dim=1), F.normalize(other.to(wide).flatten(1), dim=1)
    return F.cross_entropy(a @ b.T / temperature, torch.arange(len(a), device=a.device)).to(x.dtype)


class SimCSEPairs(nn.Module):
    """Module form of :func:`dropkit.objectives.simcse_pairs`.

    Args:
        temperature: Of the softmax, above 0; the paper's is 0.05.
        weight: Coefficient, at least 0.

    Raises:
        OptionError: A number is outside its range.
    """

    def __init__(self, temperature: float = 0.05, weight: float = 1.0) -> None:
        super().__init__()
        self.temperature = check_coefficient("temperature", temperature, positive=True)
        self.weight = check_coefficient("weight", weight)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """Return the loss of two passes' embeddings, both of shape ``(N, D)``."""
        return self.weight * simcse_pairs(x, other, temperature=self.temperature)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return f"temperature={self.temperature:g}, weight={self.weight:g}"


register(
    Variant(
        name="simcse_pairs",
        family="objectives",
        kind="objective",
        op=simcse_pairs,
        module=SimCSEPairs,
        paper='Gao et al., "SimCSE", EMNLP 2021, arXiv:2104.08821',
        year=2021,
        law="cross-entropy of finding a sample's second pass among those of the batch, by cosine over temperature",
        at=(),
        default_rate=None,
        samples=False,
        example=lambda: (SimCSEPairs(), (torch.linspace(-1.0, 1.0, 12).view(4, 3), torch.eye(4, 3) + 0.1)),
    )
)
