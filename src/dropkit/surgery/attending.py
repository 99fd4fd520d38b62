"""What acts at attention: on the probabilities, on the scores before the softmax, or on whole heads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dropkit.core import PlanError
from dropkit.ops.attention import attention, attention_through
from dropkit.surgery.drop import Drop, replaced
from dropkit.surgery.existing import CALLS, INNER
from dropkit.surgery.frames import Args, FrameMode, Func, Kwargs, Watcher
from dropkit.surgery.operations import SOFTMAX

_SINGLE = (
    "attention_dropout",
    "dropout",
)  # those that attention has inside, without the probabilities in memory
_HEADS = "drop_head"
_SCORES = "drop_key"


class AttentionDrop(Drop):
    """Stands in for the dropout that a call of attention has or could have."""

    never_drops = False  # at rate 0 it still stands in for what the model drops

    def attend(
        self,
        mode: FrameMode,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        training: bool,
    ) -> Any:
        """Call ``func``, which computes attention or its probabilities, without dropout of its own.

        Args:
            mode: The mode that saw the call.
            func: A softmax, ``F.scaled_dot_product_attention`` or ``F.multi_head_attention_forward``.
            args: Positional arguments.
            kwargs: Keyword arguments.
            training: Whether the module that calls it is in training mode.
        """
        if func in SOFTMAX:
            return self._weighing(func, args, kwargs, training, None)
        existing = CALLS[func]
        values = {**existing.bind(args, kwargs), "dropout_p": 0.0}
        reason = existing.refusal(values)
        if reason is not None:
            raise PlanError(f"site {self.site.id!r} cannot be reached: {reason}; leave it out with except_=")
        if existing.name != "multi_head_attention_forward":
            return self._scaled(func, values, training)
        mode.frames.append(_Inside(self, values["num_heads"], training))
        try:
            with mode:
                return INNER(**values)
        finally:
            mode.frames.pop()

    def _weighing(
        self, func: Callable[..., Any], args: Any, kwargs: Any, training: bool, heads: int | None
    ) -> Tensor:
        if self.site.variant == _SCORES:
            x = self.first(args, kwargs)
            args, kwargs = replaced(args, kwargs, x, self._by_head(x, training, heads))
            weights: Tensor = func(*args, **kwargs)
            return weights
        return self._by_head(func(*args, **kwargs), training, heads)

    def _by_head(self, x: Tensor, training: bool, heads: int | None) -> Tensor:
        """Drop in ``x``, whose first axis counts the heads of each sample where ``heads`` is given."""
        if heads is not None:
            return self.tensor(x.view(x.shape[0] // heads, heads, *x.shape[1:]), training).flatten(0, 1)
        return self.tensor(self._with_heads(x), training)

    def _scaled(self, func: Callable[..., Any], values: dict[str, Any], training: bool) -> Tensor:
        variant = self.site.variant
        if variant == _HEADS:
            return self.tensor(self._with_heads(func(**values)), training)
        rest: dict[str, Any] = {name: values[name] for name in ("is_causal", "scale", "enable_gqa")}
        rest["mask"] = values["attn_mask"]
        q, k, v = (values[name] for name in ("query", "key", "value"))
        with torch._C.DisableTorchFunction():
            if variant in _SINGLE and not self.site.options and (training or self.forced):
                return attention(q, k, v, rate=self.rate, training=True, site=self.site.id, **rest)
            rest["on_scores" if variant == _SCORES else "on_probabilities"] = lambda x: self.tensor(
                x, training
            )
            return attention_through(q, k, v, **rest)

    def _with_heads(self, x: Tensor) -> Tensor:
        if self.site.variant == _HEADS and x.ndim != 4:
            raise PlanError(
                f"site {self.site.id!r}: drop_head needs an axis of heads, shape (N, H, L, *), and this attention "
                f"has shape {tuple(x.shape)}; use variant='attention_dropout'"
            )
        return x


class _Inside(Watcher):
    """Stands where a forward's frame does while multi-head attention makes its inner calls."""

    def __init__(self, drop: AttentionDrop, heads: int, training: bool) -> None:
        self._drop = drop
        self._heads = heads
        self._training = training

    def call(self, mode: FrameMode, name: str, func: Func, args: Args, kwargs: Kwargs) -> Any:
        if name == "softmax":
            return self._drop._weighing(func, args, kwargs, self._training, self._heads)
        if name == "scaled_dot_product_attention":
            return self._drop._scaled(func, dict(CALLS[func].bind(args, kwargs)), self._training)
        return func(*args, **kwargs)
