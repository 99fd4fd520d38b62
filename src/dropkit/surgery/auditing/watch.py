"""Forward passes, watched at three levels: modules, functions and the dispatcher."""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from dropkit.random.stream import Stream
from dropkit.surgery.auditing.alive import Alive
from dropkit.surgery.auditing.known import FUNCTIONS, RECURRENT, TORCH_DROPOUT, class_kind, recurrent_call
from dropkit.surgery.auditing.marks import Marks
from dropkit.surgery.auditing.reading import Reading
from dropkit.surgery.auditing.work import Work
from dropkit.surgery.drop import Drop
from dropkit.surgery.tree import Tree
from dropkit.surgery.untouched import host_state, private_generators
from dropkit.surgery.writing import Guard

# with the separator, or torchvision and torch_geometric would be torch
_OWN = f"{Path(__file__).parents[2]}{os.sep}"
_TORCH = f"{Path(torch.__file__).parent}{os.sep}"


@dataclass
class Seen:
    """One site as a forward pass met it.

    Args:
        id: Its id.
        kind: Its kind.
        module: Dotted name of the module whose forward made the call.
        rate: Its rate, or None.
        active: Whether it was random in that pass.
        shape: Shape of what it hits.
        source: ``file:line``.
        by_hand: Whether the numbers were drawn outside any function that is known to drop.
        own: Whether somebody's forward called an op of this library.
        hits: How often the pass came here.
        rates: The rates of all those times; 0 where it did not drop.
    """

    id: str
    kind: str
    module: str
    rate: float | None
    active: bool
    shape: tuple[int, ...]
    source: str
    by_hand: bool = False
    own: bool = False
    hits: int = 1
    rates: list[float | None] = field(default_factory=list)


@dataclass
class _Frame:
    name: str
    module: nn.Module
    counts: Counter[str] = field(default_factory=Counter)


class Watch(TorchFunctionMode):
    """Records what one forward pass of a model does that is random.

    Args:
        tree: The model's modules.
        inputs: Tensors that the pass is given.
        by_module: Whether to say which module uses Python's or NumPy's randomness, for which their states are looked at
            around each; else it is the root if any does.
        guard: Of parameters that must not be written to.
    """

    def __init__(
        self,
        tree: Tree,
        inputs: Sequence[Tensor] = (),
        *,
        by_module: bool = True,
        guard: Guard | None = None,
    ) -> None:
        super().__init__()
        self.seen: dict[str, Seen] = {}
        self.elements = 0  # in the outputs of modules without children, and in what functions hit
        self.calls: Counter[str] = Counter()  # of modules
        self.host: dict[str, str] = {}  # modules that used Python's or NumPy's randomness -> where
        self.unchanged: set[str] = set()  # modules whose output was their input
        self.shapes: dict[str, tuple[int, ...]] = {}  # of the outputs of modules
        self.marks = Marks()
        self.alive = Alive([*tree.root.parameters(), *tree.root.buffers(), *inputs])
        self.work = Work()
        self.reading = Reading()
        self.differentiates = False  # whether gradients were recorded, which nobody asked for but the model
        self.guard = guard
        self._tree = tree
        self._modules = list(tree.modules.values())
        self._thread = threading.get_ident()
        self._stack: list[_Frame] = []
        self._inside: list[Seen] = []  # known calls that are running
        self._by_module = by_module
        self._sources = private_generators(self._modules)
        self._host = host_state(self._sources)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch what happens inside."""
        hooks = []
        for name, module in self._tree.modules.items():
            if name not in self._tree.scripted:
                # Innermost of all hooks: what other hooks call is not called by the module's forward.
                hooks.append(module.register_forward_pre_hook(self._enter_module))
                hooks.append(module.register_forward_hook(self._leave_module, prepend=True, always_call=True))
        try:
            with ExitStack() as stack:
                stack.enter_context(_Listening(self))
                stack.enter_context(_Dispatches(self))
                stack.enter_context(self)
                yield
            if not self._by_module:
                self._sources = private_generators(self._modules)
            self._note_host()
        finally:
            for hook in hooks:
                hook.remove()

    def _enter_module(self, module: nn.Module, _: Any) -> None:
        name = self._tree.name_of(module)
        if name is not None and threading.get_ident() == self._thread:
            if self._by_module:
                self._note_host()
            self.calls[name] += 1
            self._stack.append(_Frame(name, module))

    def _leave_module(self, module: nn.Module, args: Any, output: Any) -> None:
        name = self._tree.name_of(module)
        if threading.get_ident() != self._thread or not self._stack or self._stack[-1].name != name:
            return
        if self._by_module:
            for source in private_generators([module]):
                if all(source is not known for known in self._sources):  # made by this forward
                    self._sources.append(source)
            self._note_host()
        self._stack.pop()
        if args and output is args[0]:
            self.unchanged.add(name)
        if isinstance(output, Tensor):
            self.shapes[name] = tuple(output.shape)
        if isinstance(output, Tensor) and not any(True for _ in module.children()):
            self.elements += output.numel()

    def _note_host(self) -> None:
        state = host_state(self._sources)
        if state != self._host:
            self._host = state
            self.host.setdefault(self._stack[-1].name if self._stack else "", "")

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        self.differentiates |= torch.is_grad_enabled()
        call = self._known(func, args, kwargs) if threading.get_ident() == self._thread else None
        if call is None:
            result = func(*args, **kwargs)
            self.reading.called(getattr(func, "__name__", ""), args)
        else:
            self._inside.append(call)
            try:
                result = func(*args, **kwargs)
            finally:
                self._inside.pop()
        self.marks.follow(func, args, kwargs, result, None if call is None else call.id)
        return result

    def _known(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Seen | None:
        if not self._stack:
            return None
        frame, name = (
            self._stack[-1],
            getattr(func, "__name__", "").rstrip("_"),
        )  # torch.dropout_ is torch.dropout
        known = FUNCTIONS.get(func)
        if known is not None:
            rate, active = known.read(args, kwargs)
            kind, shape = known.kind, _hit(func, args, kwargs)
        elif isinstance(frame.module, RECURRENT) and (found := recurrent_call(name, args)) is not None:
            (rate, active), kind = found, "recurrent"
            shape = tuple(args[0].shape)
        else:
            return None
        own = isinstance(frame.module, (*TORCH_DROPOUT, *RECURRENT, nn.MultiheadAttention))
        call = Seen(
            frame.name if own else f"{frame.name}:{name}#{frame.counts[name]}",
            class_kind(frame.module) if isinstance(frame.module, TORCH_DROPOUT) else kind,
            frame.name,
            rate,
            active and 0 not in shape,
            shape,
            _source(),
        )
        frame.counts[name] += 1
        return self._add(call)

    def drawn(self, op: str, shape: tuple[int, ...]) -> None:
        """Note that torch drew random numbers: for the known call that is running, else by hand."""
        if threading.get_ident() != self._thread or self._inside:
            return
        frame = self._stack[-1] if self._stack else _Frame("", self._tree.root)
        where = _caller()
        name, rate = (op, None) if where is None else _function_around(where, op)
        call = Seen(
            f"{frame.name}:{name}#{frame.counts[name]}",
            name,
            frame.name,
            rate,
            True,
            shape,
            _line(where),
            by_hand=True,
        )
        frame.counts[name] += 1
        self._add(call)

    def drew_key(self) -> None:
        """Note that an op of this library drew the key of a mask."""
        frame = self._stack[-1] if self._stack else _Frame("", self._tree.root)
        drop, op = _own_op()
        rate: Any = None
        own = False
        if drop is not None:
            id, kind, rate = drop.site.id, drop.site.variant, drop.rate
        elif type(frame.module).__module__.startswith("dropkit."):
            id, kind, rate = frame.name, class_kind(frame.module), getattr(frame.module, "rate", None)
        else:
            own = True
            kind = "op" if op is None else op.f_code.co_name
            rate = None if op is None else op.f_locals.get("rate")
            id = f"{frame.name}:{kind}#{frame.counts[kind]}"
            frame.counts[kind] += 1
        x = None if op is None else op.f_locals.get("x")
        self._add(
            Seen(
                id,
                kind,
                frame.name,
                rate if isinstance(rate, float) else None,
                True,
                tuple(x.shape) if isinstance(x, Tensor) else (),
                _line(_caller()),
                own=own,
            )
        )

    def _add(self, call: Seen) -> Seen:
        if not isinstance(self._stack[-1].module if self._stack else None, TORCH_DROPOUT):
            self.elements += _count(call.shape)
        if call.active:
            self.work.met_site()
            self.reading.met_site()
        known = self.seen.setdefault(call.id, call)
        known.rates.append(call.rate if call.active else 0.0)
        if known is not call:
            known.hits += 1
            known.active |= call.active
        return known


class _Dispatches(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, watch: Watch) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._watch = watch

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self._watch.guard is not None and func._schema.is_mutable:
            self._watch.guard.check(func, args, kwargs or {})
        result = func(*args, **(kwargs or {}))
        self._watch.alive.note(func, args, result)
        self._watch.work.note(func, args, kwargs or {}, result)
        self._watch.reading.note(func, args, kwargs or {}, result)
        if torch.Tag.nondeterministic_seeded in func.tags and not _certain(func, args, kwargs or {}):
            shape = tuple(result.shape) if isinstance(result, Tensor) else ()
            self._watch.drawn(func.overloadpacket.__name__.rstrip("_"), shape)
        return result


class _Listening(Stream):
    """A stream that tells who draws from it; the masks are used by nobody."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(0, 0, 0, 0, 0)
        self._watch = watch

    def count(self, site: str | None) -> Any:
        self._watch.drew_key()
        return super().count(site)


def _certain(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether an operator that can be random is not, by its arguments."""
    name = func.overloadpacket.__name__
    given = dict(zip((a.name for a in func._schema.arguments), args, strict=False)) | kwargs
    if "dropout_p" in given or name.startswith("_scaled_dot_product"):
        return not given.get("dropout_p", 0.0)
    if "num_layers" in given and "dropout" in given:  # whole recurrent modules, which drop between layers
        return given["num_layers"] == 1 or not given["dropout"] or not given["train"]
    if name in ("rrelu_with_noise", "rrelu_with_noise_"):
        return not given.get("training", False)
    if name == "native_dropout":
        return given.get("train") is False
    return False


def _hit(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[int, ...]:
    """Return the shape of what a known function drops from."""
    values = [v for v in (*args, *kwargs.values()) if isinstance(v, Tensor)]
    if not values:
        return ()
    if func is torch.nn.functional.scaled_dot_product_attention and len(values) > 1:
        query, key = values[:2]
        return (*query.shape[:-1], key.shape[-2])
    if func is torch.nn.functional.multi_head_attention_forward:
        query, key, heads = values[0], values[1], args[4] if len(args) > 4 else kwargs["num_heads"]
        batch = query.shape[1] if query.ndim == 3 else 1
        return (batch, heads, query.shape[0], key.shape[0])
    return tuple(values[0].shape)


def _count(shape: tuple[int, ...]) -> int:
    return int(torch.Size(shape).numel())


def _caller() -> Any:
    """Return the innermost frame of somebody else's code: neither torch's nor this library's."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((_OWN, _TORCH)) and not file.startswith("<"):
            return frame
        frame = frame.f_back
    return None


def _own_op() -> tuple[Drop | None, FrameType | None]:
    """Return what attached the op of this library that is drawing, if a plan did, and the op's frame."""
    drop, op = None, None
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith((_OWN, _TORCH)):
        if "x" in frame.f_locals and "rate" in frame.f_locals and "training" in frame.f_locals:
            op = frame
        if isinstance(frame.f_locals.get("self"), Drop):
            drop = frame.f_locals["self"]
        frame = frame.f_back
    return drop, op


def _function_around(frame: Any, op: str) -> tuple[str, float | None]:
    """Return name and rate of the function that draws by hand, if it is a function with a rate of its own."""
    code, values = frame.f_code, frame.f_locals
    if code.co_name in ("forward", "__call__", "<lambda>") or "self" in code.co_varnames[: code.co_argcount]:
        return op, None
    for name in ("drop_prob", "drop_rate", "dropout", "p", "rate"):
        value = values.get(name)
        if name in code.co_varnames[: code.co_argcount] and isinstance(value, float) and 0.0 <= value <= 1.0:
            return code.co_name, value
    return op, None


def _source() -> str:
    return _line(_caller())


def _line(frame: Any) -> str:
    return "" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"
