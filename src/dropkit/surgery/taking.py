"""How the dropout of one module, or of the functions that it calls, comes to run on dropkit."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from dropkit.random.stream import Stream, innermost
from dropkit.surgery.existing import BY_HAND, CALLS, FUNCTIONAL, MODULES, PLAIN, WRITERS
from dropkit.surgery.frames import UNWATCHED, FrameMode, innermost_mode
from dropkit.surgery.plans import Site, site_id

_PARTLY = "it is inside a checkpointed part of a forward, whose recomputation could not be reached"
_BY_HAND = "it draws random numbers itself, and what becomes of them is not known"


class Skipped(NamedTuple):
    """A place where a model drops, or may drop, that is left as it is.

    Args:
        id: ``<module>`` or ``<module>:<function>#k``.
        reason: Why, as a sentence's end.
    """

    id: str
    reason: str


class Acceleration:
    """One :func:`dropkit.accelerate`, as the stand-ins of the model know it; copied and pickled with them.

    Attributes:
        seen: Calls that have run on dropkit, by id.
        skipped: What has not, and why, by id.
        forced: Rates of calls, by id, that drop whatever their arguments say: one for all times that a forward comes to
            them, or one for each.
        met: Ids of the calls that a look has met; None: there was none.
        unmet: Where a forward came to what the look has not met, and which may drop; None: nowhere yet.
    """

    def __init__(self) -> None:
        self.seen: dict[str, Site] = {}
        self.skipped: dict[str, str] = {}
        self.forced: dict[str, tuple[float, ...]] = {}
        self.met: frozenset[str] | None = None
        self.unmet: str | None = None
        self._turns: Counter[str] = Counter()  # times that a forward has come to calls of several rates
        self._forward: Stream | None = None  # the stream that stands for that forward

    def forced_rate(self, name: str) -> float:
        """Return the rate of a forced call, this time."""
        rates = self.forced[name]
        if len(rates) == 1:
            return rates[0]
        if self._forward is not innermost():
            self._forward = innermost()
            self._turns.clear()
        turn = self._turns[name]
        self._turns[name] += 1
        if turn >= len(rates):
            self.unmet = name
            return rates[-1]
        return rates[turn]


# Compiled code calls what is marked like this once, while it is traced, as torch.compiler.assume_constant_result
# has it; the books are kept without being part of the graph, and without a guard.
def _note_seen(
    acceleration: Acceleration,
    name: str,
    module: str,
    kind: str,
    function: str,
    index: int,
    variant: str,
    rate: float,
) -> None:
    if math.isnan(rate) and name in acceleration.seen:
        return
    acceleration.seen[name] = Site(
        id=name,
        module=module,
        on="output",
        variant=variant,
        rate=rate,
        type=kind,
        function=function,
        index=index,
    )


def _note_skipped(acceleration: Acceleration, name: str, reason: str) -> None:
    acceleration.skipped[name] = reason


_note_seen._dynamo_marked_constant = True  # type: ignore[attr-defined]
_note_skipped._dynamo_marked_constant = True  # type: ignore[attr-defined]


class Taking:
    """Makes the functions that one module calls run on dropkit.

    Args:
        acceleration: What it belongs to.
        name: Dotted name of the module.
        kind: Its class.
        own: The function that its forward is about, whose first call is the module's own site; or None.
        in_training: Whether its forward has to be watched in training mode, as it may call what drops.
        in_eval: Whether in eval mode too.
        has_fast_path: Whether the module has fused code for eval mode, which it leaves where a mode looks on.
    """

    def __init__(
        self,
        acceleration: Acceleration,
        name: str,
        kind: str,
        *,
        own: str | None,
        in_training: bool,
        in_eval: bool,
        has_fast_path: bool,
    ) -> None:
        self.acceleration = acceleration
        self.name = name
        self.in_training = in_training
        self.in_eval = in_eval
        self.has_fast_path = has_fast_path
        self._kind = kind
        self._own = own

    def call(
        self,
        mode: FrameMode,
        index: int,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        partly: bool,
    ) -> Any:
        """Run a call that drops, or may drop.

        Args:
            mode: The mode that saw it.
            index: Its number among the calls of the function in this forward.
            func: The function.
            args: Positional arguments.
            kwargs: Keyword arguments.
            partly: Whether it is inside a checkpointed part of the forward.
        """
        existing = CALLS.get(func)
        if existing is None:
            name = site_id(self.name, "output", BY_HAND[func], index)
            _note_skipped(self.acceleration, name, _BY_HAND)
            return func(*args, **kwargs)
        values = existing.bind(args, kwargs)
        function = "" if existing.name == self._own and index == 0 else existing.name
        name = site_id(self.name, "output", function, index)
        if name in self.acceleration.forced:
            rate = self.acceleration.forced_rate(name)
            told = func in PLAIN and existing.rate(values) is None and values["p"]
            values = existing.dropping(values, values["p"] if told else rate)
        rate = existing.rate(values)
        if rate is None:
            met = self.acceleration.met
            if met is not None and name not in met and func in PLAIN and values["p"]:
                self.acceleration.unmet = name
            return func(*args, **kwargs)
        reason = _PARTLY if partly else existing.refusal(values)
        if reason is not None:
            _note_skipped(self.acceleration, name, reason)
            return func(*args, **kwargs)
        note = (self.name, self._kind, function, index, existing.variant, _number(rate))
        _note_seen(self.acceleration, name, *note)
        return existing.run(mode, func, values, name)


def _number(rate: Any) -> float:
    # In compiled code a float that has changed once is a symbol, which a note cannot hold.
    known = isinstance(rate, (int, float)) and not torch.compiler.is_compiling()
    return float(rate) if known else math.nan


class DropoutForward:
    """Stands in for the forward of one of torch's dropout modules.

    Args:
        module: The module.
        cls: The class of torch's whose forward it has.
        acceleration: What it belongs to.
        name: Dotted name of the module.
    """

    def __init__(
        self, module: nn.Module, cls: type[nn.Module], acceleration: Acceleration, name: str
    ) -> None:
        self.module = module
        self.acceleration = acceleration
        self.name = name
        self.site = site_id(name, "output")
        self._cls = cls

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        """The original forward, bound: where ``inspect.signature`` looks."""
        bound: Callable[..., Any] = type(self.module).forward.__get__(self.module)
        return bound

    @property
    def __code__(self) -> Any:
        """The code of the original forward: where ``torch.export`` looks."""
        return self.__wrapped__.__code__

    def own_site(self) -> Site:
        """Return the site, with the rate of now."""
        module = self.module
        variant = FUNCTIONAL[MODULES[self._cls]].variant
        return Site(
            id=self.site,
            module=self.name,
            on="output",
            variant=variant,
            rate=_number(module.p),
            type=type(module).__name__,
        )

    def __call__(self, input: Tensor) -> Any:
        """Run the forward."""
        module = self.module
        if not module.training:
            return self._original(input)
        mode = innermost_mode()
        if mode is not None and mode.has_dropped(input):
            return input
        function = MODULES[self._cls]
        twin = FUNCTIONAL[function]
        reason = twin.cannot_take(input)
        if reason is not None:
            _note_skipped(self.acceleration, self.site, reason)
            return self._original(input)
        inplace = self._cls in WRITERS and bool(module.inplace)
        return twin.drop(function, input, module.p, inplace, self.site)

    def _original(self, input: Tensor) -> Any:
        mode = innermost_mode()
        if mode is None:
            return type(self.module).forward(self.module, input)
        mode.frames.append(UNWATCHED)  # or the function in it would count as one of the caller's
        try:
            return type(self.module).forward(self.module, input)
        finally:
            mode.frames.pop()
