"""Sites that are function calls: a function mode around the forwards of the modules that make them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from dropkit.core import PlanError
from dropkit.nn.weights.twin import twin
from dropkit.random.recompute import Tape, region
from dropkit.surgery.activations import FUNCTION_NAMES
from dropkit.surgery.drop import Drop, call
from dropkit.surgery.existing import BY_HAND, CALLS, PLAIN
from dropkit.surgery.frames import Args, FrameMode, Func, Kwargs, Watcher, innermost_mode
from dropkit.surgery.operations import ADDITION, CASTS, SOFTMAX, is_count
from dropkit.surgery.plans import Place, Plan
from dropkit.surgery.weights import WeightSite
from dropkit.surgery.wrapping import WrapperSite

if TYPE_CHECKING:
    from dropkit.surgery.setting import Setting
    from dropkit.surgery.skipping import LayerSkip
    from dropkit.surgery.taking import Taking

Key = tuple[str, int, Place]
LAYER: Key = ("", 0, "layer")

NAMES: dict[Any, str] = {
    **FUNCTION_NAMES,
    **{function: existing.name for function, existing in CALLS.items()},
    **BY_HAND,
    **SOFTMAX,
    **ADDITION,
    **CASTS,
}
"""Every function that can be a site, or stand beside one, by the name that ids have for it."""

_RANDOM = frozenset((*CALLS, *BY_HAND))


class CallForward:
    """Stands in for ``module.forward`` while there are functional sites in it, or beside it.

    It lies in the instance's ``__dict__``, so the class and its code stay as they are. A copy or a pickle of the
    model gets its own. Where no site can act, as in eval mode, the original is called directly.

    Args:
        module: The module whose forward it is.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.original: Callable[..., Any] | None = module.__dict__.get("forward")
        self.parts: list[tuple[Plan, dict[Key, Drop]]] = []
        self.weights: list[WeightSite] = []
        self.wrapper: WrapperSite | None = None
        self.taking: Taking | None = None
        self.settings: list[Setting] = []
        self._drops: dict[Key, Drop] = {}
        self._skip: LayerSkip | None = None
        self._in_eval = False
        self._idle = True
        self._size = 0  # number of modules below, where sums are counted

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        """The original forward, bound: where ``inspect.signature`` looks."""
        bound: Callable[..., Any] = type(self.module).forward.__get__(self.module)
        return bound if self.original is None else self.original

    @classmethod
    def of(cls, module: nn.Module) -> CallForward:
        """Return the one that stands in ``module``, put there if need be."""
        held = module.__dict__.get("forward")
        if isinstance(held, CallForward):
            return held
        made = cls(module)
        module.__dict__["forward"] = made
        return made

    def bound_to(self, module: nn.Module) -> CallForward:
        """Return the same for ``module``, which stands in for this one's."""
        made = copy.copy(self)
        made.module = module
        return made

    def leave_if_idle(self) -> None:
        """Give the module its own forward back unless something still needs this one."""
        if self.parts or self.weights or self.wrapper or self.taking is not None or self.settings:
            return
        del self.module.__dict__["forward"]
        if self.original is not None:
            self.module.__dict__["forward"] = self.original

    @property
    def __code__(self) -> Any:
        """The code of the original forward: where ``torch.export`` looks."""
        return self.__wrapped__.__code__

    def add(self, plan: Plan, drops: dict[Key, Drop]) -> None:
        """Add the sites of a plan; none where only the boundary of the module matters."""
        self.parts.append((plan, drops))
        self.gather()

    def add_weights(self, site: WeightSite) -> None:
        """Let ``site`` decide the module's weights in training."""
        self.weights.append(site)
        site.enter(self.module)

    def remove(self, plan: Plan) -> None:
        """Take the sites of a plan away again."""
        self.parts = [(held, drops) for held, drops in self.parts if held is not plan and held != plan]
        for site in [site for site in self.weights if site.belongs_to(plan)]:
            self.weights.remove(site)
            site.leave(self.module)
        if self.wrapper is not None and self.wrapper.belongs_to(plan):
            self.wrapper = None
        self.gather()

    def holds(self, plan: Plan) -> bool:
        """Whether ``plan`` has a part here."""
        parts = any(held is plan or held == plan for held, _ in self.parts)
        return parts or any(site.belongs_to(plan) for site in self._inner())

    def drops(self) -> list[Drop]:
        """Return what acts here."""
        return [*self._drops.values(), *self._inner(), *(() if self._skip is None else (self._skip,))]

    def _inner(self) -> list[Drop]:
        return [*self.weights, *([] if self.wrapper is None else [self.wrapper])]

    def gather(self) -> None:
        """Look at the sites again, after one of them was changed."""
        self._drops = {key: drop for _, drops in self.parts for key, drop in drops.items()}
        skip: Any = self._drops.pop(LAYER, None)
        self._skip = skip
        self._in_eval = any(drop.acts_in_eval for drop in self._drops.values())
        sums = any(on == "branch" for _, _, on in self._drops)
        self._size = _size(self.module) if sums else 0
        self._idle = not self._in_eval and all(drop.never_drops for drop in self._drops.values())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the original forward, unless the layer is skipped."""
        if self._skip is not None and (self.module.training or self._skip.forced):
            return self._skip.run(self._watched, args, kwargs)
        return self._watched(*args, **kwargs)

    def _watched(self, *args: Any, **kwargs: Any) -> Any:
        mode, training, taking = innermost_mode(), self.module.training, self.taking
        drops = self._drops if training or self._in_eval else {}
        if drops and self._size:
            self._check_size()
        if mode is not None:
            if not training and taking is not None and taking.has_fast_path and mode.is_top():
                with Paused(mode):
                    return self._run(args, kwargs)
            mode.frames.append(Frame(self.module, drops, taking, self.settings))
            try:
                return self._run(args, kwargs)
            finally:
                mode.frames.pop()
        watched = taking is not None and (taking.in_training if training else taking.in_eval)
        idle = not drops or (self._idle and torch._C._len_torch_function_stack() == 0)  # an audit looks on
        if idle and not (watched or self.settings):
            return self._run(args, kwargs)
        with CallMode(Frame(self.module, drops, taking, self.settings)):
            return self._run(args, kwargs)

    def _check_size(self) -> None:
        # Modules that came later, such as adapters, may add too, and nothing bounds their count.
        if _size(self.module) != self._size:
            site = next(drop.site.id for (_, _, on), drop in self._drops.items() if on == "branch")
            raise PlanError(
                f"site {site!r} counts the sums of a forward in which modules have come or gone since the plan was "
                "applied; revert the plan, and plan again for the model as it is now"
            )

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.original is not None:
            return self.original(*args, **kwargs)
        module, wrapper = self.module, self.wrapper
        drawn = {
            name: weight
            for site in self.weights
            if site.acts(module)
            for name, weight in site.drawn(module).items()
        }
        if wrapper is not None and wrapper.acts(module):
            return wrapper.run(twin(module, drawn), args, kwargs)
        return type(module).forward(twin(module, drawn) if drawn else module, *args, **kwargs)


class Frame(Watcher):
    """One forward of one module: counts the functions that it calls, and acts at the sites.

    Args:
        module: The module.
        drops: What plans have put at its calls.
        taking: What makes its dropout run on dropkit, or None.
        settings: Rates that were set for its calls.
    """

    def __init__(
        self,
        module: nn.Module,
        drops: dict[Key, Drop],
        taking: Taking | None,
        settings: Sequence[Setting] = (),
    ) -> None:
        self._module = module
        self._drops = drops
        self._taking = taking
        self._settings = settings
        self._counts: dict[str, int] = {}
        self._region = _checkpointed()

    def call(self, mode: FrameMode, name: str, func: Func, args: Args, kwargs: Kwargs) -> Any:
        """Call ``func``, known as ``name``, with what its site asks for."""
        index = self._counts.get(name, 0)
        self._counts[name] = index + 1
        attention: Any = self._drops.get((name, index, "attention"))
        if attention is not None:
            self._check_reach(attention)
            self.dropped = attention.attend(mode, func, args, kwargs, self._module.training)
            return self.dropped
        if (
            self.dropped is not None
            and (func in PLAIN or func in CASTS)
            and self.dropped is _first(args, kwargs)
        ):
            # What a plan has dropped is not dropped by the model, too.
            self.dropped, done = (None, self.dropped) if func in PLAIN else (func(*args, **kwargs),) * 2
            return done
        branch: Any = self._drops.get((name, index, "branch"))
        if branch is not None:
            self._check_reach(branch)
            return branch.add(func, args, kwargs, self._module.training)
        if self._settings and (existing := CALLS.get(func)) is not None:
            values = existing.bind(args, kwargs)
            for setting in self._settings:
                values = setting.apply(existing, index, values, self._module.training)
            if self._taking is None:
                return existing.call(func, values)
            args, kwargs = (), dict(values)
        if self._taking is not None and func in _RANDOM:
            inside = _checkpointed() is not self._region
            return self._taking.call(mode, index, func, args, kwargs, inside)
        before = self._drops.get((name, index, "input"))
        after = self._drops.get((name, index, "output"))
        drop = before or after
        if drop is not None:
            self._check_reach(drop)
        return call(func, args, kwargs, before, after, self._module.training)

    def _check_reach(self, drop: Drop) -> None:
        if _checkpointed() is not self._region:
            raise PlanError(
                f"site {drop.site.id!r} is inside a checkpointed part of a forward, whose recomputation cannot be "
                "reached; checkpoint whole modules, or leave the site out with except_="
            )


class CallMode(FrameMode):
    """Leads calls of functions that can be sites to the forward they are made in."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name = NAMES.get(func)
        if name is not None and not is_count(func, args):
            return self.frames[-1].call(self, name, func, args, kwargs or {})
        if torch.compiler.is_compiling() and getattr(func, "__name__", "") == "unflatten":
            # the compiler follows it as a method only
            return args[0].unflatten(*args[1:], **(kwargs or {}))
        return func(*args) if kwargs is None else func(*args, **kwargs)


class Paused:
    """Takes a mode that is on top off the stack for a while."""

    def __init__(self, mode: FrameMode) -> None:
        self._mode = mode

    def __enter__(self) -> None:
        torch.overrides._pop_mode()  # type: ignore[no-untyped-call]

    def __exit__(self, *error: object) -> None:
        torch.overrides._push_mode(self._mode)  # type: ignore[no-untyped-call]


def _size(module: nn.Module) -> int:
    return 1 + sum(_size(child) for child in module._modules.values() if child is not None)


def _first(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return args[0] if args else kwargs.get("input")


def _checkpointed() -> Tape | None:
    """Return what stands for the checkpointed region around this call, None outside of any."""
    return None if torch.compiler.is_compiling() else region().innermost


def _leave_to_callers(code: Any) -> None:
    """Let the compiler follow ``code`` as part of what it compiles, and never compile it by itself."""
    # After a graph break calls run one by one while the mode is on, each a candidate to be compiled, guarded by
    # less than what tells one function from another.
    compiler = torch._C._dynamo.eval_frame
    skip = compiler._FrameAction.SKIP
    compiler.set_code_exec_strategy(code, compiler._FrameExecStrategy(skip, skip))


_leave_to_callers(CallMode.__torch_function__.__code__)
