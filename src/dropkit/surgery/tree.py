"""A model's modules by dotted name, each under one name, with wrappers looked through."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from dropkit.core import PlanError

# Wrappers that call what they wrap, so that it can be attached to: class -> attribute.
_TRANSPARENT = {
    "torch._dynamo.eval_frame.OptimizedModule": "_orig_mod",
    "torch.nn.parallel.distributed.DistributedDataParallel": "module",
    "torch.nn.parallel.data_parallel.DataParallel": "module",
}
_OPAQUE = {
    "torch.distributed.fsdp.fully_sharded_data_parallel.FullyShardedDataParallel": "FullyShardedDataParallel"
}


held_by = "_dropkit_site"  # attribute of modules that a plan has put into a model


class Tree:
    """The modules of ``model``, found once.

    A module registered under several names has one place, under the name met first; the others are aliases.
    Compiled, DDP and DataParallel wrappers are looked through: names are those of the model inside, so that
    sites, and with them masks, do not depend on wrapping.
    """

    def __init__(self, model: nn.Module) -> None:
        if not isinstance(model, nn.Module):
            raise PlanError(f"the model must be a torch.nn.Module, got {type(model).__name__}")
        self.root = unwrap(model)
        self.modules: dict[str, nn.Module] = {}
        self.aliases: dict[str, str] = {}  # every dotted name -> the name of the place
        self.scripted: set[str] = set()
        self.held: list[nn.Module] = []  # put there by plans, and no part of the model as it is addressed
        self._names: dict[int, str] = {}
        for name, module, scripted in self._walk("", self.root, False):
            place = self._names.setdefault(id(module), name)
            self.aliases.setdefault(name, place)
            if place == name:
                self.modules[name] = module
            if scripted:
                self.scripted.add(place)

    def _walk(self, name: str, module: nn.Module, scripted: bool) -> Iterator[tuple[str, nn.Module, bool]]:
        scripted = scripted or isinstance(module, torch.jit.ScriptModule)
        yield name, module, scripted
        for child_name, child in module._modules.items():
            if child is not None and held_by in child.__dict__:
                self.held += child.modules()
            elif child is not None:
                yield from self._walk(f"{name}.{child_name}" if name else child_name, unwrap(child), scripted)

    def name_of(self, module: nn.Module) -> str | None:
        """Return the dotted name of ``module``, or None where it is not part of the model."""
        return self._names.get(id(module))

    def parent(self, name: str) -> nn.Module | None:
        """Return the module that holds ``name``, or None for the root."""
        return None if not name else self.modules[self.aliases[name.rpartition(".")[0]]]


def unwrap(module: nn.Module) -> nn.Module:
    """Return the module that does the work inside compiled, DDP and DataParallel wrappers."""
    for name in qualified_names(module):
        if name in _TRANSPARENT:
            return unwrap(getattr(module, _TRANSPARENT[name]))
        if name in _OPAQUE:
            raise PlanError(
                f"{_OPAQUE[name]} flattens the modules that a plan attaches to; apply the plan first, then wrap"
            )
    return module


def qualified_names(module: nn.Module) -> list[str]:
    """Return ``package.module.Class`` of the module's class and of its bases below ``nn.Module``."""
    return [f"{cls.__module__}.{cls.__qualname__}" for cls in _classes(module)]


def type_names(module: nn.Module) -> set[str]:
    """Return every name by which an address may mean the module's class or a base of it."""
    names = {cls.__name__ for cls in _classes(module)} | set(qualified_names(module))
    names |= {
        f"torch.nn.{cls.__name__}" for cls in _classes(module) if getattr(nn, cls.__name__, None) is cls
    }
    if isinstance(module, torch.jit.ScriptModule):
        names.add(module.original_name)
    return names


def _classes(module: nn.Module) -> Iterator[type]:
    for cls in type(module).__mro__:
        if cls is nn.Module:
            return
        yield cls
