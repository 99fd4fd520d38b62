"""What a variant can be attached to: a tensor, or the weights of a module."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from torch import Tensor

from dropkit.core import Variant
from dropkit.ops import drop_connect

# What is no op of weights by name: one coin a weight and no batch axis, so one mask whatever the stream's samples.
_SAME_LAW = {"dropout": drop_connect, "weight_drop": drop_connect}


def acts_on_a_tensor(entry: Variant) -> bool:
    """Whether the op of ``entry`` is ``op(x, rate, *, training, ...)`` of values, not weights.

    That is all that a module's output or input can give it.
    """
    if entry.op is None or entry.default_rate is None or not set(entry.at) - {"weights"}:
        return False
    first, *rest = inspect.signature(entry.op).parameters.values()
    needed = {p.name for p in rest if p.default is p.empty and p.kind is not p.VAR_KEYWORD}
    alone = first.annotation in ("Tensor", Tensor)  # and not a list of branches
    wraps = entry.module is not None and next(iter(inspect.signature(entry.module).parameters)) != "rate"
    return first.name == "x" and alone and needed == {"rate", "training"} and not wraps


def weight_op(entry: Variant) -> Callable[..., Tensor] | None:
    """Return the op by which ``entry`` acts on a weight, or None if it does not."""
    return _SAME_LAW.get(entry.name, entry.op if "weights" in entry.at else None)


def wraps_module(entry: Variant) -> bool:
    """Whether ``entry`` is a wrapper through which the forward of a whole module can run: one of recurrent networks."""
    return entry.kind == "wrapper" and entry.op is None and entry.at == ("recurrent",)


def acts_on_weights_only(entry: Variant) -> bool:
    """Whether there is nothing but weights that ``entry`` could act on."""
    return weight_op(entry) is not None and not acts_on_a_tensor(entry)


def acts_on_a_sum(entry: Variant) -> bool:
    """Whether the op of ``entry`` makes a residual sum: ``op(x, rate, *, branch, training, ...)``."""
    if entry.op is None:
        return False
    parameters = inspect.signature(entry.op).parameters.values()
    needed = {p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD}
    return needed == {"x", "rate", "branch", "training"}


def skips_layers(entry: Variant) -> bool:
    """Whether ``entry`` is about whole layers of a stack."""
    return entry.name == "layer_drop"
