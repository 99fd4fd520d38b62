"""Dropout between the layers of ``nn.LSTM``, ``nn.GRU`` and ``nn.RNN``, which PyTorch runs as one function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from dropkit.ops import dropout
from dropkit.surgery.existing.protocol import Arguments, Existing, cannot_take
from dropkit.surgery.frames import FrameMode

_PADDED = (
    "input", "hx", "params", "has_biases", "num_layers", "dropout", "train", "bidirectional", "batch_first"
)  # fmt: skip
_PACKED = (
    "data", "batch_sizes", "hx", "params", "has_biases", "num_layers", "dropout", "train", "bidirectional"
)  # fmt: skip


class Recurrent:
    """``torch.lstm`` and its relatives: run layer by layer, with a mask of its own after each but the last.

    Args:
        name: What ids call it.
    """

    variant = "dropout"

    def __init__(self, name: str) -> None:
        self.name = name

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Arguments:
        """Return the arguments of a call by name."""
        packed = "data" in kwargs or (len(args) > 3 and isinstance(args[3], (list, tuple)))
        return {**dict(zip(_PACKED if packed else _PADDED, args, strict=False)), **kwargs}

    def rate(self, values: Arguments) -> Any:
        """Return the probability of dropping, or None for a call that drops nothing."""
        return (values["dropout"] or None) if values["train"] and values["num_layers"] > 1 else None

    def dropping(self, values: Arguments, rate: float) -> Arguments:
        """Return the arguments of the same call, dropping at ``rate``."""
        return {**values, "dropout": rate, "train": True}

    def refusal(self, values: Arguments) -> str | None:
        """Say why dropkit cannot run this call, or return None."""
        x = values["data"] if "data" in values else values["input"]
        if x.device.type != "cpu":
            return f"on {x.device.type} all layers run in one kernel, which drops between them"
        return cannot_take(x)

    def call(self, func: Callable[..., Any], values: Arguments) -> Any:
        """Call ``func``, the original, with these arguments."""
        return func(*values.values())

    def run(
        self, mode: FrameMode, func: Callable[..., Any], values: Arguments, site: str
    ) -> tuple[Tensor, ...]:
        """Run the call on dropkit."""
        layers, params = values["num_layers"], values["params"]
        held = len(params) // layers
        lstm = isinstance(values["hx"], (tuple, list))
        states = [state.chunk(layers) for state in (values["hx"] if lstm else (values["hx"],))]
        x = values["data"] if "data" in values else values["input"]
        last: list[list[Tensor]] = [[] for _ in states]
        with torch._C.DisableTorchFunction():
            for layer in range(layers):
                if layer > 0:
                    x = dropout(x, values["dropout"], training=True, site=site)
                state = tuple(parts[layer] for parts in states)
                rest = (params[layer * held : (layer + 1) * held], values["has_biases"], 1, 0.0, True)
                x, *ends = self._layer(func, values, x, state if lstm else state[0], rest)
                for found, end in zip(last, ends, strict=True):
                    found.append(end)
            return x, *(torch.cat(ends) for ends in last)

    @staticmethod
    def _layer(func: Callable[..., Any], values: Arguments, x: Tensor, state: Any, rest: Any) -> Any:
        if "data" in values:
            return func(x, values["batch_sizes"], state, *rest, values["bidirectional"])
        return func(x, state, *rest, values["bidirectional"], values["batch_first"])


RECURRENT: dict[Any, Existing] = {
    getattr(torch, name): Recurrent(name) for name in ("lstm", "gru", "rnn_tanh", "rnn_relu")
}
