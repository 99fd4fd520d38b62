"""What a variant can be attached to: a tensor, or the weights of a module."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

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


# Variants that are a module: of one tensor, and made from a rate, a number of features, and options.
_HELD = {
    "concrete_dropout",
    "concrete_dropout1d",
    "concrete_dropout2d",
    "concrete_dropout3d",
    "contextual_dropout",
    "guided_dropout",
    "homeostatic_dropout",
    "information_dropout",
    "learnable_bernoulli",
    "lima_dropout",
    "scheduled_drop_path",
    "variational_dropout",
}


def is_held(entry: Variant) -> bool:
    """Whether ``entry`` acts as a module that joins the model, with what it learns or remembers."""
    return entry.name in _HELD


def held_options(entry: Variant) -> dict[str, inspect.Parameter]:
    """Return the parameters of such a module that are options: neither the rate nor the site, nor modules."""
    build: Any = entry.module
    found: Mapping[str, inspect.Parameter] = inspect.signature(build).parameters
    return {
        name: parameter
        for name, parameter in found.items()
        if name not in ("rate", "site") and "Module" not in str(parameter.annotation)
    }


def make(entry: Variant, rate: Any, options: Mapping[str, Any], site: str | None = None) -> Any:
    """Return a new module of ``entry``; its rate is given only if it has one."""
    build: Any = entry.module
    rates = {"rate": rate} if entry.default_rate is not None or rate else {}
    return build(**rates, **options, site=site)


def held_rate(entry: Variant) -> float:
    """Return the rate of such a module that is given none; 0 where it has no rate."""
    build: Any = entry.module
    rate = inspect.signature(build).parameters.get("rate")
    return 0.0 if rate is None or rate.default is rate.empty else float(rate.default)


def has_rate(entry: Variant) -> bool:
    """Whether ``entry`` can be given a rate: a module that joins the model may have none."""
    return not is_held(entry) or "rate" in inspect.signature(entry.module or object).parameters


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
