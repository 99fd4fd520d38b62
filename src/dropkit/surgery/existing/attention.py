"""Dropout of attention probabilities: ``F.scaled_dot_product_attention``, alone or inside multi-head attention."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dropkit.ops import attention
from dropkit.random import batch_first
from dropkit.surgery.existing.plain import PLAIN
from dropkit.surgery.existing.protocol import Arguments, Existing, cannot_take
from dropkit.surgery.frames import Args, FrameMode, Func, Kwargs, Watcher


class ScaledDotProduct:
    """``F.scaled_dot_product_attention(dropout_p=)``."""

    name = "scaled_dot_product_attention"
    variant = "dropout"
    _names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Arguments:
        """Return the arguments of a call by name, defaults included."""
        defaults = {
            "attn_mask": None,
            "dropout_p": 0.0,
            "is_causal": False,
            "scale": None,
            "enable_gqa": False,
        }
        return {**defaults, **dict(zip(self._names, args, strict=False)), **kwargs}

    def rate(self, values: Arguments) -> Any:
        """Return the probability of dropping, or None for a call that drops nothing."""
        return values["dropout_p"] or None

    def dropping(self, values: Arguments, rate: float) -> Arguments:
        """Return the arguments of the same call, dropping at ``rate``."""
        return {**values, "dropout_p": rate}

    def refusal(self, values: Arguments) -> str | None:
        """Say why dropkit cannot run this call, or return None."""
        mask = values["attn_mask"]
        if mask is not None and type(mask) is not Tensor:
            return f"its mask is a {type(mask).__name__}"
        return cannot_take(values["query"], values["key"], values["value"])

    def call(self, func: Callable[..., Any], values: Arguments) -> Any:
        """Call ``func``, the original, with these arguments."""
        return func(**values)

    def run(self, mode: FrameMode, func: Callable[..., Any], values: Arguments, site: str) -> Tensor:
        """Run the call on dropkit."""
        # attention has its batch first, wherever the model around it has its own
        with batch_first(), torch._C.DisableTorchFunction():
            return attention(
                values["query"],
                values["key"],
                values["value"],
                mask=values["attn_mask"],
                is_causal=values["is_causal"],
                rate=values["dropout_p"],
                training=True,
                scale=values["scale"],
                enable_gqa=values["enable_gqa"],
                site=site,
            )


class MultiHead:
    """``F.multi_head_attention_forward``, which every ``nn.MultiheadAttention`` calls.

    It is one site, whichever of its two ways to drop a call takes.
    """

    name = "multi_head_attention_forward"
    variant = "dropout"

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Arguments:
        """Return the arguments of a call by name, defaults included."""
        return {**_DEFAULTS, **dict(zip(_NAMES, args, strict=False)), **kwargs}

    def rate(self, values: Arguments) -> Any:
        """Return the probability of dropping, or None for a call that drops nothing."""
        return (values["dropout_p"] or None) if values["training"] else None

    def dropping(self, values: Arguments, rate: float) -> Arguments:
        """Return the arguments of the same call, dropping at ``rate``."""
        return {**values, "dropout_p": rate, "training": True}

    def refusal(self, values: Arguments) -> str | None:
        """Say why dropkit cannot run this call, or return None."""
        return cannot_take(values["query"], values["key"], values["value"])

    def call(self, func: Callable[..., Any], values: Arguments) -> Any:
        """Call ``func``, the original, with these arguments."""
        return func(**values)

    def run(self, mode: FrameMode, func: Callable[..., Any], values: Arguments, site: str) -> Any:
        """Run the call on dropkit."""
        mode.frames.append(_Inside(site, values["num_heads"]))
        try:
            with batch_first(), mode:
                return INNER(**values)
        finally:
            mode.frames.pop()


class _Inside(Watcher):
    """Stands where a forward's frame does while the inner calls of a function are looked at."""

    def __init__(self, site: str, heads: int) -> None:
        self._site = site
        self._heads = heads

    def call(self, mode: FrameMode, name: str, func: Func, args: Args, kwargs: Kwargs) -> Any:
        existing = _DROPPING.get(func)
        values = None if existing is None else existing.bind(args, kwargs)
        if existing is None or values is None or existing.rate(values) is None:
            return func(*args, **kwargs)
        if func is not F.dropout:
            return existing.run(mode, func, values, self._site)
        # probabilities come with samples and heads on one axis, and a mask may have to tell them apart
        apart = {**values, "input": values["input"].unflatten(0, (-1, self._heads))}
        return existing.run(mode, func, apart, self._site).flatten(0, 1)


def _unseen(function: Any) -> Any:
    """Return a twin of ``function`` that a mode does not see, so that it does see what the twin calls."""
    if "has_torch_function" not in function.__code__.co_names:
        raise ImportError(f"torch {torch.__version__} has another {function.__name__} than dropkit knows")
    names = {**function.__globals__, "has_torch_function": lambda *_: False}
    return FunctionType(function.__code__, names, function.__name__, function.__defaults__)


INNER = _unseen(F.multi_head_attention_forward)
_NAMES = tuple(inspect.signature(INNER).parameters)
_DEFAULTS = {
    name: parameter.default
    for name, parameter in inspect.signature(INNER).parameters.items()
    if parameter.default is not parameter.empty
}
_SDPA: Existing = ScaledDotProduct()
_DROPPING: dict[Any, Existing] = {F.scaled_dot_product_attention: _SDPA, F.dropout: PLAIN[F.dropout]}

ATTENTION: dict[Any, Existing] = {
    F.scaled_dot_product_attention: _SDPA,
    F.multi_head_attention_forward: MultiHead(),
}
