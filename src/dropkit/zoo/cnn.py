"""A small convolutional network."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from dropkit.core import ConfigError
from dropkit.zoo.options import check_counts, check_flag, check_image


class CNN(nn.Module):
    """Blocks of 3x3 convolution, batch norm (if asked for), ReLU and 2x2 max pooling, then two linear layers.

    Its layers are ``features.conv1``, ``features.norm1``, ``features.relu1``, ``features.pool1``, ...,
    ``classifier.fc``, ``classifier.relu``, ``classifier.out``. Convolutions keep the size of the image; a block
    pools only while both sides are at least 4, so that any image will do (8x8: two poolings; 28x28, 32x32: three).

    Args:
        input_shape: ``(C, H, W)`` of one image.
        outputs: Classes, or target columns.
        widths: Channels of each block; at least one.
        batch_norm: Whether a block normalises between convolution and ReLU.
        hidden: Units of the hidden linear layer.

    Raises:
        ShapeError: the input is not an image.
        ConfigError: an option has an illegal value.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        outputs: int,
        *,
        widths: Sequence[int] = (32, 64),
        batch_norm: bool = False,
        hidden: int = 128,
    ) -> None:
        super().__init__()
        channels, height, width = check_image("cnn", input_shape)
        if not check_counts("widths", widths):
            raise ConfigError("widths must have at least one block, got none")
        (hidden,) = check_counts("hidden", [hidden])
        check_flag("batch_norm", batch_norm)
        features: OrderedDict[str, nn.Module] = OrderedDict()
        for i, block in enumerate(widths, start=1):
            features[f"conv{i}"] = nn.Conv2d(channels, block, 3, padding=1, bias=not batch_norm)
            if batch_norm:
                features[f"norm{i}"] = nn.BatchNorm2d(block)
            features[f"relu{i}"] = nn.ReLU()
            if min(height, width) >= 4:
                features[f"pool{i}"] = nn.MaxPool2d(2)
                height, width = height // 2, width // 2
            channels = block
        self.features = nn.Sequential(features)
        self.classifier = nn.Sequential(
            OrderedDict(
                fc=nn.Linear(channels * height * width, hidden),
                relu=nn.ReLU(),
                out=nn.Linear(hidden, outputs),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to logits or predictions, ``(N, outputs)``."""
        y: Tensor = self.classifier(self.features(x).flatten(1))
        return y
