"""What became of the tensors of one forward: where attention is computed, and where branches are added."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from dropkit.surgery.existing import CALLS, PLAIN
from dropkit.surgery.operations import ADDITION, PRODUCTS, SOFTMAX

FUNCTIONS: dict[Any, str] = {
    **SOFTMAX,
    **ADDITION,
    **{
        function: existing.name
        for function, existing in CALLS.items()
        if existing.name in ("scaled_dot_product_attention", "multi_head_attention_forward")
    },
}
"""Functions whose calls are counted here, by the name that ids have for them."""


class Call(NamedTuple):
    """Call ``number`` (from 0) of ``function`` in one forward of ``module``."""

    module: str
    function: str
    number: int


class Branch(NamedTuple):
    """What is added to its own input.

    Args:
        module: The module whose output it is; or, with ``function``, the one whose forward adds.
        function: ``"add"`` where the branch is not a module's output, else empty.
        number: Number of that call.
        argument: Which of its two terms is the branch.
    """

    module: str
    function: str = ""
    number: int = 0
    argument: int = 0


@dataclass(frozen=True)
class Origin:
    """Where a tensor comes from.

    Args:
        index: Its number.
        before: Numbers of the tensors that it was computed from, itself included, as bits.
        weight: Whether it was computed from parameters alone.
        module: The last module that returned it, first of its output; or None.
        skips: Numbers of the tensors that were added to it unchanged.
        softmax: The softmax that it is the result of, but for dropout, casts and shape; or None.
    """

    index: int
    before: int
    weight: bool = False
    module: str | None = None
    skips: tuple[int, ...] = ()
    softmax: Call | None = None


@dataclass
class Flow:
    """Follows tensors through one forward, call by call.

    Attributes:
        attentions: Calls that compute attention probabilities, and the rate at which the model drops them itself.
        callers: Modules by the functions of :data:`FUNCTIONS` that their forwards call.
    """

    attentions: dict[Call, float] = field(default_factory=dict)
    callers: dict[str, dict[str, None]] = field(default_factory=dict)
    _origins: Any = field(default_factory=WeakIdKeyDictionary)
    _before: list[int] = field(default_factory=list)  # of each number
    _mapped: int = 0  # numbers of the tensors that parameters went into
    _dropped: dict[Call, float] = field(default_factory=dict)
    _sums: dict[Branch, str | None] = field(default_factory=dict)  # and the module whose output the branch is
    _uses: Counter[str] = field(default_factory=Counter)  # how often a module's output is a branch
    _outputs: Counter[str] = field(default_factory=Counter)  # how often it has one

    @property
    def branches(self) -> tuple[Branch, ...]:
        """Residual branches, in the order in which they are added.

        A module's output where all that the module returns is added, else a term of the sum.
        """
        found = (
            term if module is None or self._uses[module] < self._outputs[module] else Branch(module)
            for term, module in self._sums.items()
        )
        return tuple(dict.fromkeys(found))

    def terms(self, module: str) -> list[Branch]:
        """Return the terms of sums that are outputs of ``module``."""
        return [term for term, held in self._sums.items() if held == module]

    def enter(self, inputs: Any) -> None:
        """Take note of tensors that come from outside."""
        for tensor in tensors(inputs):
            if tensor not in self._origins:
                self._new(tensor, 0)

    def leave(self, name: str, inputs: Any, output: Any) -> None:
        """Take note of what a module returned."""
        first = output[0] if isinstance(output, (tuple, list)) and output else output
        for tensor in tensors(output):
            if tensor not in self._origins:  # made by what no mode sees, such as TorchScript
                self._new(tensor, self._joined(tensors(inputs)), mapped=True)
        if isinstance(first, Tensor):
            self._outputs[name] += 1
            self._origins[first] = replace(self._origins[first], module=name)

    def call(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        result: Any,
        call: Call | None,
        x: Any,
    ) -> None:
        """Take note of one call.

        Args:
            func: The function.
            args: Positional arguments.
            kwargs: Keyword arguments.
            result: What it returned.
            call: What ids call it, if it is one of :data:`FUNCTIONS`.
            x: First tensor argument of the module around it, or None.
        """
        if call is not None:
            self.callers.setdefault(call.function, {})[call.module] = None
        made = list(tensors(result))
        if not made:
            return
        given = list(tensors((args, kwargs)))
        softmax = self._softmax(func, args, kwargs, given, made[0], call)
        skips: tuple[int, ...] = ()
        if call is not None and call.function == "add":
            skips = self._addition(args, kwargs, made[0], call, x)
        weights = [
            isinstance(t, nn.Parameter) or (t in self._origins and self._origins[t].weight) for t in given
        ]
        before = self._joined(t for t, weight in zip(given, weights, strict=True) if not weight)
        for tensor in made:
            if tensor in self._origins and not _writes(func):
                continue  # returned as it is
            self._new(
                tensor,
                before,
                weight=bool(weights) and all(weights),
                mapped=any(weights) and not all(weights),
                skips=skips,
                softmax=softmax,
            )

    def _new(self, tensor: Tensor, before: int, *, mapped: bool = False, **facts: Any) -> None:
        index = len(self._before)
        bits = before | 1 << index
        self._before.append(bits)
        if mapped:
            self._mapped |= 1 << index
        self._origins[tensor] = Origin(index, bits, **facts)

    def _joined(self, given: Iterator[Tensor]) -> int:
        bits = 0
        for tensor in given:
            origin = self._origins.get(tensor)
            bits |= 0 if origin is None else origin.before
        return bits

    def _softmax(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        given: list[Tensor],
        result: Tensor,
        call: Call | None,
    ) -> Call | None:
        """Return the softmax that ``result`` is of; note attention where probabilities meet values."""
        if call is not None and call.function in (
            "scaled_dot_product_attention",
            "multi_head_attention_forward",
        ):
            existing = CALLS[func]
            self.attentions.setdefault(call, float(existing.rate(existing.bind(args, kwargs)) or 0.0))
            return None
        if call is not None and call.function == "softmax":
            axis = kwargs.get("dim", args[1] if len(args) > 1 else None)
            return call if result.ndim > 1 and axis in (-1, result.ndim - 1) else None
        found = next(
            (o.softmax for t in given if (o := self._origins.get(t)) is not None and o.softmax), None
        )
        if found is None:
            return None
        if func in PRODUCTS:
            self.attentions.setdefault(found, self._dropped.get(found, 0.0))
            return None
        if func in PLAIN:
            rate = PLAIN[func].rate(PLAIN[func].bind(args, kwargs))
            self._dropped[found] = float(rate or 0.0)
        same = result.is_floating_point() and any(
            t.numel() == result.numel() and (o := self._origins.get(t)) is not None and o.softmax
            for t in given
        )
        return found if same else None

    def _addition(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Tensor, call: Call, x: Any
    ) -> tuple[int, ...]:
        """Note the branch of ``result``, if it is a residual sum; return what it holds unchanged."""
        terms = [*args, *(kwargs[name] for name in ("input", "other") if name in kwargs)][:2]
        origins = [self._origins.get(term) if isinstance(term, Tensor) else None for term in terms]
        if len(origins) < 2 or not result.is_floating_point():
            return ()
        one, two = origins
        if one is None or two is None or one.index == two.index or terms[0].shape != terms[1].shape:
            return ()
        number = self._branch(one, two, terms, self._origins.get(x) if isinstance(x, Tensor) else None, x)
        if number is None:
            return ()
        branch, skip = (one, two) if number == 0 else (two, one)
        self._sums[Branch(call.module, call.function, call.number, number)] = branch.module
        if branch.module is not None:
            self._uses[branch.module] += 1
        return (skip.index, *skip.skips)

    def _branch(
        self, one: Origin, two: Origin, terms: list[Tensor], source: Origin | None, x: Any
    ) -> int | None:
        """Return which of two terms is a branch beside the other, None where neither is."""
        if self._leads(one.index, two):
            return 1
        if self._leads(two.index, one):
            return 0
        # A sum of several branches: x + f(x) + g(x).
        beside = [any(self._leads(s, two) for s in one.skips), any(self._leads(s, one) for s in two.skips)]
        if beside.count(True) == 1:
            return 1 if beside[0] else 0
        # A projection in place of the identity, where shapes differ: the shorter of two ways from the input.
        if source is None or x.shape == terms[0].shape or x.ndim != terms[0].ndim:
            return None
        if one.module is None or two.module is None:
            return None
        if not (self._leads(source.index, one) and self._leads(source.index, two)):
            return None
        lengths = [self._between(source, one), self._between(source, two)]
        return None if lengths[0] == lengths[1] else lengths.index(max(lengths))

    def _leads(self, index: int, end: Origin) -> bool:
        """Whether parameters were applied on the way from tensor ``index`` to ``end``."""
        if not end.before >> index & 1:
            return False
        between = (end.before & self._mapped) >> (index + 1)
        number = index + 1
        while between:
            step = (between & -between).bit_length() - 1
            number += step
            if self._before[number] >> index & 1:
                return True
            between >>= step + 1
            number += 1
        return False

    def _between(self, source: Origin, end: Origin) -> int:
        return (end.before & self._mapped & ~source.before).bit_count()


def tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested tuples, lists and mappings."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from tensors(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors(item)


def _writes(func: Callable[..., Any]) -> bool:
    return getattr(func, "__name__", "").endswith("_") or getattr(func, "__name__", "") == "__iadd__"
