"""Rules: where dropout goes, which kind, and how much. Checked when they are written down."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import wraps
from typing import Any, Literal, TypeVar, get_args

import torch
from torch import nn

import dropkit.nn  # noqa: F401  (importing it is what fills the registry)
from dropkit.core import (
    InputError,
    OptionError,
    PlanError,
    RateError,
    Variant,
    called_rate,
    catalogue,
    variant,
)
from dropkit.random import Schedule
from dropkit.surgery.forms import (
    acts_on_a_sum,
    acts_on_a_tensor,
    acts_on_weights_only,
    has_rate,
    held_options,
    held_rate,
    is_held,
    make,
    skips_layers,
    weight_op,
    wraps_module,
)
from dropkit.surgery.options import misfit, options_of
from dropkit.surgery.rates import RuleRate, rule_rate

T = TypeVar("T")
On = Literal["output", "input", "weight", "branch"]
OptionValue = str | int | float | bool | None


class Options(Mapping[str, OptionValue]):
    """Options of a variant: a mapping that cannot be changed, so that rules and plans can be hashed."""

    __slots__ = ("_items",)

    def __init__(self, values: Mapping[str, OptionValue] | None = None) -> None:
        self._items = dict(sorted((values or {}).items()))

    def __getitem__(self, key: str) -> OptionValue:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(tuple(self._items.items()))

    def __repr__(self) -> str:
        return repr(self._items)


def _explaining(cls: type[T]) -> type[T]:
    """Let ``cls`` refuse arguments that it does not have in words that help, instead of Python's own."""
    init: Any = vars(cls)["__init__"]
    known = [name for name in inspect.signature(init).parameters if name != "self"]

    @wraps(init)
    def explained(self: T, *args: object, **given: object) -> None:
        if args:
            raise PlanError(
                f"rule: arguments are given by name, Rule(at=..., rate=...), got {args[0]!r} without one"
            )
        for name in given:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(known)}"
                raise PlanError(f"rule: {called_rate(name) or f'there is no argument {name!r}; {hint}'}")
        init(self, **given)

    setattr(cls, "__init__", explained)  # noqa: B010  (mypy refuses the plain assignment)
    return cls


@_explaining
@dataclass(frozen=True, kw_only=True)
class Rule:
    """One line of a plan: put ``variant`` at ``at``, with probability ``rate``.

    Args:
        at: Address, or several of which any may match: ``"input"``, ``"hidden"``, ``"conv"``, ``"fc"``,
            ``"attention"``, ``"residual"``, ``"embedding"``, ``"recurrent"``, ``"weights"``, a type name, a glob over
            dotted module names, or ``"re:..."``.
        variant: Name in the catalogue.
        rate: Probability (dimensionless) of *dropping*, in ``[0, 1]``. None: the variant's default. Or a schedule, or
            a function from the step to a rate: it is asked at every forward, for the step of the innermost stream.
            Or ``dropkit.nn.LinearByDepth``: sites get rates in their order. Or any of these as plain data.
        except_: Addresses to leave out, written like ``at``.
        on: What is dropped: the ``"output"`` or the first tensor ``"input"`` of what ``at`` matches.
            ``"branch"``: the output, which somebody adds to that module's input; like ``"output"`` but a site of its
            own. ``"weight"``: its weights, which is what variants of weights mean, and ``at="weights"``, without being
            told.
        options: Keyword arguments of the variant's op, e.g. ``{"scaling": "test"}``.
        override: Whether this rule wins where another rule matches the same site.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or missing where the variant has no default.
        UnknownNameError: No variant has that name.
        PlanError: An address, an option or ``on`` cannot be used.
    """

    at: str | tuple[str, ...]
    variant: str = "dropout"
    rate: RuleRate | None = None
    except_: tuple[str, ...] = ()
    on: On = "output"
    options: Mapping[str, OptionValue] = field(default_factory=Options)
    override: bool = False

    def __post_init__(self) -> None:
        at = _addresses("at", self.at)
        if not at:
            raise PlanError("rule: at is empty; give an address such as 'hidden', or a list of them")
        object.__setattr__(self, "at", at[0] if len(at) == 1 else at)
        object.__setattr__(self, "except_", _addresses("except_", self.except_))
        entry = variant(self.variant)
        if self.rate and not has_rate(entry):
            raise RateError(
                f"rule at {self.at!r}: variant {entry.name!r} has no rate, got {self.rate!r}; leave out rate="
            )
        if self.rate is not None:
            object.__setattr__(self, "rate", rule_rate(self.rate, f"rate of the rule at {self.at!r}"))
        elif entry.default_rate is None and not is_held(entry):
            raise RateError(f"rule at {self.at!r}: variant {entry.name!r} has no default rate, give rate=")
        self._check_on(entry)
        object.__setattr__(self, "options", Options(self._checked_options(entry)))
        self._check_schedule(entry)
        if not isinstance(self.override, bool):
            raise PlanError(f"rule at {self.at!r}: override must be True or False, got {self.override!r}")

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses of ``at``, always as a tuple."""
        return (self.at,) if isinstance(self.at, str) else self.at

    @property
    def effective_rate(self) -> RuleRate:
        """``rate``, or the variant's default where it is None."""
        entry = variant(self.variant)
        default = held_rate(entry) if entry.default_rate is None and is_held(entry) else entry.default_rate
        return self.rate if self.rate is not None or default is None else default  # type: ignore[return-value]

    def _check_on(self, entry: Variant) -> None:
        if self.on not in get_args(On):
            raise PlanError(
                f"rule at {self.at!r}: on must be one of {', '.join(get_args(On))}, got {self.on!r}"
            )
        if self.on == "output" and (self.addresses == ("weights",) or acts_on_weights_only(entry)):
            object.__setattr__(self, "on", "weight")
        if self.on == "weight" or "weights" in self.addresses:
            if weight_op(entry) is None:
                raise PlanError(
                    f"rule at {self.at!r}: on='weight' is not supported by variant {entry.name!r}; "
                    f"{', '.join(sorted(v.name for v in catalogue() if weight_op(v) is not None))} act on weights"
                )
            if self.on == "weight":
                return
        if wraps_module(entry):
            if self.on != "output":
                raise PlanError(
                    f"rule at {self.at!r}: variant {entry.name!r} acts inside of a recurrent module, got "
                    f"on={self.on!r}; leave out on="
                )
            return
        if is_held(entry):
            if isinstance(self.rate, Schedule):
                raise PlanError(
                    f"rule at {self.at!r}: variant {entry.name!r} keeps its rate itself; give a number as rate"
                )
            return
        if acts_on_weights_only(entry):
            raise PlanError(
                f"rule at {self.at!r}: variant {entry.name!r} acts on weights, got on={self.on!r}; use on='weight'"
            )
        if skips_layers(entry):
            if self.on != "output":
                raise PlanError(
                    f"rule at {self.at!r}: {entry.name!r} skips whole layers; leave out on={self.on!r}"
                )
            return
        if acts_on_a_sum(entry):
            if self.on != "branch" and not all(at_branch(address) for address in self.addresses):
                raise PlanError(
                    f"rule at {self.at!r}: {entry.name!r} acts on both terms of a residual sum; use at='residual' or "
                    "on='branch'"
                )
            return
        if not acts_on_a_tensor(entry):
            raise PlanError(
                f"rule at {self.at!r}: variant {entry.name!r} ({entry.kind}) needs more than a tensor and a rate and "
                "cannot be attached to a model; use its module in your own code"
            )

    def _example_rate(self, entry: Variant) -> float:
        """Return a legal rate for a look at the options."""
        return self.rate if isinstance(self.rate, float) else entry.default_rate or 0.0

    def _check_schedule(self, entry: Variant) -> None:
        acts = entry.acts_in_eval or self.options.get("scaling") == "test"
        if isinstance(self.rate, Schedule) and acts:
            raise PlanError(
                f"rule at {self.at!r}: {entry.name!r} acts in eval mode, too, where no step tells "
                "the rate of a schedule; give a number as rate"
            )

    def _checked_options(self, entry: Variant) -> Mapping[str, OptionValue]:
        if not isinstance(self.options, Mapping):
            raise PlanError(f"rule at {self.at!r}: options must be a mapping, got {self.options!r}")
        valid = options_of(entry, self.on)
        for name, value in self.options.items():
            if name not in valid:
                near = get_close_matches(str(name), valid, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(valid) or 'no option'}"
                raise PlanError(f"rule at {self.at!r}: variant {entry.name!r} has no option {name!r}; {hint}")
            if not isinstance(value, OptionValue):
                raise PlanError(
                    f"rule at {self.at!r}: option {name!r} must be a string or a number, got {value!r}"
                )
            wrong = misfit(name, value, valid[name])
            if wrong is not None:
                raise PlanError(f"rule at {self.at!r}: variant {entry.name!r}: {wrong}")
        try:  # ops and modules check the values of their options
            self._try_options(entry)
        except InputError as error:
            raise PlanError(f"rule at {self.at!r}: {error}") from None
        return self.options

    def _try_options(self, entry: Variant) -> None:
        op, rate, build = weight_op(entry), self._example_rate(entry), entry.module
        if is_held(entry):
            self._try_held(entry)
        elif self.on == "weight":
            weight = torch.zeros(1, 1)
            given = {"target": weight} if entry.name == "mixout" else {}
            options = {name: value for name, value in self.options.items() if name != "per_sample"}
            if op is not None:
                op(weight, rate, training=False, **given, **options)
        elif build is not None and wraps_module(entry):
            build(nn.RNN(1, 1), rate, **self.options)
        elif (
            build is not None
            and not skips_layers(entry)
            and set(self.options) <= set(inspect.signature(build).parameters)
        ):
            build(rate, **self.options)

    def _try_held(self, entry: Variant) -> None:
        known = held_options(entry)
        needed = {name for name, p in known.items() if p.default is p.empty} - {"features"}
        for name in sorted(needed - set(self.options)):
            raise OptionError(
                f"variant {entry.name!r} needs the option {name!r}; give options={{{name!r}: ...}}"
            )
        small = {"features": 1} if "features" in known and self.options.get("features", 1) is not None else {}
        with torch.random.fork_rng(devices=[]):  # nothing that it draws is kept
            make(entry, self.effective_rate, {**self.options, **small})


def at_branch(address: str) -> bool:
    """Whether ``address`` is about residual branches."""
    return address == "residual" or address.endswith(":branch")


def option_names(entry: Variant, on: On) -> list[str]:
    """Return the names of the options that the op of ``entry`` takes there, sorted."""
    return list(options_of(entry, on))


def _addresses(what: str, value: str | Iterable[str]) -> tuple[str, ...]:
    given = (value,) if isinstance(value, str) else value
    if not isinstance(given, Iterable):
        raise PlanError(f"rule: {what} must be a string or a list of strings, got {value!r}")
    addresses = tuple(given)
    for address in addresses:
        if not isinstance(address, str) or not address:
            raise PlanError(f"rule: {what} must hold non-empty strings, got {address!r}")
    return addresses
