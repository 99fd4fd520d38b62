"""AlexNet, scalable in width and in the size of its input; its dropout is a plan, not a part of it."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor, nn

from dropkit.core import ConfigError, ShapeError
from dropkit.zoo.options import check_image, check_positive

MIN_SIZE, MAX_SIZE = 28, 224
_CONV = (96, 256, 384, 384, 256)
_FC = 4096
_POOLED = (1, 2, 5)  # convolutions that a 3x3 pooling with stride 2 follows


class AlexNet(nn.Module):
    """Five convolutions and three linear layers, with a ReLU after each but the last.

    Its layers are ``features.conv1``, ``features.relu1``, ``features.pool1``, ..., ``features.pool5``,
    ``classifier.fc6``, ``classifier.relu6``, ``classifier.fc7``, ``classifier.relu7``, ``classifier.fc8``.

    The first convolution depends on the shorter side of the image: from 128, 11x11 with stride 4, as published;
    from 64, 7x7 with stride 2; from 28, 5x5 with stride 1. All else is as published, and the last feature
    map is 2 to 7 on the shorter side.

    Args:
        input_shape: ``(C, H, W)`` of one image, both sides 28 to 224.
        outputs: Classes, or target columns.
        width: Factor on the published widths: 96, 256, 384, 384, 256 channels and 4096, 4096 units.
        init: ``"he"``: normal weights of variance ``2 / fan_in``, biases 0. ``"original"``: normal weights of
            standard deviation 0.01, biases 1 in conv2, conv4, conv5, fc6 and fc7 and 0 elsewhere. The published
            one suits the published size; at a reduced width it shrinks the signal from layer to layer.

    Raises:
        ShapeError: the input is not an image, or is too small or too large.
        ConfigError: an option has an illegal value.

    Reference:
        Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks",
        NIPS 2012, section 3. Departures: no local response normalisation; no grouping of channels over two
        GPUs; padding of 2 in conv1 (so that 224 gives the published 55x55); ``init="he"`` by default.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        outputs: int,
        *,
        width: float = 1.0,
        init: Literal["he", "original"] = "he",
    ) -> None:
        super().__init__()
        channels, *sides = check_image("alexnet", input_shape)
        factor = check_positive("width", width)
        if init not in ("he", "original"):
            raise ConfigError(f"init must be 'he' or 'original', got {init!r}")
        if not all(MIN_SIZE <= side <= MAX_SIZE for side in sides):
            raise ShapeError(
                f"alexnet takes images of {MIN_SIZE} to {MAX_SIZE} on a side, got {sides[0]}x{sides[1]};"
                " resize them, or use model 'cnn'"
            )
        features: OrderedDict[str, nn.Module] = OrderedDict()
        shapes = [_first(min(sides)), (5, 1, 2), (3, 1, 1), (3, 1, 1), (3, 1, 1)]
        for i, (base, (kernel, stride, padding)) in enumerate(zip(_CONV, shapes, strict=True), start=1):
            block = _scaled(base, factor)
            features[f"conv{i}"] = nn.Conv2d(channels, block, kernel, stride, padding)
            features[f"relu{i}"] = nn.ReLU()
            sides = [(side + 2 * padding - kernel) // stride + 1 for side in sides]
            if i in _POOLED:
                features[f"pool{i}"] = nn.MaxPool2d(3, 2)
                sides = [(side - 3) // 2 + 1 for side in sides]
            channels = block
        units = _scaled(_FC, factor)
        self.features = nn.Sequential(features)
        self.classifier = nn.Sequential(
            OrderedDict(
                fc6=nn.Linear(channels * math.prod(sides), units),
                relu6=nn.ReLU(),
                fc7=nn.Linear(units, units),
                relu7=nn.ReLU(),
                fc8=nn.Linear(units, outputs),
            )
        )
        self._initialise(init)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to logits or predictions, ``(N, outputs)``."""
        y: Tensor = self.classifier(self.features(x).flatten(1))
        return y

    def _initialise(self, init: str) -> None:
        ones = ("conv2", "conv4", "conv5", "fc6", "fc7")
        for name, layer in self.named_modules():
            if not isinstance(layer, nn.Conv2d | nn.Linear):
                continue
            if init == "he":
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            else:
                nn.init.normal_(layer.weight, std=0.01)
            if layer.bias is not None:
                nn.init.constant_(layer.bias, float(init == "original" and name.endswith(ones)))


def alexnet_plan_rules(scaling: Literal["train", "test"] = "test", rate: float = 0.5) -> list[dict[str, Any]]:
    """Return the published dropout as rules of a plan: on the inputs of the first two linear layers.

    Args:
        scaling: ``"test"``: outputs are multiplied by the retention probability at test time, as published.
            ``"train"``: the survivors are scaled up while training.
        rate: Probability of dropping; 0.5 as published.

    Reference:
        Krizhevsky, Sutskever and Hinton, NIPS 2012, section 4.2.
    """
    return [
        {
            "at": ["classifier.fc6", "classifier.fc7"],
            "on": "input",
            "variant": "dropout",
            "rate": rate,
            "options": {"scaling": scaling},
        }
    ]


def _first(side: int) -> tuple[int, int, int]:
    """Return kernel, stride and padding of the first convolution for images of this size."""
    if side >= 128:
        return 11, 4, 2
    return (7, 2, 3) if side >= 64 else (5, 1, 2)


def _scaled(base: int, factor: float) -> int:
    return max(1, round(base * factor))
