"""``alexnet-2012``: dropout after the first two fully connected layers."""

from __future__ import annotations

from torch import nn

from dropkit.core import NoMatchError
from dropkit.surgery.ready.entry import ReadyPlan
from dropkit.surgery.rules import Rule
from dropkit.surgery.tree import Tree


def make(model: nn.Module | None, *, rate: float = 0.5, scaling: str = "train") -> list[Rule]:
    """Drop half of what the first two of at least three Linear modules return."""
    if model is None:
        return [Rule(at="fc", rate=rate, options={"scaling": scaling})]
    linears = [name for name, module in Tree(model).modules.items() if isinstance(module, nn.Linear)]
    if len(linears) < 3:
        found = ", ".join(repr(name) for name in linears) or "none"
        raise NoMatchError(f"the model has {len(linears)} of three fully connected layers ({found})")
    return [Rule(at=tuple(linears[:2]), rate=rate, options={"scaling": scaling})]


PLAN = ReadyPlan(
    name="alexnet-2012",
    paper='Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks", NeurIPS 2012, '
    "sec. 4.2",
    needs="at least three nn.Linear, of which the last one is the output",
    make=make,
    notes=(
        "alexnet-2012: units are dropped before their ReLU, which is the same as after it; kept values are multiplied "
        "by 1 / (1 - rate) in training, where the paper multiplies outputs by 0.5 in testing: scaling='test'",
    ),
)
