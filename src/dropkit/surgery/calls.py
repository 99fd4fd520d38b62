"""Sites that are function calls: a function mode around the forward of the module that makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack

from dropkit.core import PlanError
from dropkit.random.recompute import Tape, region
from dropkit.surgery.activations import FUNCTION_NAMES
from dropkit.surgery.drop import Drop, call
from dropkit.surgery.plans import Place, Plan

Key = tuple[str, int, Place]


class CallForward:
    """Stands in for ``module.forward`` while plans have functional sites in it, or beside it.

    It lies in the instance's ``__dict__``, so the class and its code stay as they are. A copy or a pickle of the
    model gets its own. In eval mode, where no site acts, the original is called directly.

    Args:
        module: The module whose forward it is.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.original: Callable[..., Any] | None = module.__dict__.get("forward")
        self.parts: list[tuple[Plan, dict[Key, Drop]]] = []
        self._drops: dict[Key, Drop] = {}
        self._in_eval = False

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        """The original forward, bound: where ``inspect.signature`` looks."""
        bound: Callable[..., Any] = type(self.module).forward.__get__(self.module)
        return bound if self.original is None else self.original

    def add(self, plan: Plan, drops: dict[Key, Drop]) -> None:
        """Add the sites of a plan; none where only the boundary of the module matters."""
        self.parts.append((plan, drops))
        self._gather()

    def remove(self, plan: Plan) -> None:
        """Take the sites of a plan away again."""
        self.parts = [(held, drops) for held, drops in self.parts if held is not plan and held != plan]
        self._gather()

    def holds(self, plan: Plan) -> bool:
        """Whether ``plan`` has a part here."""
        return any(held is plan or held == plan for held, _ in self.parts)

    def drops(self) -> list[Drop]:
        """Return what acts here."""
        return list(self._drops.values())

    def _gather(self) -> None:
        self._drops = {key: drop for _, drops in self.parts for key, drop in drops.items()}
        self._in_eval = any(drop.acts_in_eval for drop in self._drops.values())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the original forward."""
        outer = innermost_mode()
        acts = bool(self._drops) and (self.module.training or self._in_eval)
        if not acts and outer is None:
            return self._run(args, kwargs)
        with CallMode(self._drops if acts else {}, self.module, outer):
            return self._run(args, kwargs)

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.original is not None:
            return self.original(*args, **kwargs)
        return type(self.module).forward(self.module, *args, **kwargs)


class CallMode(TorchFunctionMode):
    """Counts the activation functions that one forward of one module calls, and drops at the sites.

    Modes nest as modules do. A call made by an inner module reaches the outer mode as well, which ignores it:
    it is ``shadowed`` then. Modes belong to a thread, so other threads are not affected.
    """

    def __init__(self, drops: dict[Key, Drop], module: nn.Module, outer: CallMode | None) -> None:
        super().__init__()
        self.shadowed = 0
        self._drops = drops
        self._module = module
        self._outer = outer
        self._counts: dict[str, int] = {}
        self._region = _checkpointed()

    def __enter__(self) -> CallMode:
        if self._outer is not None:
            self._outer.shadowed += 1
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        if self._outer is not None:
            self._outer.shadowed -= 1
        super().__exit__(*error)  # type: ignore[no-untyped-call]

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.shadowed:
            return func(*args, **kwargs)
        function = FUNCTION_NAMES.get(func)
        if function is None:
            return func(*args, **kwargs)
        index = self._counts.get(function, 0)
        self._counts[function] = index + 1
        before = self._drops.get((function, index, "input"))
        after = self._drops.get((function, index, "output"))
        drop = before or after
        if drop is not None and _checkpointed() is not self._region:
            raise PlanError(
                f"site {drop.site.id!r} is inside a checkpointed part of a forward, whose recomputation cannot be "
                "reached; checkpoint whole modules, or leave the site out with except_="
            )
        return call(func, args, kwargs, before, after, self._module.training)


def _checkpointed() -> Tape | None:
    """Return what stands for the checkpointed region around this call, None outside of any."""
    return None if torch.compiler.is_compiling() else region().innermost


def innermost_mode() -> CallMode | None:
    """Return the mode of the nearest module around this call that has one."""
    for mode in reversed(_get_current_function_mode_stack()):  # type: ignore[no-untyped-call]
        if isinstance(mode, CallMode):
            return mode
    return None
