"""Excitation dropout as a module, in front of the layers whose decision it looks at."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.nn.plastic.evidence import check_head, evidence
from dropkit.ops import excitation_dropout
from dropkit.ops.rate import Rate


class ExcitationDropout(RateModule):
    """Wrap the last layers of a classifier: units of their input with much evidence are dropped more often.

    In training ``head(excitation_dropout(x, rate, evidence))``, the evidence being the marginal winning probability
    that excitation backprop through ``head`` gives each unit of ``x`` for the target class; see
    :func:`dropkit.ops.excitation_dropout` for the law. In eval mode ``head(x)``.

    Args:
        head: ``nn.Sequential`` of linear, convolution, pooling, flatten and activation layers, from features that are
            not negative to class scores.
        rate: Base rate, in ``[0, 1]``.
        site: Name under which an active stream counts its calls.

    Raises:
        ModuleError: ``head`` has a layer that evidence cannot pass.

    Reference:
        Zunino et al., "Excitation Dropout: Encouraging Plasticity in Deep Neural Networks", IJCV 129 (2021), sec. 3,
        arXiv:1805.09092. *Departures*: without a target, the evidence is that for the predicted class.
    """

    def __init__(self, head: nn.Module, rate: Rate = 0.5, *, site: str | None = None) -> None:
        check_head(head)
        super().__init__(rate, site=site)
        self.head = head

    def forward(self, x: Tensor, target: Tensor | None = None) -> Tensor:
        """Return class scores of features ``x``, shape ``(N, *)``, whose classes are ``target``, shape ``(N,)``."""
        if self.training:
            found = evidence(self.head, x, target)
            x = excitation_dropout(x, self.rate, found, training=True, site=self.site)
        scores: Tensor = self.head(x)
        return scores


def _classifier() -> tuple[nn.Module, Tensor]:
    inner, outer = nn.Linear(16, 8), nn.Linear(8, 16)
    with torch.no_grad():  # so that every unit has some evidence, and some more than others
        inner.weight.copy_(torch.linspace(0.0, 1.0, 128).view(8, 16))
        outer.weight.copy_(torch.linspace(-1.0, 1.0, 128).view(16, 8))
    return ExcitationDropout(nn.Sequential(inner, nn.ReLU(), outer)), torch.linspace(0.1, 2.0, 128).view(
        8, 16
    )


register(
    Variant(
        name="excitation_dropout",
        family="biologically inspired",
        kind="wrapper",
        op=excitation_dropout,
        module=ExcitationDropout,
        paper=(
            'Zunino et al., "Excitation Dropout: Encouraging Plasticity in Deep Neural Networks", IJCV 129 (2021), '
            "arXiv:1805.09092"
        ),
        year=2021,
        law="share e of the evidence, n units: 0 with probability rate (n-1) e / ((rate n - 1) e + 1 - rate)",
        at=("hidden", "fc"),
        default_rate=0.5,
        samples=False,
        example=_classifier,
    )
)
