"""What is attached to a model, found by looking at it."""

from __future__ import annotations

from torch import nn

from dropkit.surgery.accelerating import Accelerated, acceleration_of
from dropkit.surgery.applied import Applied
from dropkit.surgery.applying import AppliedPlan, drops_on
from dropkit.surgery.tree import Tree


def attached(model: nn.Module) -> list[Applied]:
    """Return a handle for every plan and acceleration on ``model``, also where it is a copy or was unpickled."""
    modules = Tree(model).modules.values()
    plans = {drop.plan: None for module in modules for drop in drops_on(module)}
    found = (acceleration_of(module.__dict__.get("forward")) for module in modules)
    accelerations = {id(item): item for item in found if item is not None}
    return [
        *(AppliedPlan(model, plan) for plan in plans),
        *(Accelerated(model, item) for item in accelerations.values()),
    ]
