"""What counts as an activation: modules by class, functions by identity."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ACTIVATION_MODULES: tuple[type[nn.Module], ...] = (
    nn.CELU,
    nn.ELU,
    nn.GELU,
    nn.GLU,
    nn.Hardshrink,
    nn.Hardsigmoid,
    nn.Hardswish,
    nn.Hardtanh,
    nn.LeakyReLU,
    nn.LogSigmoid,
    nn.Mish,
    nn.PReLU,
    nn.ReLU,
    nn.ReLU6,
    nn.RReLU,
    nn.SELU,
    nn.Sigmoid,
    nn.SiLU,
    nn.Softplus,
    nn.Softshrink,
    nn.Softsign,
    nn.Tanh,
    nn.Tanhshrink,
    nn.Threshold,
)
"""Every elementwise (or gated) activation of torch.nn. Softmax and its relatives normalise over units: no unit
of theirs can be dropped without changing the meaning of the others, so they are not hidden units."""

ACTIVATION_TYPE_NAMES = frozenset(cls.__name__ for cls in ACTIVATION_MODULES)

_FUNCTIONS = (
    "celu",
    "elu",
    "gelu",
    "glu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "rrelu",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
)


def _function_names() -> dict[Any, str]:
    names: dict[Any, str] = {}
    for owner in (F, torch, Tensor, torch._C._nn):
        for name in _FUNCTIONS:
            for spelling in (name, f"{name}_"):
                function = getattr(owner, spelling, None)
                if function is not None:
                    names.setdefault(function, name)
    names[F.__dict__["_threshold"]] = "threshold"  # what a function mode sees when F.threshold is called
    return names


FUNCTION_NAMES: dict[Any, str] = _function_names()
"""``F.relu``, ``torch.relu``, ``Tensor.relu``, ``Tensor.relu_`` ... -> ``"relu"``."""


_WRITING: dict[Any, str] = {
    function: name for function, name in FUNCTION_NAMES.items() if function.__name__.endswith("_")
}


def in_place(function: Any, kwargs: dict[str, Any]) -> bool:
    """Whether this call of an activation writes its result into its first argument."""
    return bool(kwargs.get("inplace", False)) or function in _WRITING
