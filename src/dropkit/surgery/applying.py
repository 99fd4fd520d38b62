"""Attaching a plan to a model, all of it or nothing, and taking it off again."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from torch import nn

from dropkit.core import NoMatchError, PlanError, variant
from dropkit.surgery.applied import Applied, forget_compiled_code
from dropkit.surgery.attending import AttentionDrop
from dropkit.surgery.branching import BranchDrop
from dropkit.surgery.calls import LAYER, CallForward, Key
from dropkit.surgery.drop import Drop, InputHook, OutputHook
from dropkit.surgery.forms import is_held, wraps_module
from dropkit.surgery.held import check_uncollected, join, part
from dropkit.surgery.plans import Plan, Site
from dropkit.surgery.skipping import LayerSkip
from dropkit.surgery.tree import Tree, type_names
from dropkit.surgery.weights import check_weights, weight_site
from dropkit.surgery.wrapping import WrapperSite, check_wrapper, wraps_weight


class AppliedPlan(Applied):
    """A plan attached to a model. Made by :meth:`Plan.apply`; a context manager that reverts on exit.

    Args:
        model: The model, as it was given.
        plan: The plan.
    """

    def __init__(self, model: nn.Module, plan: Plan) -> None:
        self.plan = plan
        self._modules: tuple[nn.Module, ...] = tuple(Tree(model).modules.values())
        held = [(module, module.__dict__.get("forward")) for module in self._modules]
        super().__init__(
            model,
            [(m, forward) for m, forward in held if isinstance(forward, CallForward) and forward.holds(plan)],
        )

    @property
    def sites(self) -> tuple[Site, ...]:
        """The plan's sites."""
        return self.plan.sites

    def _detach(self) -> None:
        _detach(self._modules, self.plan)


def apply(plan: Plan, model: nn.Module) -> AppliedPlan:
    """Attach ``plan`` to ``model``; see :meth:`Plan.apply`."""
    tree = Tree(model)
    _check_free(plan, tree)
    for site in plan.sites:
        _check_site(site, model, tree)
    check_uncollected(plan.sites, model)
    with _undone_on_error(tree, plan):
        _attach(plan, tree)
        _join(plan, tree)
    applied = AppliedPlan(model, plan)
    forget_compiled_code()
    return applied


def _check_free(plan: Plan, tree: Tree) -> None:
    ids = {site.id for site in plan.sites}
    for module in tree.modules.values():
        for drop in drops_on(module):
            if drop.belongs_to(plan):
                raise PlanError("this plan is already applied to the model; revert it first")
            if drop.site.id in ids:
                raise PlanError(
                    f"site {drop.site.id!r} already has {drop.site.variant!r} from another plan; revert that first, "
                    "or apply the sum of both with override=True on the rule that wins"
                )


def _check_site(site: Site, model: nn.Module, tree: Tree) -> None:
    module = tree.modules.get(site.module)
    if module is None:
        near = get_close_matches(site.module, list(tree.modules), n=1)
        hint = f"nearest: {near[0]!r}" if near else "plan again for this model"
        raise NoMatchError(f"site {site.id!r}: the model has no module {site.module!r}; {hint}")
    if site.type not in type_names(module):
        raise PlanError(
            f"site {site.id!r}: module {site.module!r} is a {type(module).__name__}, planned for a {site.type}; "
            "plan again for this model"
        )
    if site.module in tree.scripted:
        raise PlanError(
            f"site {site.id!r} is inside a torch.jit.ScriptModule, where nothing can be attached; apply the plan "
            "to the Python model it was made from"
        )
    inside = wraps_module(variant(site.variant)) or wraps_weight(site, module)
    if inside:
        check_wrapper(site, module)
    elif site.on == "weight":
        check_weights(site, module)
    inside = inside or site.on == "layer"
    if (site.function or site.on == "weight" or inside) and replicates(model):
        what = (
            "a function call" if site.function else "a weight" if site.on == "weight" else "inside a forward"
        )
        raise PlanError(
            f"site {site.id!r} is {what}, which cannot be reached in the replicas of DataParallel; use "
            "DistributedDataParallel"
        )


def replicates(model: nn.Module) -> bool:
    """Whether a call of ``model`` runs copies of it, whose stand-ins would lead to the original."""
    return isinstance(model, nn.DataParallel) and len(model.device_ids) > 1


def _attach(plan: Plan, tree: Tree) -> None:
    calls: dict[str, dict[Key, Drop]] = {}
    for site in plan.sites:
        module = tree.modules[site.module]
        if wraps_module(variant(site.variant)) or wraps_weight(site, module):
            CallForward.of(module).wrapper = WrapperSite(plan, site, module)
        elif site.on == "weight":
            CallForward.of(module).add_weights(weight_site(plan, site, module))
        elif site.function:
            calls.setdefault(site.module, {})[site.function, site.index, site.on] = _at_call(plan, site)
        elif site.on == "layer":
            calls.setdefault(site.module, {})[LAYER] = LayerSkip(plan, site, _parameters(module))
        elif site.on in ("output", "branch"):
            module.register_forward_hook(OutputHook(plan, site))
        else:
            module.register_forward_pre_hook(InputHook(plan, site, _parameters(module)), with_kwargs=True)
    if calls:
        # Modules that call activations without being sites still bound the count of their callers.
        for name in dict.fromkeys((*calls, *plan.callers)):
            if name in tree.modules and name not in tree.scripted:
                CallForward.of(tree.modules[name]).add(plan, calls.get(name, {}))


def _join(plan: Plan, tree: Tree) -> None:
    for module in tree.modules.values():
        for drop in drops_on(module):
            if drop.belongs_to(plan) and is_held(variant(drop.site.variant)):
                drop.hold(join(drop.site, module))


def _at_call(plan: Plan, site: Site) -> Drop:
    kinds = {"attention": AttentionDrop, "branch": BranchDrop}
    return kinds.get(site.on, Drop)(plan, site)


def _parameters(module: nn.Module) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(module.forward).parameters)
    except (TypeError, ValueError):  # a forward that tells nothing: the order of the call will do
        return ()


@contextmanager
def _undone_on_error(tree: Tree, plan: Plan) -> Iterator[None]:
    try:
        yield
    except BaseException:
        _detach(tuple(tree.modules.values()), plan)
        raise


def _detach(modules: tuple[nn.Module, ...], plan: Plan) -> None:
    drops = [drop for module in modules for drop in drops_on(module) if drop.belongs_to(plan)]
    part(modules, [drop.held for drop in drops if drop.held is not None])
    for module in modules:
        for hooks in (module._forward_hooks, module._forward_pre_hooks):
            for key in [k for k, hook in hooks.items() if isinstance(hook, Drop) and hook.belongs_to(plan)]:
                del hooks[key]
                module._forward_pre_hooks_with_kwargs.pop(key, None)
        forward = module.__dict__.get("forward")
        if isinstance(forward, CallForward):
            forward.remove(plan)
            forward.leave_if_idle()


def drops_on(module: nn.Module) -> list[Drop]:
    """Return what plans have attached to ``module``."""
    hooks: list[Any] = [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
    found = [hook for hook in hooks if isinstance(hook, Drop)]
    forward = module.__dict__.get("forward")
    return found + (forward.drops() if isinstance(forward, CallForward) else [])
