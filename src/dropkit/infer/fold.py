"""Weight scaling once and for all: the factors of test time go into the weights that follow."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from dropkit.core import NoMatchError, PlanError
from dropkit.infer.flow import Marks, is_mark, site_of, traced, watched
from dropkit.infer.linear_maps import asks, function_name, passes, weights
from dropkit.nn import Dropout
from dropkit.ops.rate import Rate, resolve_rate
from dropkit.surgery.applying import drops_on
from dropkit.surgery.calls import CallForward
from dropkit.surgery.drop import Drop, InputHook
from dropkit.surgery.tree import Tree

_ADDING = frozenset(
    ("add", "iadd", "radd", "sub", "isub", "rsub", "cat", "concat", "stack", "addcmul", "addmm", "baddbmm")
)


def fold(model: nn.Module, *, example_inputs: Any = None) -> nn.Module:
    """Return a copy of a weight-scaled model without its sites: their factors are in the weights that follow them.

    A site with ``scaling="test"`` multiplies by ``1 - rate`` in eval mode. Where all that its output meets on the way
    to one linear map passes a factor on (reshaping, indexing, pooling, identity, other dropout), the weight of the map
    is multiplied instead: ``W ((1 - rate) x) = ((1 - rate) W) x``. A linear map is a linear, bilinear or (transposed)
    convolution layer, the input of a recurrent one, or a call of such a function or of ``matmul`` with a parameter.
    In eval mode the copy computes what the model does, up to rounding.

    Args:
        model: A model with ``dropkit.nn.Dropout(scaling="test")``, or with such sites of applied plans. It stays as
            it is.
        example_inputs: A tensor, a tuple of positional arguments or a dict of keyword arguments. Without it the
            forward is traced with symbols, which fails where it depends on values or shapes; with it, it is run once.

    Returns:
        nn.Module: A deep copy in eval mode; modules that were sites are ``nn.Identity``, sites of plans are gone, and
        dropout of any other kind stays.

    Raises:
        NoMatchError: No site has ``scaling="test"``.
        PlanError: A site cannot be folded; the text names it and says why: a nonlinearity or normalisation before the
            next linear map, no such map, an output that is added to another or used more than once, a layer that is
            used more than once.

    Reference:
        Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", JMLR 15 (2014), sec. 1
        and fig. 2: outgoing weights are multiplied by the probability of retention.
    """
    made = copy.deepcopy(Tree(model).root).eval()
    tree = Tree(made)
    sites = _sites(tree)
    if not sites:
        raise NoMatchError(
            "no site of the model has scaling='test'; there is nothing to fold, its eval mode is the scaled network"
        )
    looked = Tree(_stripped(made))
    marks = Marks(looked, calls=_callers(tree))
    for site in sites:
        site.put_on(marks)
    graph = traced(marks) if example_inputs is None else watched(marks, example_inputs)
    factors = {site.id: site.factor() for site in sites}
    found = _found(graph, factors, looked)
    with torch.no_grad():
        for site_id, names in found:
            for name in names:
                _parameter(name, tree).mul_(factors[site_id])  # type: ignore[union-attr]
    _remove(sites, tree)
    return made


@dataclass
class _Site:
    """A site with ``scaling="test"``: a module, or what a plan has put at one."""

    id: str
    rate: Rate
    module: str
    drop: Drop | None = None

    def factor(self) -> float:
        rate = resolve_rate(self.rate)
        if isinstance(rate, Tensor):
            raise PlanError(f"site {self.id!r} cannot be folded: its rate is a tensor of several values")
        return 1.0 - float(rate)

    def put_on(self, marks: Marks) -> None:
        if self.drop is None:
            marks.modules.add(self.module)
            return
        place = self.drop.site
        if place.on not in ("output", "input", "branch"):
            raise _refusal(self.id, f"it is at {place.on!r}, inside of a step that no linear map follows")
        if place.function:
            marks.calls.setdefault(self.module, {})[place.function, place.index, place.on] = self.id
        else:
            where = marks.before if isinstance(self.drop, InputHook) else marks.after
            where.setdefault(self.module, []).append(self.id)


def _sites(tree: Tree) -> list[_Site]:
    found = []
    for name, module in tree.modules.items():
        if isinstance(module, Dropout) and module.scaling == "test":
            found.append(_Site(name, module.rate, name))
        for drop in drops_on(module):
            if drop.site.options.get("scaling") == "test":
                found.append(_Site(drop.site.id, drop.rate, name, drop))
    return found


def _callers(tree: Tree) -> dict[str, Any]:
    return {
        name: {} for name, m in tree.modules.items() if isinstance(m.__dict__.get("forward"), CallForward)
    }


def _stripped(root: nn.Module) -> nn.Module:
    """Return a copy with the same parameters, without what dropkit has attached."""
    stripped = copy.deepcopy(root, {id(p): p for p in root.parameters()})
    for module in stripped.modules():
        forward = module.__dict__.get("forward")
        if isinstance(forward, CallForward):
            del module.__dict__["forward"]
            if forward.original is not None:
                module.__dict__["forward"] = forward.original
        for hooks in (module._forward_hooks, module._forward_pre_hooks):
            for key in [key for key, hook in hooks.items() if isinstance(hook, Drop)]:
                del hooks[key]
                module._forward_pre_hooks_with_kwargs.pop(key, None)
    return stripped


def _found(graph: fx.Graph, factors: dict[str, float], tree: Tree) -> list[tuple[str, list[str]]]:
    """Return, for each call of a site, the names of the parameters that take its factor."""
    uses = _uses(graph, tree)
    calls = [node for node in graph.nodes if is_mark(node)]
    for site in factors:
        if site not in map(site_of, calls):
            raise _refusal(site, "the forward does not come to it")
    found = []
    for node in calls:
        site = site_of(node)
        if factors[site] == 1.0:
            continue
        names = _next_weights(node, site, tree)
        for name in names:
            _check_weight(site, name, uses, tree)
        found.append((site, names))
    return found


def _next_weights(node: fx.Node, site: str, tree: Tree) -> list[str]:
    while True:
        users = [user for user in node.users if not asks(user) and not _is_unused_item(user)]
        if not users:
            raise _refusal(site, "its output is not used")
        if len(users) > 1 or _count(users[0], node) > 1:
            raise _refusal(
                site,
                f"its output is used more than once, by {' and '.join(_called(u, tree) for u in users[:2])}",
            )
        user = users[0]
        if user.op == "output":
            raise _refusal(site, "no linear map follows it; it is at the end of the model")
        names = weights(user, node, tree)
        if names is not None:
            return names
        if not passes(user, node, tree):
            if function_name(user) in _ADDING:
                raise _refusal(site, f"its output goes to an addition or the like, {_called(user, tree)}")
            raise _refusal(
                site,
                f"{_called(user, tree)} stands between it and the next linear map, and is no such map itself",
            )
        node = user


def _is_unused_item(node: fx.Node) -> bool:
    return function_name(node) == "getitem" and not node.users


def _count(user: fx.Node, node: fx.Node) -> int:
    met: list[fx.Node] = []
    fx.node.map_arg((user.args, user.kwargs), lambda n: met.append(n) or n)  # type: ignore[func-returns-value]
    return sum(n is node for n in met)


def _called(node: fx.Node, tree: Tree) -> str:
    if node.op == "call_module":
        return f"module {str(node.target)!r} ({type(tree.modules[str(node.target)]).__name__})"
    return "the model's output" if node.op == "output" else function_name(node) or str(node.target)


def _uses(graph: fx.Graph, tree: Tree) -> Counter[int]:
    """Count the uses of every parameter: by steps of the forward, and by further names that it is known under."""
    uses: Counter[int] = Counter()
    for node in graph.nodes:
        if node.op == "call_module":
            uses.update(id(p) for p in tree.modules[str(node.target)].parameters())
        elif node.op == "get_attr":
            held = _parameter(str(node.target), tree)
            uses[id(held)] += sum(not asks(user) for user in node.users)
    places = Counter(id(p) for m in tree.modules.values() for p in m._parameters.values() if p is not None)
    uses.update({key: count - 1 for key, count in places.items() if count > 1})
    return uses


def _check_weight(site: str, name: str, uses: Counter[int], tree: Tree) -> None:
    weight = _parameter(name, tree)
    if weight is None:
        raise _refusal(site, f"{name!r} is computed from other parameters; make it a parameter first")
    if uses[id(weight)] > 1:
        raise _refusal(site, f"{name!r} is used more than once, and the factor belongs to one use only")


def _parameter(name: str, tree: Tree) -> nn.Parameter | None:
    module, _, attribute = name.rpartition(".")
    held = tree.modules.get(module)
    return None if held is None else held._parameters.get(attribute)


def _refusal(site: str, reason: str) -> PlanError:
    return PlanError(f"site {site!r} cannot be folded: {reason}")


def _remove(sites: list[_Site], tree: Tree) -> None:
    folded = {site.module for site in sites if site.drop is None}
    gone = {id(site.drop) for site in sites if site.drop is not None}
    for module in tree.modules.values():
        for name, child in module._modules.items():
            if child is not None and tree.name_of(child) in folded:
                module._modules[name] = nn.Identity()
        for hooks in (module._forward_hooks, module._forward_pre_hooks):
            for key in [key for key, hook in hooks.items() if id(hook) in gone]:
                del hooks[key]
                module._forward_pre_hooks_with_kwargs.pop(key, None)
        forward = module.__dict__.get("forward")
        if isinstance(forward, CallForward):
            forward.parts = [
                (plan, {k: d for k, d in drops.items() if id(d) not in gone}) for plan, drops in forward.parts
            ]
            forward.gather()
    _shrink_plans(tree)


def _shrink_plans(tree: Tree) -> None:
    """Let the plans of the sites that are left know of no others, and take those without any off."""
    left = [drop for module in tree.modules.values() for drop in drops_on(module)]
    kept = {drop.site.id for drop in left}
    shrunk: dict[Any, Any] = {}

    def of(plan: Any) -> Any:
        if id(plan) not in shrunk:
            shrunk[id(plan)] = replace(plan, sites=tuple(site for site in plan.sites if site.id in kept))
        return shrunk[id(plan)]

    for module in tree.modules.values():
        forward = module.__dict__.get("forward")
        if isinstance(forward, CallForward):
            forward.parts = [(of(plan), drops) for plan, drops in forward.parts if of(plan).sites]
            forward.gather()
            forward.leave_if_idle()
    for drop in left:
        drop.plan = of(drop.plan)
