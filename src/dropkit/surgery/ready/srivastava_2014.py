"""``srivastava-2014``: dropout as it was first published in full."""

from __future__ import annotations

from torch import nn

from dropkit.surgery.ready.entry import ReadyPlan
from dropkit.surgery.rules import Rule


def make(
    model: nn.Module | None, *, input_rate: float = 0.2, hidden_rate: float = 0.5, scaling: str = "train"
) -> list[Rule]:
    """Drop a fifth of the inputs and half of the hidden units."""
    options = {"scaling": scaling}
    return [
        Rule(at="input", rate=input_rate, options=options),
        Rule(at="hidden", rate=hidden_rate, options=options),
    ]


PLAN = ReadyPlan(
    name="srivastava-2014",
    paper='Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", JMLR 15, 2014, '
    "appendix A.4",
    needs="a floating-point input and activations; functional ones need example_inputs",
    make=make,
    notes=(
        "srivastava-2014: the paper also limits the norm of each unit's incoming weights to c = 3 or 4, and trains "
        "larger layers with a larger learning rate and momentum 0.95 to 0.99; in a study, [train] max_norm = 3",
        "srivastava-2014: kept values are multiplied by 1 / (1 - rate) in training, where the paper multiplies weights "
        "by 1 - rate afterwards: scaling='test'",
    ),
)
