"""The dropout that a model already has, on dropkit's kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import nn

from dropkit.core import NoMatchError, PlanError
from dropkit.surgery.applied import Applied, forget_compiled_code
from dropkit.surgery.applying import replicates
from dropkit.surgery.builtin import (
    built_in,
    has_fast_path,
    has_foreign_hooks,
    own_function,
    own_site,
)
from dropkit.surgery.calls import CallForward
from dropkit.surgery.existing import dropout_class
from dropkit.surgery.mentions import Mentions, scripted_dropout
from dropkit.surgery.plans import Site
from dropkit.surgery.rates import shown
from dropkit.surgery.table import table
from dropkit.surgery.taking import Acceleration, DropoutForward, Skipped, Taking
from dropkit.surgery.trace import trace
from dropkit.surgery.tree import Tree


class Accelerated(Applied):
    """A model's own dropout on dropkit's kernels. Made by :func:`dropkit.accelerate`; print it to see what it reached.

    Args:
        model: The model, as it was given.
        acceleration: What its stand-ins belong to.
    """

    _what = "acceleration"

    def __init__(self, model: nn.Module, acceleration: Acceleration) -> None:
        self._acceleration = acceleration
        held = [(module, module.__dict__.get("forward")) for module in Tree(model).modules.values()]
        super().__init__(model, [(m, f) for m, f in held if acceleration_of(f) is acceleration])
        self._known: list[Callable[[], Site | None]] = [_known_site(*item) for item in self._stand_ins]

    @property
    def sites(self) -> tuple[Site, ...]:
        """What runs on dropkit, with the rates of now.

        Calls of functions in code that is not torch's own are here from when they have been made, with the rate
        of the last one outside compiled code, NaN before that.
        """
        found = {site.id: site for known in self._known if (site := known()) is not None}
        found = found | {k: site for k, site in self._acceleration.seen.items() if k not in found}
        skipped = self._acceleration.skipped.keys() - self._acceleration.seen.keys()
        return tuple(site for name, site in found.items() if name not in skipped)

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """What drops, or may, and is left as it is, with ``.id`` and ``.reason``; calls from when they were made."""
        return tuple(Skipped(*item) for item in self._acceleration.skipped.items())

    def _detach(self) -> None:
        for module, stand_in in self._stand_ins:
            take_off(module, stand_in)

    def __str__(self) -> str:
        """Return a table: a line a site, then what was skipped."""
        rows = [(site.id, site.variant, shown(site.rate), site.type) for site in self.sites]
        title = f"accelerated: {len(rows)} site(s)" if self.active else "accelerated: reverted"
        notes = [f"skipped: {site.id!r}, {site.reason}" for site in self.skipped]
        return "\n".join([title, *table(("site", "variant", "rate", "module"), rows), *notes])


def accelerate(model: nn.Module, *, example_inputs: Any = None) -> Accelerated:
    """Run the dropout that ``model`` already has on dropkit's kernels: same places, same rates, other masks.

    Reached are torch's dropout modules and ``F.dropout`` and its relatives, ``F.scaled_dot_product_attention``,
    multi-head attention, and the dropout between layers of recurrent modules, wherever a forward calls them. Rates,
    training flags and ``inplace`` are read at every call. Under a stream the masks are those of sites named
    ``<module>`` and ``<module>:<function>#k``. Parameters, hooks, state_dict keys and the model's code stay as they
    are.

    Args:
        model: Any module, which may be compiled or wrapped in DDP.
        example_inputs: A tensor, a tuple of positional arguments or a dict of keyword arguments. With it, one
            forward is run, which leaves no trace, and ``.sites`` and ``.skipped`` are complete from the start.

    Returns:
        A handle with ``.sites``, ``.skipped``, ``.active`` and ``.revert()``; also a context manager.

    Raises:
        NoMatchError: The model has no dropout that could be reached.
        PlanError: The model is accelerated already, or its modules cannot be reached.
    """
    tree = Tree(model)
    if replicates(model):
        raise PlanError(
            "dropout cannot be reached in the replicas of DataParallel; use DistributedDataParallel, or one device"
        )
    for module in tree.modules.values():
        if acceleration_of(module.__dict__.get("forward")) is not None:
            raise PlanError("the model is accelerated already; revert that first")
    acceleration = Acceleration()
    try:
        certain = attach(tree, acceleration)
        if example_inputs is not None:
            trace(tree, example_inputs)
        if not (certain or acceleration.seen):
            raise _nothing(acceleration, example_inputs is not None)
    except BaseException:
        for module in tree.modules.values():
            if acceleration_of(stand_in := module.__dict__.get("forward")) is acceleration:
                take_off(module, stand_in)
        raise
    forget_compiled_code()
    return Accelerated(model, acceleration)


def acceleration_of(forward: Any) -> Acceleration | None:
    """Return what a module's ``forward`` is part of, or None."""
    if isinstance(forward, DropoutForward):
        return forward.acceleration
    if isinstance(forward, CallForward) and forward.taking is not None:
        return forward.taking.acceleration
    return None


def attach(tree: Tree, acceleration: Acceleration) -> bool:
    """Put stand-ins where a call may drop. Return whether one surely can."""
    certain, mentions = False, Mentions()
    watch_root = has_foreign_hooks(tree)
    for name, module in tree.modules.items():
        if name in tree.scripted:
            parent = tree.parent(name)
            if (parent is None or tree.name_of(parent) not in tree.scripted) and scripted_dropout(module):
                acceleration.skipped[name] = "it is TorchScript; accelerate the Python model it was made from"
        elif (cls := dropout_class(module)) is not None:
            module.__dict__["forward"] = DropoutForward(module, cls, acceleration, name)
            certain = True
        else:
            known = built_in(module)
            mentioned = not known and mentions.dropout(module)
            own = own_function(module)
            watched = not known or own is not None or (watch_root and not name)
            if watched or has_fast_path(module):
                CallForward.of(module).taking = Taking(
                    acceleration,
                    name,
                    type(module).__name__,
                    own=own,
                    in_training=watched,
                    in_eval=mentioned,
                    has_fast_path=has_fast_path(module),
                )
            certain = certain or mentioned or own_site(module, name) is not None
    return certain


@contextmanager
def without_acceleration(tree: Tree) -> Iterator[None]:
    """Run the body with the model's dropout on PyTorch, as if it had never been accelerated."""
    held = [(module, module.__dict__.get("forward")) for module in tree.modules.values()]
    taken = [(m, f, getattr(f, "taking", None)) for m, f in held if acceleration_of(f) is not None]
    try:
        for module, stand_in, _ in taken:
            if isinstance(stand_in, CallForward):
                stand_in.taking = None  # plans may act here, too
            else:
                del module.__dict__["forward"]
        yield
    finally:
        for module, stand_in, taking in taken:
            if isinstance(stand_in, CallForward):
                stand_in.taking = taking
            else:
                module.__dict__["forward"] = stand_in


def _known_site(module: nn.Module, stand_in: Any) -> Callable[[], Site | None]:
    if isinstance(stand_in, DropoutForward):
        return stand_in.own_site
    return partial(own_site, module, stand_in.taking.name)


def take_off(module: nn.Module, stand_in: Any) -> None:
    """Give a module its own forward back."""
    if isinstance(stand_in, CallForward):
        stand_in.taking = None
        stand_in.leave_if_idle()
    else:
        del module.__dict__["forward"]


def _nothing(acceleration: Acceleration, looked: bool) -> NoMatchError:
    if acceleration.skipped:
        reasons = "; ".join(f"{name!r}: {reason}" for name, reason in acceleration.skipped.items())
        return NoMatchError(f"none of the model's dropout can be reached: {reasons}")
    if looked:
        return NoMatchError("the model dropped nothing on example_inputs; use dropkit.plan to add dropout")
    return NoMatchError(
        "the model has no dropout module, and its code names no function that drops; pass example_inputs= to look by "
        "running one forward, or use dropkit.plan to add dropout"
    )
