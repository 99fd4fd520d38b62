"""The ready-made plans, by name."""

from __future__ import annotations

from typing import Any

from torch import nn

from dropkit.core import unknown_name
from dropkit.surgery.auditing.known import TORCH_DROPOUT
from dropkit.surgery.ready import (
    alexnet_2012,
    awd_lstm,
    curriculum,
    early_dropout,
    llm_lora,
    srivastava_2014,
    unidrop,
    vit_drop_path,
)
from dropkit.surgery.ready.entry import ReadyPlan
from dropkit.surgery.rules import Rule
from dropkit.surgery.tree import Tree

_MODULES = (
    alexnet_2012,
    awd_lstm,
    curriculum,
    early_dropout,
    llm_lora,
    srivastava_2014,
    unidrop,
    vit_drop_path,
)
_PLANS: dict[str, ReadyPlan] = {module.PLAN.name: module.PLAN for module in _MODULES}


def ready_plans() -> list[ReadyPlan]:
    """Return every ready-made plan, sorted by name: each has ``name``, ``paper``, ``needs`` and ``options``."""
    return [_PLANS[name] for name in sorted(_PLANS)]


def ready_plan(name: str) -> ReadyPlan:
    """Return the ready-made plan called ``name``; raise ``UnknownNameError`` with the nearest name otherwise."""
    if name not in _PLANS:
        raise unknown_name("ready plan", name, _PLANS)
    return _PLANS[name]


def ready(name: str, /, *, model: nn.Module | None = None, **options: Any) -> list[Rule]:
    """Return the rules of a ready-made plan, to be changed, added to, or given to :func:`dropkit.plan`.

    Args:
        name: One of :func:`ready_plans`.
        model: What the rules are for: some plans look at it to choose addresses. None: rules for any model.
        options: Options of the plan, such as ``rate``.

    Returns:
        Its rules.

    Raises:
        UnknownNameError: There is no such plan.
        OptionError: It has no such option.
        NoMatchError: The model lacks a part that the plan needs.
    """
    return ready_plan(name).rules(model, **options)


def own_dropout(tree: Tree) -> list[str]:
    """Return a note on dropout modules that the model has itself, which go on acting beside a plan."""
    own = [
        name for name, module in tree.modules.items() if isinstance(module, TORCH_DROPOUT) and module.p > 0
    ]
    if not own:
        return []
    shown = ", ".join(repr(name) for name in own[:3]) + (f" and {len(own) - 3} more" if len(own) > 3 else "")
    return [
        f"the model has dropout of its own, at {shown}; both act, unless dropkit.set_rate(model, 0.0) is called"
    ]
