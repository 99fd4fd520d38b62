"""Where the sites are in a model, and what stands for them in the graph of its forward pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, fx, nn

from dropkit.surgery.activations import FUNCTION_NAMES
from dropkit.surgery.calls import Key
from dropkit.surgery.tree import Tree


def mark(x: Any, site: str) -> Any:
    """Stand in a graph for the call of one site."""
    return x


def is_mark(node: fx.Node) -> bool:
    """Whether ``node`` stands for a call of a site."""
    return node.target is mark


def site_of(node: fx.Node) -> str:
    """Return the id of the site that ``node`` stands for."""
    return str(node.args[1])


@dataclass
class Marks:
    """Sites by the module that they are at, all by names in ``tree``.

    Args:
        tree: The model.
        modules: Modules that are sites themselves.
        before: Ids of the sites at the first tensor argument of a module.
        after: Ids of the sites at the output of a module, in order.
        calls: Modules that count the functions they call, with the ids of the sites at the calls.
    """

    tree: Tree
    modules: set[str] = field(default_factory=set)
    before: dict[str, list[str]] = field(default_factory=dict)
    after: dict[str, list[str]] = field(default_factory=dict)
    calls: dict[str, dict[Key, str]] = field(default_factory=dict)

    def is_leaf(self, module: nn.Module, name: str) -> bool:
        """Whether ``module`` is one step of the graph: torch's or dropkit's own, with no site inside."""
        package, own = type(module).__module__.split("."), module.__dict__.get("forward")
        known = package[:2] == ["torch", "nn"] or package[0] == "dropkit"
        if own is not None and not type(own).__module__.startswith("dropkit."):
            return False  # somebody's forward in the place of the class's
        inside = f"{name}." if name else ""
        sites = (*self.modules, *self.before, *self.after, *self.calls)
        return (
            known
            and not isinstance(module, nn.Sequential)
            and not any(site.startswith(inside) and site != name for site in sites)
        )


class Frames:
    """Counts the activation functions that modules call, as the ids of sites do."""

    def __init__(self, marks: Marks) -> None:
        self._calls = marks.calls
        self._stack: list[tuple[dict[Key, str], Counter[str]]] = []

    def enter(self, name: str) -> None:
        """Begin the forward of a module."""
        if name in self._calls:
            self._stack.append((self._calls[name], Counter()))

    def leave(self, name: str) -> None:
        """End it."""
        if name in self._calls:
            self._stack.pop()

    def at(self, function: Any) -> tuple[str | None, str | None]:
        """Return the sites before and after this call of ``function``, which is counted."""
        name = FUNCTION_NAMES.get(function)
        if name is None or not self._stack:
            return None, None
        sites, counts = self._stack[-1]
        index = counts[name]
        counts[name] += 1
        return sites.get((name, index, "input")), sites.get((name, index, "output"))


def with_first(
    args: tuple[Any, ...], kwargs: dict[str, Any], change: Callable[[Any], Any], kind: type = Tensor
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a call with the first of ``kind`` among them changed."""
    for position, value in enumerate(args):
        if isinstance(value, kind):
            return (*args[:position], change(value), *args[position + 1 :]), kwargs
    for name, value in kwargs.items():
        if isinstance(value, kind):
            return args, {**kwargs, name: change(value)}
    return args, kwargs
