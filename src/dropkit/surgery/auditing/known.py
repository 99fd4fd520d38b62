"""Functions and modules that are known to be random, and where they keep their rate."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dropkit.nn.module import RateModule

TORCH_DROPOUT = (
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)
RECURRENT = (nn.RNN, nn.LSTM, nn.GRU)

# Attributes in which modules of other libraries keep a rate, the most specific first.
RATE_NAMES = ("drop_prob", "drop_rate", "drop_path", "dropout", "rate", "p", "prob", "drop")
_DROPPING = re.compile(r"drop|stochastic_?depth|zoneout|cutout|random_?erasing|shake", re.IGNORECASE)


@dataclass(frozen=True)
class Function:
    """How to read the rate of a call.

    Args:
        kind: Kind of the site.
        rate: Name of the parameter that is the rate.
        training: Name of the parameter that switches it on, or None where the rate alone decides.
        default: Rate where none is given.
        names: Its parameters in order.
    """

    kind: str
    rate: str
    training: str | None
    default: float
    names: tuple[str, ...]

    def read(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[float | None, bool]:
        """Return the rate and whether the call drops at that rate."""
        given = {**dict(zip(self.names, args, strict=False)), **kwargs}
        rate = given.get(self.rate, self.default)
        training = self.training is None or bool(given.get(self.training, True))
        value = rate.item() if isinstance(rate, Tensor) and rate.numel() == 1 else rate
        number = float(value) if isinstance(value, int | float) else None
        return number, training and number != 0.0


def _python(kind: str, function: Callable[..., Any], rate: str, training: str) -> Function:
    parameters = inspect.signature(function).parameters
    default = parameters[rate].default
    return Function(
        kind, rate, training, 0.0 if default is inspect.Parameter.empty else default, tuple(parameters)
    )


_CORE = ("input", "p", "train")
_ATTENTION = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
FUNCTIONS: dict[Any, Function] = {
    **{
        function: _python(kind, function, "p", "training")
        for function, kind in (
            (F.dropout, "dropout"),
            (F.dropout1d, "dropout1d"),
            (F.dropout2d, "dropout2d"),
            (F.dropout3d, "dropout3d"),
            (F.alpha_dropout, "alpha_dropout"),
            (F.feature_alpha_dropout, "feature_alpha_dropout"),
        )
    },
    **{
        function: Function(kind, "p", "train", 0.5, _CORE)
        for function, kind in (
            (torch.dropout, "dropout"),
            (torch.dropout_, "dropout"),
            (torch.native_dropout, "dropout"),
            (torch.feature_dropout, "dropout2d"),
            (torch.feature_dropout_, "dropout2d"),
            (torch.alpha_dropout, "alpha_dropout"),
            (torch.alpha_dropout_, "alpha_dropout"),
            (torch.feature_alpha_dropout, "feature_alpha_dropout"),
            (torch.feature_alpha_dropout_, "feature_alpha_dropout"),
        )
    },
    F.scaled_dot_product_attention: Function("attention", "dropout_p", None, 0.0, _ATTENTION),
    F.multi_head_attention_forward: _python(
        "attention", F.multi_head_attention_forward, "dropout_p", "training"
    ),
}


def recurrent_call(name: str, args: tuple[Any, ...]) -> tuple[float, bool] | None:
    """Return rate and activity of a call of ``torch.lstm`` or its like, or None where it is none that can drop."""
    if name not in ("lstm", "gru", "rnn_tanh", "rnn_relu"):
        return None
    start = 3 if isinstance(args[3], bool) else 4  # a packed sequence has its batch sizes before the rest
    layers, rate, training = args[start + 1 : start + 4]
    return (float(rate), bool(training) and rate > 0) if layers > 1 else None


def rate_attribute(module: nn.Module) -> str | None:
    """Return the attribute in which a module that drops, by the name of its class, keeps a rate; or None."""
    if isinstance(module, RateModule):
        return "rate" if isinstance(module.rate, float) else None
    if not _DROPPING.search(type(module).__name__):
        return None
    for name in RATE_NAMES:
        value = getattr(module, name, None)
        if isinstance(value, float | int) and not isinstance(value, bool) and 0.0 <= value <= 1.0:
            return name
    return None


def class_kind(module: nn.Module) -> str:
    """Return the kind of a module's site: the name of its class as this library writes names."""
    name = type(module).__name__
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
