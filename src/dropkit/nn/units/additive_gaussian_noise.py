"""Additive Gaussian noise as a module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dropkit.core import Variant, register
from dropkit.ops import additive_gaussian_noise
from dropkit.ops.units.additive_gaussian_noise import check_deviation


class AdditiveGaussianNoise(nn.Module):
    """Module form of :func:`dropkit.ops.additive_gaussian_noise`, active only in training mode.

    Args:
        deviation: Standard deviation of the noise, in the unit of its input, at least 0. It may be set at any time,
            and is checked then.
        site: Name under which an active stream counts its calls. None: the next unnamed call.

    Raises:
        DeviationError: ``deviation`` is negative, not finite or no number.
    """

    def __init__(self, deviation: float, *, site: str | None = None) -> None:
        super().__init__()
        self.deviation = deviation
        self.site = site

    @property
    def deviation(self) -> float:
        """Standard deviation of the noise."""
        return self._deviation

    @deviation.setter
    def deviation(self, value: float) -> None:
        self._deviation = float(check_deviation(value))

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, of any shape."""
        return additive_gaussian_noise(x, self.deviation, training=self.training, site=self.site)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return f"deviation={self.deviation:g}" + ("" if self.site is None else f", site={self.site!r}")


register(
    Variant(
        name="additive_gaussian_noise",
        family="unit noise",
        kind="op",
        op=additive_gaussian_noise,
        module=AdditiveGaussianNoise,
        paper='Bishop, "Training with Noise is Equivalent to Tikhonov Regularization", Neural Computation 7, 1995, '
        "doi:10.1162/neco.1995.7.1.108",
        year=1995,
        law="x + deviation z, z standard normal; mean x, variance deviation^2",
        at=("input", "hidden", "fc", "conv"),
        default_rate=None,
        samples=True,
        example=lambda: (AdditiveGaussianNoise(0.5), torch.ones(8, 16)),
    )
)
