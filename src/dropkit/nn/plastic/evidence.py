"""Excitation backprop: how much each unit contributed to a prediction, as a probability."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dropkit.core import ModuleError, ShapeError
from dropkit.nn.learned.local_noise import LINEAR, linear_map
from dropkit.nn.module import RateModule

_AVERAGES = (
    nn.AvgPool1d,
    nn.AvgPool2d,
    nn.AvgPool3d,
    nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveAvgPool3d,
)
_SELECTIONS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.Flatten)
_ELEMENTWISE = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Softplus, nn.Sigmoid)
_DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
_ABSENT: tuple[type[nn.Module], ...] = (nn.Identity, *_DROPOUT, RateModule)

_KNOWN = (*LINEAR, *_AVERAGES, *_SELECTIONS, *_ELEMENTWISE, *_ABSENT)


def check_head(head: nn.Module) -> list[nn.Module]:
    """Return the layers of ``head`` in order, or raise ``ModuleError`` naming one that evidence cannot pass."""
    if isinstance(head, nn.Sequential):
        return [layer for part in head for layer in check_head(part)]
    if not isinstance(head, _KNOWN):
        raise ModuleError(
            f"evidence passes nn.Sequential of linear, convolution, pooling, flatten and activation layers, got "
            f"{type(head).__name__}"
        )
    return [head]


def evidence(head: nn.Module, x: Tensor, target: Tensor | None = None) -> Tensor:
    """Return the marginal winning probability of each unit of ``x`` for the class ``target``, shape of ``x``.

    From the class downwards, a unit passes its probability on to those it was driven by: in proportion to
    ``max(w, 0) * max(a, 0)``, weight times activation. So it sums to 1 in a sample, where no winner was without a
    positive input. Dropout layers of ``head`` count as absent.

    Args:
        head: Layers from ``x`` to class scores ``(N, classes)``.
        x: Features, shape ``(N, *)``.
        target: Classes, shape ``(N,)``. None: the predicted ones.

    Raises:
        ModuleError: ``head`` has a layer that evidence cannot pass.
        ShapeError: Its output is not ``(N, classes)``.

    Reference:
        Zhang et al., "Top-down Neural Attention by Excitation Backprop", ECCV 2016, eq. 3, arXiv:1608.00507.
    """
    layers = [layer for layer in check_head(head) if not isinstance(layer, _ABSENT)]
    with torch.no_grad():
        inputs = [x.detach()]
        for layer in layers:
            inputs.append(layer(inputs[-1]))
        scores = inputs.pop()
        if scores.ndim != 2:
            raise ShapeError(f"evidence needs class scores (N, classes), got {tuple(scores.shape)}")
        classes = scores.argmax(1) if target is None else target
        winning = nn.functional.one_hot(classes, scores.shape[1]).to(scores.dtype)
        for layer, entering in zip(reversed(layers), reversed(inputs), strict=True):
            winning = _passed_down(layer, entering, winning)
        return winning


def _passed_down(layer: nn.Module, x: Tensor, winning: Tensor) -> Tensor:
    if isinstance(layer, _ELEMENTWISE):
        return winning
    if isinstance(layer, _SELECTIONS):
        return _pulled_back(layer, x, winning)
    positive = x.clamp_min(0.0)

    def drive(a: Tensor) -> Tensor:
        if isinstance(layer, LINEAR):
            return linear_map(layer, a, layer.weight.detach().clamp_min(0.0), None)
        output: Tensor = layer(a)
        return output

    total = drive(positive)
    return positive * _pulled_back(
        drive, positive, torch.where(total > 0, winning / total.where(total > 0, 1), 0)
    )


def _pulled_back(function: Callable[[Tensor], Tensor], x: Tensor, cotangent: Tensor) -> Tensor:
    if torch.compiler.is_compiling() or torch._C._functorch.maybe_current_level() is not None:
        pulled: Tensor = torch.func.vjp(function, x)[1](cotangent)[0]
        return pulled
    # A checkpointed region has hooks on what is saved for backward, which torch.func refuses; these stand before them.
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(_same, _same):
        leaf = x.detach().requires_grad_()
        return torch.autograd.grad(function(leaf), leaf, cotangent)[0]


def _same(saved: Tensor) -> Tensor:
    return saved
