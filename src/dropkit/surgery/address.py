"""Addresses: from ``"hidden"``, ``"Linear"``, ``"encoder.*"`` or ``"re:..."`` to places in a model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import NamedTuple

from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.rnn import RNNCellBase

from dropkit.core import NoMatchError, PlanError
from dropkit.nn.weights.wrapper import LAYERS
from dropkit.surgery.activations import ACTIVATION_MODULES, ACTIVATION_TYPE_NAMES
from dropkit.surgery.builtin import own_function
from dropkit.surgery.plans import Place, site_id
from dropkit.surgery.rules import at_branch
from dropkit.surgery.trace import Trace
from dropkit.surgery.transposed import is_transposed_linear
from dropkit.surgery.tree import Tree, type_names


class Target(NamedTuple):
    """A module, or argument ``argument`` of call ``number`` (from 0) of ``function`` that its forward makes."""

    module: str
    function: str = ""
    number: int = 0
    argument: int = 0


def place_of(address: str) -> Place | None:
    """Return the place that an address is about, or None where the rule's ``on`` says it."""
    last = address.rpartition(":")[2]
    if last in ("input", "attention") and (address == last or address.endswith(f":{last}")):
        return last  # type: ignore[return-value]
    if address == "weights":
        return "weight"
    return "branch" if at_branch(address) else None


def needs_flow(addresses: Iterable[str]) -> bool:
    """Whether any of ``addresses`` is found by following the tensors of a forward."""
    return any(place_of(address) in ("attention", "branch") for address in addresses)


class Map:
    """Where addresses lead in one model.

    Args:
        tree: The model's modules.
        trace: What one forward called, or None where no example was given.
    """

    def __init__(self, tree: Tree, trace: Trace | None) -> None:
        self.tree = tree
        self.trace = trace
        self._keywords: dict[str, Callable[[], list[Target]]] = {
            "input": lambda: [Target("")],
            "hidden": self._hidden,
            "fc": self._fc,
            "conv": self._conv,
            "attention": self._attention,
            "residual": self._residual,
            "embedding": self._embedding,
            "recurrent": self._recurrent,
            "weights": self._weights,
        }

    def find(self, address: str) -> list[Target]:
        """Return what ``address`` leads to, in the order of the model.

        Keywords win over names, and names over types; ``re:`` reaches a module with a keyword for a name.

        Raises:
            NoMatchError: Nothing; the text says which kind of nothing.
            PlanError: The address is not a regular expression.
        """
        if address in self._keywords:
            return self._keywords[address]()
        if address.startswith("re:"):
            return self._regex(address)
        if ":" in address:
            return self._placed(address) if needs_flow([address]) else self._calls(address)
        return self._names(address) or self._types(address)

    def unreachable(self, name: str) -> str | None:
        """Say why a hook on module ``name`` would never run, or return None."""
        if name in self.tree.scripted:
            return None  # refused later, with a text of its own
        module, parent = self.tree.modules[name], self.tree.parent(name)
        if isinstance(parent, nn.MultiheadAttention):
            return (
                f"nn.MultiheadAttention never calls its child {name!r}; attach to {name.rpartition('.')[0]!r}"
            )
        if type(module).forward is nn.Module.forward and "forward" not in module.__dict__:
            return f"{type(module).__name__} {name!r} is a container that is never called; attach to its children"
        return None

    def _hidden(self) -> list[Target]:
        found = [
            Target(name)
            for name, module in self.tree.modules.items()
            if isinstance(module, ACTIVATION_MODULES)
            or (name in self.tree.scripted and type_names(module) & ACTIVATION_TYPE_NAMES)
        ]
        if self.trace is not None:
            inside = {target.module for target in found}
            found += [Target(*call) for call in self.trace.calls if call[0] not in inside]
        if not found:
            kind = type(self.tree.root).__name__
            if self.trace is None:
                raise NoMatchError(
                    f"{kind} has no activation module; pass example_inputs= to dropkit.plan, so that functional "
                    "activations (F.relu, torch.tanh, x.relu() ...) are found by running one forward"
                )
            raise NoMatchError(
                f"{kind} has no activation module and called no activation function on the example; "
                "name the modules whose outputs are meant"
            )
        return found

    def _fc(self) -> list[Target]:
        linears, last = self._linears()
        if not linears:
            raise NoMatchError("the model has no Linear module; use 'conv', 'hidden' or a type name")
        if len(linears) == 1:
            raise NoMatchError(
                f"the only Linear is {last or 'the model itself'!r}, the last one, which 'fc' leaves out; "
                "use its name or the type name 'Linear'"
            )
        return [Target(name) for name in linears if name != last]

    def _linears(self) -> tuple[list[str], str | None]:
        """Return the names of all linear modules that are called, and of the last one."""
        linears = [
            name
            for name, module in self.tree.modules.items()
            if (
                isinstance(module, nn.Linear)
                or "Linear" in type_names(module)
                or is_transposed_linear(module)
            )
            and self.unreachable(name) is None
        ]
        called = [] if self.trace is None else [name for name in self.trace.called if name in linears]
        return linears, next(reversed(called or linears), None)

    def _conv(self) -> list[Target]:
        found = [
            Target(name)
            for name, module in self.tree.modules.items()
            if isinstance(module, _ConvNd)
            or (name in self.tree.scripted and any(n.startswith("Conv") for n in type_names(module)))
        ]
        if not found:
            raise NoMatchError("the model has no Conv module; use 'fc', 'hidden' or a type name")
        return found

    def _attention(self) -> list[Target]:
        if self.trace is None or self.trace.flow is None:
            known = "multi_head_attention_forward"
            found = [
                Target(n, known) for n, module in self.tree.modules.items() if own_function(module) == known
            ]
            if not found:
                raise NoMatchError(
                    "the model has no nn.MultiheadAttention; pass example_inputs= to dropkit.plan, so that other "
                    "attention (scaled_dot_product_attention, or a softmax and a product) is found by running one "
                    "forward"
                )
            return found
        found = [Target(*call) for call in self.trace.flow.attentions]
        if not found:
            raise NoMatchError(
                "the model computed no attention on the example: no nn.MultiheadAttention, no "
                "scaled_dot_product_attention, and no softmax whose result is multiplied with values"
            )
        return found

    def _residual(self) -> list[Target]:
        if self.trace is None or self.trace.flow is None:
            raise NoMatchError(
                "'residual' means branches that are added to their own input; pass example_inputs= to dropkit.plan, so "
                "that they are found by running one forward, or name the modules and give on='branch'"
            )
        found = [Target(*branch) for branch in self.trace.flow.branches]
        if not found:
            raise NoMatchError(
                "the model has no residual connection: on the example, nothing was added to what it was computed from"
            )
        return found

    def sums(self, target: Target) -> list[Target]:
        """Return the sums that a branch goes into, as calls of the modules that add.

        Raises:
            NoMatchError: The output of the module was not added to its input.
        """
        if target.function:
            return [target]
        flow = None if self.trace is None else self.trace.flow
        found = [] if flow is None else [Target(*term) for term in flow.terms(target.module)]
        if not found:
            need = "; pass example_inputs= to dropkit.plan" if flow is None else ""
            raise NoMatchError(f"module {target.module!r} is not seen to be added to its input{need}")
        return found

    def _placed(self, address: str) -> list[Target]:
        place = place_of(address)
        targets = self._attention() if place == "attention" else self._residual()
        ids = {site_id(t.module, str(place), t.function, t.number): t for t in targets}
        found = [target for name, target in ids.items() if fnmatchcase(name, address)]
        if not found:
            near = get_close_matches(address, ids, n=1, cutoff=0.0)
            raise NoMatchError(f"no {place} has an id that matches {address!r}; nearest: {near[0]!r}")
        return found

    def _embedding(self) -> list[Target]:
        found = self._instances(nn.Embedding, nn.EmbeddingBag)
        if not found:
            raise NoMatchError("the model has no Embedding or EmbeddingBag module; use a name or a type name")
        return found

    def _recurrent(self) -> list[Target]:
        found = self._instances(nn.RNNBase, RNNCellBase)
        if not found:
            raise NoMatchError(
                "the model has no LSTM, GRU or RNN module, and no cell; use a name or a type name"
            )
        return found

    def _weights(self) -> list[Target]:
        _, last = self._linears()
        types = (*LAYERS, nn.RNNBase, RNNCellBase, nn.MultiheadAttention)
        layers = [
            Target(name)
            for name, module in self.tree.modules.items()
            if isinstance(module, types) or is_transposed_linear(module)
        ]
        found = [t for t in layers if t.module != last and self.unreachable(t.module) is None]
        if not found:
            raise NoMatchError(
                "the model has no Linear, Conv, recurrent or attention module but the last Linear, which 'weights' "
                "leaves out; use its name or a type name with on='weight'"
            )
        return found

    def _instances(self, *types: type[nn.Module]) -> list[Target]:
        return [Target(name) for name, module in self.tree.modules.items() if isinstance(module, types)]

    def _regex(self, address: str) -> list[Target]:
        try:
            pattern = re.compile(address[3:])
        except re.error as error:
            raise PlanError(f"at={address!r} is not a regular expression: {error}") from None
        found = self._places(lambda name: pattern.fullmatch(name) is not None)
        if not found:
            raise NoMatchError(
                f"no dotted module name matches all of the pattern {address[3:]!r}{self._nearest(address[3:])}"
            )
        return found

    def _names(self, address: str) -> list[Target]:
        return self._places(lambda name: bool(name) and fnmatchcase(name, address))

    def _places(self, matches: Callable[[str], bool]) -> list[Target]:
        hit = {place for name, place in self.tree.aliases.items() if matches(name)}
        return [Target(name) for name in self.tree.modules if name in hit]

    def _types(self, address: str) -> list[Target]:
        found = [Target(name) for name, module in self.tree.modules.items() if address in type_names(module)]
        if not found:
            raise NoMatchError(f"no module has the name or the type {address!r}{self._nearest(address)}")
        return found

    def _calls(self, address: str) -> list[Target]:
        if self.trace is None:
            raise NoMatchError(
                f"{address!r} means a function call; pass example_inputs= to dropkit.plan, so that calls are "
                "found by running one forward"
            )
        ids = {site_id(call[0], "output", call[1], call[2]): Target(*call) for call in self.trace.calls}
        found = [target for name, target in ids.items() if fnmatchcase(name, address)]
        if not found:
            near = get_close_matches(address, ids, n=1)
            hint = f"; nearest: {near[0]!r}" if near else ""
            raise NoMatchError(f"no activation function was called under {address!r}{hint}")
        return found

    def _nearest(self, address: str) -> str:
        types = {type(module).__name__ for module in self.tree.modules.values()}
        names = [name for name in self.tree.aliases if name]
        near = get_close_matches(address, [*names, *types, *self._keywords], n=1, cutoff=0.5)
        if near:
            return f"; nearest: {near[0]!r}"
        shown = ", ".join(sorted(types))
        return f"; the model has the types {shown}"
