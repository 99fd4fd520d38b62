"""A copy of a model in which everything that drops does so, and nothing else has changed."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from dropkit.core import NoMatchError, PlanError, StreamError, catalogue
from dropkit.nn.module import RateModule
from dropkit.ops import drop_path
from dropkit.random import Schedule
from dropkit.surgery.accelerating import acceleration_of, attach, take_off
from dropkit.surgery.applying import drops_on
from dropkit.surgery.auditing.audit import place
from dropkit.surgery.auditing.known import TORCH_DROPOUT, rate_attribute
from dropkit.surgery.auditing.watch import Seen, Watch
from dropkit.surgery.calls import CallForward
from dropkit.surgery.configs import configs
from dropkit.surgery.copying import copied, only_the_copy
from dropkit.surgery.mentions import scripted_dropout
from dropkit.surgery.plans import site_id
from dropkit.surgery.row_dropping import drops_rows
from dropkit.surgery.state import Restarting
from dropkit.surgery.taking import Acceleration
from dropkit.surgery.tree import Tree
from dropkit.surgery.untouched import untouched
from dropkit.surgery.writing import Guard

# Modules of torch whose training mode means dropping, and nothing else.
_SWITCHED = (
    *TORCH_DROPOUT,
    nn.RNNBase,
    nn.MultiheadAttention,
    nn.TransformerEncoder,
    nn.TransformerEncoderLayer,
    nn.TransformerDecoder,
    nn.TransformerDecoderLayer,
)
_ON_BATCH = ("attention",)  # kinds of sites whose mask has its batch first, wherever the model has its own
_STATISTICS = 64  # bytes an element of the outputs: eight tensors in double precision
_LOOKING = threading.Lock()  # random states of the process are put back after a look
_PATH = re.compile(r"drop_?path|stochastic_?depth", re.IGNORECASE)


class Sampler:
    """A model that drops in eval mode, on dropkit's kernels. Made by :func:`sampler`.

    Attributes:
        model: The copy; parameters are the original's, buffers are its own.
        sites: Ids of the sites that a forward pass in training mode is random at.
        memory: Bytes that a member needs: tensors that were alive at once in that pass, a copy of the inputs, and what
            statistics of the outputs take; parameters left out.
        before: Share of the pass's work that came before the first of the sites, in ``[0, 1]``.
        reads: Whether its code reads values that dropout has changed, of all samples that it is given.
        shapes: Shapes of what the sites dropped in the look, whose batch may have been shorter.
        differentiates: Whether the model computes gradients in its forward.
        outputs: What the pass returned.
        rows_apart: Whether samples in one batch were found not to influence each other.
    """

    def __init__(
        self,
        model: nn.Module,
        sites: tuple[str, ...],
        memory: int,
        before: float,
        acceleration: Acceleration,
        owners: Mapping[str, nn.Module] | None = None,
    ) -> None:
        self.writes = False  # whether the model writes to its inputs
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._owners = dict(owners or {})
        self._complete = not self._owners
        self.model = model
        self.sites = sites
        self.memory = memory
        self.before = before
        self.reads = False
        self.differentiates = False
        self.rows_apart = False
        self.restarting: Restarting | None = None
        self.outputs: Any = None
        self._acceleration = acceleration

    def run(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Return what a forward pass of the model returns."""
        if not self.differentiates:
            return self.model(*args, **kwargs)
        with torch.inference_mode(False), torch.no_grad():
            return self.model(*args, **kwargs)

    def close(self) -> None:
        """Take the copy apart, which refers to itself: its buffers are gone now, not when the collector comes by."""
        if self.restarting is not None:
            self.restarting.stop()
        for module in self.model.modules():
            vars(module).pop("forward", None)
            module._forward_hooks.clear()
            module._forward_pre_hooks.clear()

    def is_complete(self, drawn: Sequence[str]) -> bool:
        """Whether a forward pass that drew masks at these sites came to all that it should.

        Code such as ``if self.training: x = F.dropout(x)`` is not come to in eval mode. The module whose code it is,
        but none inside of it, is then put into training mode, and the pass has to be made again.

        Raises:
            PlanError: A site is still not come to.
        """
        if self._complete:
            return True
        names = tuple(drawn)
        missed = {id for id in self._owners if not any(f"{name}:".startswith(f"{id}:") for name in names)}
        for id in missed:
            owner = self._owners[id]
            if owner.training:
                raise PlanError(
                    f"site {id!r} drops in training mode, and cannot be made to where the model is in eval mode; drop "
                    "with nn.Dropout, outside of any `if self.training`"
                )
        for id in missed:
            self._owners[id].training = True
        self._complete = not missed
        return self._complete

    def check_axis(self, axis: int, length: int) -> None:
        """Raise ``StreamError`` if a mask is as long as a batch that the look has not seen, and not for its sake."""
        for site, shape in self.shapes.items():
            if -len(shape) <= axis < len(shape) and shape[axis] == length:
                raise StreamError(
                    f"site {site!r} draws a mask of shape {shape}, whose axis {axis} is as long as the batch, "
                    f"{length}, but is not that of the batch; its mask cannot be the same for all samples; use "
                    "share_masks=False"
                )

    @property
    def unmet(self) -> str | None:
        """Where a forward pass came to what the look has not met, and which may drop in training; None: nowhere."""
        return self._acceleration.unmet

    def check(self) -> None:
        """Raise ``PlanError`` if a forward pass met a site that it could not bring to dropkit."""
        if self.unmet is not None:
            raise PlanError(
                f"the forward pass that looked for sites did not come to {self.unmet!r}, and another one did; where it "
                "goes has to depend on the inputs alone"
            )
        for name, reason in self._acceleration.skipped.items():
            raise PlanError(f"site {name!r} cannot be sampled from: {reason}")


def sampler(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Sampler:
    """Return a copy of ``model``, in eval mode, with every stochastic site and nothing else active.

    One forward pass of the copy in training mode finds the sites. Modules of torch and of this library that do nothing
    but drop are put into training mode; function calls are made to drop at the rates that they had in training mode;
    stochastic depth of other libraries is replaced by ``drop_path`` of the same rate. ``model`` itself is not touched,
    so other threads can go on using it.

    Args:
        model: Any module; compiled and wrapped ones are looked through.
        args: Positional arguments of a forward pass.
        kwargs: Keyword arguments.

    Raises:
        NoMatchError: Nothing in the model is random.
        StreamError: A rate is a schedule, and no stream tells for which step.
        PlanError: Something is random that cannot be reached; the text names the site.
    """
    root = Tree(model).root
    inputs = [x for x in tree_leaves((args, dict(kwargs))) if isinstance(x, Tensor)]
    tree, watch, outputs, writes = _looked_at(root, inputs, (tuple(args), dict(kwargs)))
    active = {seen.id: seen for seen in watch.seen.values() if seen.active}
    _refuse(tree, watch, active)
    if not active:
        raise _nothing(watch)
    memory = watch.alive.peak + sum(x.numel() * x.element_size() for x in inputs)
    memory += _STATISTICS * sum(x.numel() for x in tree_leaves(outputs) if isinstance(x, Tensor))
    sites = tuple(dict.fromkeys(place(tree, seen) for seen in active.values()))
    acceleration = Acceleration()
    _switch(tree, active.values())
    attach(tree, acceleration)
    for seen in active.values():
        name = site_id(seen.module, "output") if seen.id == seen.module else seen.id
        rates = tuple(rate for rate in seen.rates if rate is not None)
        if len(rates) == len(seen.rates):
            acceleration.forced[name] = rates[:1] if len(set(rates)) == 1 else rates
    acceleration.met = frozenset(watch.seen)
    for name, module in tree.modules.items():
        held = module.__dict__.get("forward")
        if isinstance(held, CallForward):
            if held.taking is not None:
                if held.taking.in_training and name not in watch.calls:
                    module.register_forward_pre_hook(partial(_note_unmet, acceleration, name))
                held.taking.in_eval = held.taking.in_training  # what may drop in training does so now
                held.taking.has_fast_path = False
            held.gather()
    owners = {
        getattr(tree.modules[seen.module], "site", None) or seen.id: _owner(tree, seen)
        for seen in active.values()
        if not seen.by_hand and not seen.own
    }
    restarting = Restarting(tree.root, [*tree.modules.values(), *tree.held])
    made = Sampler(tree.root, sites, memory, watch.work.share_before, acceleration, owners)
    made.restarting = restarting
    made.outputs = outputs
    made.reads = watch.reading.found
    made.shapes = {
        id: seen.shape for id, seen in active.items() if seen.kind not in _ON_BATCH and not seen.own
    }
    made.writes = writes
    made.differentiates = watch.differentiates
    return made


def _note_unmet(acceleration: Acceleration, name: str, *_: Any) -> None:
    acceleration.unmet = name or "(model)"


def _looked_at(
    root: nn.Module, inputs: Sequence[Tensor], given: tuple[tuple[Any, ...], dict[str, Any]]
) -> tuple[Tree, Watch, Any, bool]:
    """Return a copy of the model, what a forward pass of it showed, what that returned, and whether it changed lists or
    dicts among its inputs.
    """
    leaves, structure = tree_flatten(given)
    own: list[Tensor] = []
    by_module = False  # True only to name whom a first pass has found
    while True:
        tree = _prepared(copied(root, own))
        args, kwargs = taken = tree_unflatten(leaves, structure)  # in lists and dicts of its own
        with (
            _LOOKING,
            untouched(tree, keeping=False),
            only_the_copy(root),
            Guard(tree.root.parameters()) as guard,
        ):
            watch = Watch(tree, inputs, by_module=by_module, guard=guard)
            try:
                with watch.watching():
                    outputs = tree.root(*args, **kwargs)
            except Exception:
                if not guard.written:
                    raise
        if guard.written:
            own += guard.written  # or the forward would change the model itself
        elif by_module or not watch.host:
            left, left_structure = tree_flatten(taken)
            same = left_structure == structure and all(a is b for a, b in zip(left, leaves, strict=True))
            return tree, watch, outputs, not same
        else:
            by_module = True


def _prepared(copy: nn.Module) -> Tree:
    tree = Tree(copy)
    _check_reach(tree)
    for config in configs(tree):
        config.use_cache = False  # a prediction is of one pass: nothing is kept for a next token
    _fix_rates(tree)
    for module in tree.modules.values():
        if acceleration_of(stand_in := module.__dict__.get("forward")) is not None:
            take_off(module, stand_in)  # it comes back later, and forced
    return tree


def _owner(tree: Tree, seen: Seen) -> nn.Module:
    """Return the module whose code decides whether the site is come to."""
    module = tree.modules[seen.module]
    own = isinstance(module, (*_SWITCHED, *_sampled())) or seen.id.endswith(
        (":input", ":branch", ":layer", ":weight")
    )
    if not own:
        return module
    name, _, _ = seen.module.rpartition(".")
    while (
        name and type(tree.modules[tree.aliases[name]]).forward is nn.Module.forward
    ):  # a list or a dict of modules
        name, _, _ = name.rpartition(".")
    return tree.modules[tree.aliases[name]] if seen.module else module


def _sampled() -> tuple[type, ...]:
    """Return the modules of the catalogue that may stay random at prediction, but for ensembles, which have members."""
    return tuple(v.module for v in catalogue() if v.samples and v.module is not None and v.kind != "ensemble")


def _check_reach(tree: Tree) -> None:
    for name in sorted(tree.scripted):
        parent = tree.parent(name)
        whole = parent is None or tree.name_of(parent) not in tree.scripted
        if whole and scripted_dropout(tree.modules[name]):
            raise PlanError(
                f"module {name or '(model)'!r} is TorchScript, whose dropout cannot be reached; predict with the "
                "Python model that it was made from"
            )
    for name, parameter in tree.root.named_parameters():
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise PlanError(f"parameter {name!r} is not initialised yet; run the model once, then predict")


def _fix_rates(tree: Tree) -> None:
    """Ask schedules once, at the step of the caller's stream: the streams of members count no steps."""
    for module in tree.modules.values():
        if isinstance(module, RateModule) and isinstance(module.rate, Schedule):
            module.rate = module.rate.now()
        for drop in drops_on(module):
            if isinstance(drop.rate, Schedule):
                drop.rate = float(drop.rate.now())


def _is_path(module: nn.Module, ndim: int) -> bool:
    """Whether the module is stochastic depth as other libraries write it."""
    attribute = rate_attribute(module)
    if attribute is None or not _PATH.search(type(module).__name__):
        return False
    with _LOOKING:
        return drops_rows(module, float(getattr(module, attribute)), max(ndim, 1))


def _refuse(tree: Tree, watch: Watch, active: Mapping[str, Seen]) -> None:
    for name in watch.host:
        raise PlanError(
            f"module {name or '(model)'!r} uses Python's or NumPy's random numbers, which cannot be sampled from; "
            "write it with dropkit.ops"
        )
    for seen in active.values():
        owner = tree.modules[seen.module]
        if seen.by_hand and not _is_path(owner, len(watch.shapes.get(seen.module, (1, 1)))):
            raise PlanError(
                f"site {seen.id!r} draws random numbers by hand ({seen.source}), which no key decides; write it with "
                "dropkit.ops"
            )


def _nothing(watch: Watch) -> NoMatchError:
    if not watch.seen:
        return NoMatchError("the model is not random: no dropout was met in a forward pass in training mode")
    rates = {id: "unknown" if seen.rate is None else f"{seen.rate:g}" for id, seen in watch.seen.items()}
    sites = ", ".join(f"{id or '(model)'!r} (rate {rate})" for id, rate in rates.items())
    stopped = any(
        seen.rate for seen in watch.seen.values()
    )  # in eval mode, though the model is in training mode
    remedy = (
        "where the rate is not 0, let the flag `training` of the model decide"
        if stopped
        else "set a rate above 0"
    )
    return NoMatchError(f"the model is not random: its sites do not drop: {sites}; {remedy}")


def _switch(tree: Tree, active: Any) -> None:
    callers = {seen.module for seen in active if seen.own}
    paths = {seen.module for seen in active if seen.by_hand}
    ours = RateModule, *_sampled()
    for name, module in tree.modules.items():
        # a flag is all that switches our ops in somebody's forward
        module.training = isinstance(module, (*_SWITCHED, *ours)) or name in callers
        if isinstance(module, ours) and getattr(module, "site", "") is None:
            # or its masks would depend on the order of calls
            setattr(module, "site", name)  # noqa: B010  (mypy refuses the plain assignment)
        if name in paths:
            module.__dict__["forward"] = _Path(module, name)
        for drop in drops_on(module):
            drop.forced = True


class _Path:
    """Stands in for the forward of stochastic depth as other libraries write it."""

    def __init__(self, module: nn.Module, site: str) -> None:
        self._module = module
        self._site = site

    def __call__(self, x: Tensor) -> Tensor:
        attribute = rate_attribute(self._module)
        rate = float(getattr(self._module, attribute)) if attribute else 0.0
        return drop_path(x, rate, training=True, site=self._site)
