"""How wide the layers around a learned site are, as far as modules tell without being run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from dropkit.core import PlanError
from dropkit.surgery.activations import ACTIVATION_MODULES
from dropkit.surgery.auditing.known import TORCH_DROPOUT
from dropkit.surgery.plans import Site
from dropkit.surgery.tree import Tree, unwrap

# Attributes in which modules of torch, and of others in their manner, say how many units they return, and take.
_RETURNED = (
    "out_features",
    "out_channels",
    "num_features",
    "num_channels",
    "embedding_dim",
    "embed_dim",
    "nf",
)
_TAKEN = ("in_features", "in_channels", "num_features", "num_channels", "input_size", "embed_dim", "nx")
_SAME = tuple({*ACTIVATION_MODULES, *TORCH_DROPOUT, nn.Identity} - {nn.GLU})  # as wide as what they are given


def widths_at(tree: Tree, site: Site) -> dict[str, int]:
    """Return the modules that may fix how many units ``site`` learned something about, and that number.

    It is one module where it is sure which one makes the site's tensor; else all up to the site that are as wide. None
    where the number counts something else.
    """
    features = site.options.get("features")
    return {name: units for name, units in _around(tree, site).items() if units == features}


def check_widths(tree: Tree, site: Site, before: Mapping[str, int]) -> None:
    """Raise ``PlanError`` where each module of ``before`` has another width than that now."""
    now = {name: units for name, units in _around(tree, site).items() if name in before}
    if now and all(units != before[name] for name, units in now.items()):
        name, units = now.popitem()
        raise PlanError(
            f"site {site.id!r} has learned features of shape ({before[name]},), and in this model those of "
            f"{name!r} have shape ({units},); the plan was saved on another model, plan again for this one"
        )


def width(module: nn.Module, takes: bool = False) -> int | None:
    """Return how many units ``module`` returns, or ``takes``; None where it does not say."""
    if isinstance(module, nn.RNNBase) and not takes:
        return (module.proj_size or module.hidden_size) * (2 if module.bidirectional else 1)
    shape: Any = getattr(module, "normalized_shape", None)
    if isinstance(shape, tuple) and shape:
        return int(shape[-1])
    names = _TAKEN if takes else _RETURNED
    return next((v for name in names if type(v := getattr(module, name, None)) is int), None)


def _around(tree: Tree, site: Site) -> dict[str, int]:
    takes = site.on == "input" and not site.function
    name = None if site.function else _source(tree, site.module, takes)
    if name is not None:
        names = [name]
    else:
        inside = [n for n in tree.modules if n.startswith(f"{site.module}.")] if site.function else []
        order = list(tree.modules)
        names = order[: order.index((inside or [site.module])[-1]) + 1] if site.module else order
    takes = takes and (not site.module or name == site.module)
    found = {name: width(tree.modules[name], takes) for name in names}
    return {name: units for name, units in found.items() if units is not None}


def _source(tree: Tree, name: str, takes: bool) -> str | None:
    """Return the module whose width is that of what ``name`` returns, or ``takes``, where that is sure."""
    module = tree.modules[name]
    if width(module, takes) is not None:
        return name
    places = [alias for alias, place in tree.aliases.items() if place == name]
    parent = tree.parent(name)
    if len(places) > 1 or not isinstance(module, _SAME) or not isinstance(parent, nn.Sequential):
        return None
    children = [unwrap(child) for child in parent]
    before = children[children.index(module) - 1] if children.index(module) else None
    place = None if before is None else tree.name_of(before)
    return None if place is None else _source(tree, place, False)
