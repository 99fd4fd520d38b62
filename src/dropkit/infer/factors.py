"""Where the factors of sites end up when the sites are gone: in the weights of linear maps."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn

from dropkit.core import PlanError
from dropkit.infer.columns import column_factors, is_concatenation, keeps_columns, pieces
from dropkit.infer.flow import is_mark, site_of
from dropkit.infer.linear_maps import Part, asks, function_name, joins, nodes_in, parts, writes_to
from dropkit.surgery.tree import Tree


def refusal(site: str, reason: str) -> PlanError:
    """Return the error that says why a site cannot be folded."""
    return PlanError(f"site {site or '(model)'!r} cannot be folded: {reason}")


@dataclass(frozen=True)
class Factor:
    """By how much a tensor is less than it would be without the sites, and which sites are to blame."""

    value: float = 1.0
    sites: tuple[str, ...] = ()
    joint: fx.Node | None = None  # what put together tensors that have further, unequal factors

    def times(self, other: Factor) -> Factor:
        """Return the factor of a product."""
        return Factor(self.value * other.value, self.sites + other.sites, self.joint or other.joint)

    def equals(self, other: Factor) -> bool:
        """Whether the two are the same."""
        return self.joint is other.joint and math.isclose(self.value, other.value, rel_tol=1e-12)


ONE = Factor()


def weight_factors(graph: fx.Graph, sites: Mapping[str, float], tree: Tree) -> dict[str, float | Tensor]:
    """Return what each weight has to be multiplied by, by its dotted name, so that no site need multiply anything.

    That is a number, or a tensor that broadcasts with the weight where its inputs have unequal factors.

    Every step of the forward is gone through in order, and what it makes of the factors of its inputs is kept.

    Args:
        graph: What the forward does, with its sites marked.
        sites: The factor of each site, by its id.
        tree: The model, by whose names the graph is written.

    Raises:
        PlanError: A factor does not reach a weight; the text names the site and what is in the way.
    """
    met = {site_of(node) for node in graph.nodes if is_mark(node)}
    for site in sites:
        if site not in met:
            raise refusal(site, "the forward does not come to it")
    flow = _Flow(sites, tree)
    for node in graph.nodes:
        flow.take(node)
    return flow.weights.taken()


class _Flow:
    def __init__(self, sites: Mapping[str, float], tree: Tree) -> None:
        self._sites, self._tree = sites, tree
        self._factors: dict[fx.Node, Factor] = {}
        self._behind: dict[fx.Node, str] = {}  # nodes that are a parameter, or a view of one
        self.weights = _Weights(tree)

    def take(self, node: fx.Node) -> None:
        """Find the factor of what a step returns."""
        self._factors[node] = self._after(node)

    def _after(self, node: fx.Node) -> Factor:
        if node.op == "get_attr":
            self._behind[node] = str(node.target)
        if node.op in ("get_attr", "placeholder") or asks(node):
            return ONE
        if is_mark(node):
            site = site_of(node)
            here = ONE if self._sites[site] == 1.0 else Factor(self._sites[site], (site,))
            return self._of(node.args[0]).times(here)
        found = parts(node, self._tree)
        operands = [x for part in found or () for x in part.operands if isinstance(x, fx.Node)]
        for other in (Counter(nodes_in(node)) - Counter(operands)).elements():
            self._use(other, node)
        result = ONE
        for part in found or ():
            result = result.times(self._through(part, node))
        if writes_to(node) is not None and not result.equals(self._of(writes_to(node))):
            raise self._blame(result, node)
        return result

    def _through(self, part: Part, node: fx.Node) -> Factor:
        if len(part.operands) == 1 and part.operands[0] in self._behind and not part.weights:
            self._behind[node] = self._behind[part.operands[0]]
            return ONE
        result = self._product(part, node) if part.product else self._common(part, node)
        if result.joint not in (None, node) and not part.weights and not keeps_columns(node, self._tree):
            raise self._blame(result, result.joint)
        for name in part.weights:
            self.weights.take(name, result, self._scale(result, name))
        return ONE if part.weights else result

    def _scale(self, factor: Factor, name: str) -> float | Tensor:
        """Return what the weight has to be multiplied by, for inputs that have the factor."""
        if factor.joint is None:
            return factor.value
        values = [self._of(x).value for x in pieces(factor.joint)]
        each = column_factors(factor.joint, values, name, self._tree)
        if each is None:
            raise self._blame(factor, factor.joint)
        return factor.value * each

    def _product(self, part: Part, node: fx.Node) -> Factor:
        first, second = part.operands
        for weight, value in ((second, first), (first, second)):
            if isinstance(weight, fx.Node) and weight in self._behind:
                factor = self._of(value)
                if factor.joint:
                    raise self._blame(factor, factor.joint)
                self.weights.take(self._behind[weight], factor, factor.value)
                if isinstance(value, fx.Node) and value in self._behind:
                    self.weights.take(self._behind[value], ONE, 1.0)
                return ONE
        a, b = self._of(first), self._of(second)
        if a.joint or b.joint or (not part.weights and set(a.sites) & set(b.sites)):
            raise self._blame(a if a.sites else b, a.joint or b.joint or node)
        return a.times(b)

    def _common(self, part: Part, node: fx.Node) -> Factor:
        held = [self._of(x) for x in part.operands if isinstance(x, fx.Node) or x != 0]  # 0 has any factor
        for x in part.operands:
            if isinstance(x, fx.Node) and x in self._behind:
                self.weights.take(self._behind[x], ONE, 1.0)
        unequal = [other for other in held if not other.equals(held[0])]
        if unequal and is_concatenation(node) and not any(factor.joint for factor in held):
            return Factor(1.0, tuple(site for factor in held for site in factor.sites), node)
        for other in unequal:
            raise self._blame(other if other.sites else held[0], node)
        return held[0] if held else ONE

    def _use(self, value: fx.Node, node: fx.Node) -> None:
        """Note that a step does with ``value`` what no factor passes."""
        if value in self._behind:
            self.weights.take(self._behind[value], ONE, 1.0)
        if not self._of(value).equals(ONE):
            raise self._blame(self._of(value), self._of(value).joint or node)

    def _of(self, value: Any) -> Factor:
        return self._factors.get(value, ONE) if isinstance(value, fx.Node) else ONE

    def _blame(self, factor: Factor, node: fx.Node) -> PlanError:
        site = factor.sites[-1]
        if node.op == "output":
            return refusal(site, "no linear map follows it; it is at the end of the model")
        if joins(node):
            hint = "; example_inputs may help" if is_concatenation(node) and "shape" not in node.meta else ""
            return refusal(
                site, f"its output goes to an addition or the like, {_called(node, self._tree)}{hint}"
            )
        return refusal(
            site,
            f"{_called(node, self._tree)} stands between it and the next linear map, and is no such map itself",
        )


class _Weights:
    """What each parameter is multiplied by, which must be the same wherever it is used."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._taken: dict[int | str, tuple[str, Factor, float | Tensor]] = {}
        self._used: set[str] = set()

    def take(self, name: str, factor: Factor, scale: float | Tensor) -> None:
        """Let a use of a parameter need ``factor``, which is ``scale`` of it."""
        self._used.add(name)
        held = parameter(name, self._tree)
        key = name if held is None else id(held)  # a weight that is computed has a name only
        known = self._taken.setdefault(key, (name, factor, scale))[1]
        if not known.equals(factor):
            site = (factor.sites or known.sites)[-1]
            raise refusal(site, f"{name!r} is used more than once, and the factor belongs to one use only")

    def taken(self) -> dict[str, float | Tensor]:
        """Return the factors other than 1, by the names of the weights."""
        for place, module in self._tree.modules.items():
            for attribute, held in module._parameters.items():
                name = f"{place}.{attribute}" if place else attribute
                if held is not None and id(held) in self._taken and name not in self._used:
                    self.take(name, ONE, 1.0)  # it has this name for a use of another kind, if only elsewhere
        return {name: scale for name, factor, scale in self._taken.values() if not factor.equals(ONE)}


def parameter(name: str, tree: Tree) -> nn.Parameter | None:
    """Return the parameter of this name, None if there is none."""
    module, _, attribute = name.rpartition(".")
    held = tree.modules.get(module)
    return None if held is None else held._parameters.get(attribute)


def _called(node: fx.Node, tree: Tree) -> str:
    if node.op == "call_module":
        module = tree.modules[str(node.target)]
        hooked = " with forward pre-hooks" if module._forward_pre_hooks else ""
        return f"module {str(node.target)!r} ({type(module).__name__}{hooked})"
    return function_name(node) or str(node.target)
