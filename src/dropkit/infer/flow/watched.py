"""The graph of one forward pass that is run on an example."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.rnn import PackedSequence
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from dropkit.core import PlanError
from dropkit.infer.flow.marks import Frames, Marks, mark, with_first
from dropkit.surgery.trace import arguments
from dropkit.surgery.untouched import untouched


def watched(marks: Marks, example_inputs: Any) -> fx.Graph:
    """Return what the forward of the model does on an example; see :func:`dropkit.infer.flow.traced`.

    Args:
        marks: The sites. The model must be a copy that nobody else uses: its forwards are replaced.
        example_inputs: A tensor, a tuple or list of positional arguments, or a dict of keyword arguments.

    Raises:
        PlanError: The model fails on the example.
    """
    args, kwargs = arguments(example_inputs)
    watch = _Watch(marks)
    with untouched(marks.tree, training=False), watch:
        try:
            result = marks.tree.root(*args, **kwargs)
        except Exception as error:
            raise PlanError(f"the model fails on example_inputs: {type(error).__name__}: {error}") from error
    watch.graph.output(watch.nodes(result))
    return watch.graph


class _Watch(TorchFunctionMode):
    """Notes every function and every module that is called, by the tensors that go in and come out."""

    def __init__(self, marks: Marks) -> None:
        super().__init__()
        self.graph = fx.Graph()
        self.frames = Frames(marks)
        self._known: dict[int, fx.Node] = {}
        self._alive: list[Any] = []  # so that no id is given twice
        self._names = {id(p): name for name, p in marks.tree.root.named_parameters()}
        self._busy = False  # inside a module that is one step
        for name, module in marks.tree.modules.items():
            module.__dict__["forward"] = _Forward(self, marks, name, module)

    def nodes(self, value: Any) -> Any:
        """Return ``value`` with nodes in the place of its tensors."""

        def put(item: Any) -> Any:
            if isinstance(item, PackedSequence):  # which takes tensors only
                return tuple(map(put, item))
            return self._node(item) if isinstance(item, Tensor) else item

        return tree_map(put, value, is_leaf=lambda item: isinstance(item, PackedSequence))

    def note(self, kind: str, target: Any, args: Any, kwargs: Any, result: Any) -> None:
        """Add a step that gave ``result``."""
        node = self.graph.create_node(kind, target, self.nodes(tuple(args)), self.nodes(dict(kwargs)))
        self._name(result, node)

    def marked(self, x: Tensor, site: str) -> Tensor:
        """Return what ``x`` is after the site."""
        node = self.graph.call_function(mark, (self._node(x), site))
        with torch._C.DisableTorchFunction():
            other = x.clone()
        self._name(other, node)
        return other

    def step(self, name: str, original: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Run a module that is one step."""
        if self._busy:
            return original(*args, **kwargs)
        self._busy = True
        try:
            result = original(*args, **kwargs)
        finally:
            self._busy = False
        self.note("call_module", name, args, kwargs, result)
        return result

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if self._busy:
            return func(*args, **kwargs)
        before, after = self.frames.at(func)
        if before is not None:
            args, kwargs = with_first(args, kwargs, lambda x: self.marked(x, before))
        result = func(*args, **kwargs)
        self.note("call_function", func, args, kwargs, result)
        return result if after is None else self.marked(result, after)

    def _node(self, tensor: Tensor) -> fx.Node:
        if id(tensor) not in self._known:
            name = self._names.get(id(tensor))
            node = self.graph.placeholder("given") if name is None else self.graph.get_attr(name)
            self._name(tensor, node)
        return self._known[id(tensor)]

    def _name(self, value: Any, node: fx.Node) -> None:
        if isinstance(value, Tensor):
            node.meta["shape"] = tuple(value.shape)
            self._known[id(value)] = node
            self._alive.append(value)
        elif isinstance(value, (tuple, list)) and any(isinstance(item, (Tensor, tuple)) for item in value):
            for index, item in enumerate(value):
                self._name(item, self.graph.call_function(operator.getitem, (node, index)))


class _Forward:
    def __init__(self, watch: _Watch, marks: Marks, name: str, module: nn.Module) -> None:
        self._watch, self._name = watch, name
        self._original = module.forward
        self._before, self._after = marks.before.get(name, []), marks.after.get(name, [])
        self._is_site, self._is_leaf = name in marks.modules, marks.is_leaf(module, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        watch = self._watch
        for site in self._before:
            args, kwargs = with_first(args, kwargs, partial(watch.marked, site=site))
        if self._is_site:
            return watch.marked(args[0] if args else next(iter(kwargs.values())), self._name)
        watch.frames.enter(self._name)
        try:
            if self._is_leaf:
                result = watch.step(self._name, self._original, args, kwargs)
            else:
                result = self._original(*args, **kwargs)
        finally:
            watch.frames.leave(self._name)
        for site in self._after:
            if isinstance(result, Tensor):
                result = watch.marked(result, site)
            else:
                result = (watch.marked(result[0], site), *result[1:])
        return result
