"""Sites whose variant is a module with a state of its own, which joins the model while it is attached."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor, nn

from dropkit.core import PlanError, ShapeError, variant
from dropkit.surgery.forms import is_held, make
from dropkit.surgery.plans import Site
from dropkit.surgery.tree import held_by, qualified_names

_COLLECTS = {
    "torch.nn.parallel.distributed.DistributedDataParallel": "DistributedDataParallel",
    "torch.nn.parallel.data_parallel.DataParallel": "DataParallel",
    "torch.distributed.fsdp.FSDPModule": "fully_shard",
}


class Held:
    """Calls a module in the place of an op.

    Args:
        module: The module, a child of one of the model's.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __call__(self, x: Tensor, rate: Any, *, training: bool, site: str | None, **_: Any) -> Tensor:
        """Return what the module makes of ``x``; it keeps rate and options itself."""
        if self.module.training != training:
            self.module.train(training)
        try:
            y: Tensor = self.module(x)
        except ShapeError as error:
            raise ShapeError(f"site {site!r}: {error}; plan again for this model") from None
        return y


def join(site: Site, module: nn.Module) -> nn.Module:
    """Register a new module for ``site`` below ``module``, and return it.

    It goes to a module without children of its own, as a container may call all its children in turn.
    """
    host = _leaf(module)
    made: nn.Module = make(variant(site.variant), site.rate, site.options, site.id)
    like = next((p for p in (*host.parameters(), *module.parameters()) if p.is_floating_point()), None)
    if like is not None:
        made.to(like.device, like.dtype)
    made.train(module.training)
    made.__dict__[held_by] = site.id
    host._modules[_free_name(host, "dropkit_" + re.sub(r"\W+", "_", site.id).strip("_"))] = made
    return made


def part(modules: Iterable[nn.Module], gone: list[nn.Module]) -> None:
    """Take the modules ``gone`` out of those that they joined."""
    for module in modules:
        for name in [n for n, child in module._modules.items() if any(child is g for g in gone)]:
            del module._modules[name]


def check_uncollected(sites: Iterable[Site], model: nn.Module) -> None:
    """Raise ``PlanError`` where parameters that a site brings would come too late to be trained."""
    for site in sites:
        if is_held(variant(site.variant)):
            for name in _wrappers(model):
                raise PlanError(
                    f"site {site.id!r}: {site.variant!r} brings parameters, and {name} has collected those of the "
                    "model already; apply the plan first, then wrap"
                )


def _wrappers(model: nn.Module) -> Iterator[str]:
    for module in model.modules():
        yield from (_COLLECTS[name] for name in qualified_names(module) if name in _COLLECTS)


def _leaf(module: nn.Module) -> nn.Module:
    children = [c for c in module._modules.values() if c is not None and held_by not in c.__dict__]
    return _leaf(children[-1]) if children else module


def _free_name(host: nn.Module, wanted: str) -> str:
    name, number = wanted, 1
    while hasattr(host, name):
        name, number = f"{wanted}_{number}", number + 1
    return name
