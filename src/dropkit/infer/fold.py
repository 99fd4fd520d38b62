"""Weight scaling once and for all: the factors of test time go into the weights that follow."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from dropkit.core import NoMatchError, PlanError
from dropkit.infer.factors import refusal, weight_factors
from dropkit.infer.flow import Marks, traced, watched
from dropkit.nn import Dropout
from dropkit.ops.rate import Rate, resolve_rate
from dropkit.surgery.applying import drops_on
from dropkit.surgery.calls import CallForward
from dropkit.surgery.drop import Drop, InputHook
from dropkit.surgery.tree import Tree


def fold(model: nn.Module, *, example_inputs: Any = None) -> nn.Module:
    """Return a copy of a weight-scaled model without its sites: their factors are in the weights that follow them.

    A site with ``scaling="test"`` multiplies by ``1 - rate`` in eval mode. Where all that its output meets on the way
    to linear maps passes a factor on (reshaping, indexing, pooling, identity, other dropout, a product with something
    else, a sum of tensors with the same factor), the weights of the maps are multiplied instead:
    ``W ((1 - rate) x) = ((1 - rate) W) x``; of inputs that were put together from several, the columns. A linear map
    is a linear, bilinear or (transposed) convolution layer, the input of a recurrent layer or of attention, or a
    product with a parameter by a function. In eval mode the copy computes what the model does, up to rounding.

    Args:
        model: A model with ``dropkit.nn.Dropout(scaling="test")``, or with such sites of applied plans. It stays as
            it is.
        example_inputs: A tensor, a tuple of positional arguments or a dict of keyword arguments. Without it the
            forward is traced with symbols, which fails where it depends on values or shapes; with it, it is run once.

    Returns:
        nn.Module: A deep copy in eval mode; modules that were sites are ``nn.Identity``, sites of plans are gone,
        weights that were computed by a parametrization (weight norm ...) are parameters, and dropout of any other kind
        stays.

    Raises:
        NoMatchError: No site has ``scaling="test"``.
        PlanError: A site cannot be folded; the text names it and says why: a nonlinearity or normalisation before the
            next linear map, no such map, a sum with what does not have its factor, a weight whose other uses do not
            have it.

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
    found = weight_factors(graph, {site.id: site.factor() for site in sites}, looked)
    with torch.no_grad():
        for name, factor in found.items():
            _scale(name, factor, tree)
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
            raise refusal(self.id, f"it is at {place.on!r}, inside of a step that no linear map follows")
        if place.function:
            marks.calls.setdefault(self.module, {})[place.function, place.index, place.on] = self.id
        else:
            where = marks.before if isinstance(self.drop, InputHook) else marks.after
            where.setdefault(self.module, []).append(self.id)


def _sites(tree: Tree) -> list[_Site]:
    found = []
    for name, module in tree.modules.items():
        if isinstance(module, Dropout) and module.scaling == "test":
            _check_plain(module, name)
            found.append(_Site(name, module.rate, name))
        for drop in drops_on(module):
            if drop.site.options.get("scaling") == "test":
                found.append(_Site(drop.site.id, drop.rate, name, drop))
    return found


def _check_plain(module: nn.Module, name: str) -> None:
    """Raise ``PlanError`` if a site does more than its class says, which would be gone with it."""
    own = module.__dict__.get("forward")
    if type(module).forward is not Dropout.forward or not isinstance(own, CallForward | None):
        raise refusal(name, "it has a forward of its own")
    hooks = [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
    if not all(isinstance(hook, Drop) for hook in hooks):
        raise refusal(name, "it has hooks")


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


def _scale(name: str, factor: float | Tensor, tree: Tree) -> None:
    """Multiply a weight; one that is computed from other parameters becomes a parameter first."""
    path, _, attribute = name.rpartition(".")
    module = tree.modules[path]
    if parametrize.is_parametrized(module, attribute):
        _bake(module)
    weight = cast(nn.Parameter, module._parameters[attribute])
    weight.mul_(torch.as_tensor(factor, dtype=torch.float64).to(weight))


def _bake(module: nn.Module) -> None:
    """Make parameters of what a copied module computes from others; torch would change the original's class too."""
    values = {name: getattr(module, name) for name in module.parametrizations}  # type: ignore[union-attr]
    del module.parametrizations
    module.__class__ = type(module).__bases__[0]
    for name, value in values.items():
        module.register_parameter(name, nn.Parameter(value.detach().clone()))


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
