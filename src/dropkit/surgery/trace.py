"""One forward pass, watched: which modules it calls, and which activation functions they call."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

from dropkit.core import PlanError
from dropkit.random import stream
from dropkit.surgery.activations import FUNCTION_NAMES
from dropkit.surgery.flow import FUNCTIONS, Call, Flow, tensors
from dropkit.surgery.operations import is_count
from dropkit.surgery.tree import Tree
from dropkit.surgery.untouched import untouched

Where: TypeAlias = tuple[str, str, int, str]


@dataclass(frozen=True)
class Trace:
    """What one forward did.

    Args:
        calls: ``(module, function, k)`` of every activation function called, in order; ``k`` counts the calls
            of that function in one forward of that module, from 0.
        called: Names of the modules called, in order, each once, at its last call.
        first_dtype: Dtype of the first tensor argument, or None if there is none.
        flow: What became of the tensors, or None where nobody asked.
        shapes: Shape of the first tensor at ``(module, function, k, "input" | "output")``; function and k are
            ``""`` and 0 for a module's own.
    """

    calls: tuple[tuple[str, str, int], ...]
    called: tuple[str, ...]
    first_dtype: torch.dtype | None
    flow: Flow | None = None
    shapes: Mapping[Where, tuple[int, ...]] = field(default_factory=dict)

    @property
    def callers(self) -> tuple[str, ...]:
        """The modules that called an activation function."""
        return self.callers_of(())

    def callers_of(self, functions: Iterable[str]) -> tuple[str, ...]:
        """The modules that called an activation function, or one of ``functions``."""
        found = dict.fromkeys(module for module, _, _ in self.calls)
        called = {} if self.flow is None else self.flow.callers
        for function in sorted(functions):
            found |= called.get(function, {})
        return tuple(found)


def trace(tree: Tree, example_inputs: Any, *, follow: bool = False) -> Trace:
    """Run the model once on ``example_inputs`` in training mode, without leaving a mark on it.

    Normalisation layers run in eval mode, so that a batch of one row will do. Training flags, buffers and the
    states of the random generators are put back; no gradient is recorded.

    Args:
        tree: The model's modules.
        example_inputs: A tensor, a tuple or list of positional arguments, or a dict of keyword arguments.
        follow: Whether to follow the tensors, by which attention and residual branches are found.

    Raises:
        PlanError: The model has parameters that are not initialised yet, or fails on the example.
    """
    for name, parameter in tree.root.named_parameters():
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise PlanError(f"parameter {name!r} is not initialised yet; run the model once, then plan")
    args, kwargs = arguments(example_inputs)
    recorder = _Recorder(tree, Flow() if follow else None)
    # masks of dropkit's own layers are drawn, and never used
    with untouched(tree), stream(0, rank=0), recorder.watching():
        try:
            tree.root(*args, **kwargs)
        except Exception as error:
            raise PlanError(
                f"the model fails on example_inputs: {type(error).__name__}: {error}; pass a tensor, a tuple of "
                "positional arguments or a dict of keyword arguments"
            ) from error
    first = next((value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)), None)
    called = reversed(dict.fromkeys(reversed(recorder.called)))
    dtype = None if first is None else first.dtype
    return Trace(tuple(recorder.calls), tuple(called), dtype, recorder.flow, recorder.shapes)


def arguments(example: Any) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """Return positional and keyword arguments of a call, from an example in one of its three forms.

    Tensors are copies, and lists and dicts too, as a forward may write to its inputs.
    """
    if isinstance(example, Mapping):
        return (), _copied(dict(example))
    if isinstance(example, (tuple, list)):
        return _copied(tuple(example)), {}
    return _copied((example,)), {}


def _copied(value: Any) -> Any:
    return tree_map_only(Tensor, Tensor.clone, value)


class _Recorder(TorchFunctionMode):
    """Notes modules by passing hooks, and functions by a mode; both in this thread only."""

    def __init__(self, tree: Tree, flow: Flow | None) -> None:
        super().__init__()
        self.flow = flow
        self.calls: dict[tuple[str, str, int], None] = {}  # an ordered set
        self.shapes: dict[Where, tuple[int, ...]] = {}
        self.called: list[str] = []
        self._tree = tree
        self._thread = threading.get_ident()
        self._stack: list[_Running] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Record what happens inside."""
        hooks = []
        for name, module in self._tree.modules.items():
            if name not in self._tree.scripted:
                # Innermost of all hooks: what other hooks call is not called by the module's forward.
                hooks.append(module.register_forward_pre_hook(self._enter_module, with_kwargs=True))
                hooks.append(module.register_forward_hook(self._leave_module, prepend=True, always_call=True))
        try:
            with self:
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def _enter_module(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        name = self._tree.name_of(module)
        if name is None or threading.get_ident() != self._thread:
            return
        self.called.append(name)
        self._shaped((name, "", 0, "input"), (*args, *kwargs.values()))
        given = (args, kwargs)
        self._stack.append(_Running(name, module, Counter(), given))
        if self.flow is not None:
            self.flow.enter(given)

    def _leave_module(self, module: nn.Module, args: Any, output: Any) -> None:
        name = self._tree.name_of(module)
        if threading.get_ident() != self._thread or not self._stack or self._stack[-1].name != name:
            return
        done = self._stack.pop()
        self._shaped((name, "", 0, "output"), output if isinstance(output, (tuple, list)) else (output,))
        if self.flow is not None:
            self.flow.leave(done.name, done.given, output)

    def _shaped(self, place: Where, values: Iterable[Any]) -> None:
        first = next((value for value in values if isinstance(value, Tensor)), None)
        if first is not None:
            self.shapes[place] = tuple(first.shape)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        place = None
        function = FUNCTION_NAMES.get(func)
        if function is not None and self._stack:
            module, counts = self._stack[-1].name, self._stack[-1].counts
            place = (module, function, counts[function])
            self.calls.setdefault(place)
            counts[function] += 1
            self._shaped((*place, "input"), args)
        result = self._call(func, args, kwargs)
        if place is not None:
            self._shaped((*place, "output"), (result,))
        return result

    def _call(self, func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if self.flow is None or not self._stack:
            return func(*args, **(kwargs or {}))
        running = self._stack[-1]
        name = None if is_count(func, args) else FUNCTIONS.get(func)
        call = None if name is None else self._counted(name)
        result = func(*args, **(kwargs or {}))
        self.flow.call(func, args, kwargs or {}, result, call, next(tensors(running.given), None))
        return result

    def _counted(self, function: str) -> Call:
        """Return what ids call this call. A softmax module's is that of the module around it."""
        around = (running for running in reversed(self._stack) if type(running.module) is not nn.Softmax)
        running = next(around, self._stack[-1])
        running.counts[function] += 1
        return Call(running.name, function, running.counts[function] - 1)


class _Running(NamedTuple):
    name: str
    module: nn.Module
    counts: Counter[str]
    given: Any
