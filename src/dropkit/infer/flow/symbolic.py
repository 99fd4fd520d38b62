"""The graph of a forward pass without running it."""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, fx, nn

from dropkit.core import PlanError
from dropkit.infer.flow.marks import Frames, Marks, mark, with_first
from dropkit.infer.flow.transformers import forward_of

_TUPLES = (nn.RNNBase, nn.MultiheadAttention, nn.LSTMCell)  # modules that return a tuple; a site is its first


def traced(marks: Marks) -> fx.Graph:
    """Return what the forward of the model in eval mode does, in terms of its modules and functions.

    Args:
        marks: The sites. The model must have no hooks or stand-ins of plans.

    Raises:
        PlanError: The forward does not do the same for all inputs, or needs their values to go on.
    """
    root = marks.tree.root
    try:
        return _Tracer(marks).trace(root)
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0]
        raise PlanError(
            f"what the model does with its tensors cannot be told without running it ({type(error).__name__}: "
            f"{reason}); give example_inputs"
        ) from error


class _Tracer(fx.Tracer):
    def __init__(self, marks: Marks) -> None:
        super().__init__()
        self._marks = marks
        self._frames = Frames(marks)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return self._marks.is_leaf(m, module_qualified_name)

    def to_bool(self, obj: fx.Proxy) -> bool:
        """Let assertions hold; on any other value the forward may not depend."""
        frame = sys._getframe(2)
        code = list(dis.get_instructions(frame.f_code))
        here = next(k for k, instruction in enumerate(code) if instruction.offset >= frame.f_lasti)
        following = [instruction.opname for instruction in code[here + 1 : here + 3]]
        return "LOAD_ASSERTION_ERROR" in following or super().to_bool(obj)

    def path_of_module(self, mod: nn.Module) -> str:
        name = self._marks.tree.name_of(mod)
        return super().path_of_module(mod) if name is None else name

    def create_args_for_root(
        self, root_fn: Callable[..., Any], is_module: bool, concrete_args: Any = None
    ) -> Any:
        """Give symbols to the arguments without a default, and call the root as a module, with its sites."""
        names = [
            parameter.name
            for parameter in inspect.signature(self.root.forward).parameters.values()
            if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
        ]
        symbols = [self.create_proxy("placeholder", name, (), {}) for name in names]
        return (lambda root, *args: root(*args)), [self.root, *symbols]

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        name = self.path_of_module(m)
        for site in self._marks.before.get(name, []):
            args, kwargs = with_first(args, kwargs, partial(self._mark, site=site), fx.Proxy)
        if name in self._marks.modules:
            return self._mark(args[0] if args else next(iter(kwargs.values())), name)
        self._frames.enter(name)
        try:
            result = super().call_module(m, forward_of(m) or forward, args, kwargs)
        finally:
            self._frames.leave(name)
        for site in self._marks.after.get(name, []):
            if isinstance(m, _TUPLES) or isinstance(result, (tuple, list)):
                result = (self._mark(result[0], site), *(result[k] for k in range(1, _length(m, result))))
            else:
                result = self._mark(result, site)
        return result

    def create_proxy(self, kind: str, target: Any, args: Any, kwargs: Any, *rest: Any, **more: Any) -> Any:
        function = getattr(Tensor, target, None) if kind == "call_method" else target
        before, after = (
            self._frames.at(function) if kind in ("call_function", "call_method") else (None, None)
        )
        if before is not None:
            args, kwargs = with_first(args, kwargs, lambda x: self._mark(x, before), fx.Proxy)
        result = super().create_proxy(kind, target, args, kwargs, *rest, **more)
        return result if after is None else self._mark(result, after)

    def _mark(self, x: Any, site: str) -> Any:
        return super().create_proxy("call_function", mark, (x, site), {})


def _length(module: nn.Module, result: Any) -> int:
    return len(result) if isinstance(result, (tuple, list)) else 2
