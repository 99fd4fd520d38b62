"""The multilayer perceptron."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from dropkit.zoo.options import check_counts


class MLP(nn.Module):
    """Linear layers with a ReLU after each but the last: ``layers.fc1``, ``layers.relu1``, ..., ``layers.out``.

    Args:
        input_shape: Shape of one input, which is flattened.
        outputs: Classes, or target columns.
        widths: Units of each hidden layer; none at all makes a linear model.

    Raises:
        ConfigError: a width is not a positive integer.
    """

    def __init__(
        self, input_shape: Sequence[int], outputs: int, *, widths: Sequence[int] = (512, 512)
    ) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        previous = math.prod(input_shape)
        for i, width in enumerate(check_counts("widths", widths), start=1):
            layers[f"fc{i}"] = nn.Linear(previous, width)
            layers[f"relu{i}"] = nn.ReLU()
            previous = width
        layers["out"] = nn.Linear(previous, outputs)
        self.layers = nn.Sequential(layers)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, *input_shape)`` to logits or predictions, ``(N, outputs)``."""
        y: Tensor = self.layers(x.flatten(1))
        return y
