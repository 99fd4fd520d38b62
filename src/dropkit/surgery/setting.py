"""``dk.set_rate``: any rate that a model already has, reversibly."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from dropkit.core import NoMatchError, PlanError, check_rate
from dropkit.nn.module import RateModule
from dropkit.surgery.applied import Applied, forget_compiled_code
from dropkit.surgery.auditing.audit import rated_modules
from dropkit.surgery.auditing.known import RECURRENT, TORCH_DROPOUT, class_kind, rate_attribute
from dropkit.surgery.builtin import built_in
from dropkit.surgery.calls import CallForward
from dropkit.surgery.configs import configs, rate_fields
from dropkit.surgery.existing import PLAIN, Existing
from dropkit.surgery.existing.protocol import Arguments
from dropkit.surgery.mentions import Mentions
from dropkit.surgery.plans import Site, site_id
from dropkit.surgery.trace import trace
from dropkit.surgery.tree import Tree, type_names

_SET_AT_CALLS = {"scaled_dot_product_attention", *(plain.name for plain in PLAIN.values())}


@dataclass(frozen=True)
class Address:
    """Which sites a rate is for.

    Args:
        patterns: Globs over site ids, names of classes, kinds (``attention``, ``recurrent``), or ``re:...``.
    """

    patterns: tuple[str, ...]

    def __post_init__(self) -> None:
        for pattern in self.patterns:
            if pattern.startswith("re:"):
                try:
                    re.compile(pattern[3:])
                except re.error as error:
                    raise PlanError(f"at={pattern!r} is not a regular expression: {error}") from None

    def matches(self, id: str, names: Iterable[str] = ()) -> bool:
        """Whether a site of that id, whose module has these names of classes and kinds, is meant."""
        return any(
            re.fullmatch(pattern[3:], id) is not None
            if pattern.startswith("re:")
            else pattern in names or fnmatchcase(id, pattern)
            for pattern in self.patterns
        )


def _means_call(address: Address, id: str, kind: str) -> bool:
    return address.matches(id, (kind,))


# Compiled code asks this once, while it is traced: it cannot follow patterns.
_means_call._dynamo_marked_constant = True  # type: ignore[attr-defined]

_NOWHERE = Address(())


class Setting:
    """The rate of the calls of one module, as its stand-in knows it.

    Args:
        address: Which calls.
        rate: Their rate.
        module: Dotted name of the module.
        met: Ids of the calls that were met, in order; shared by all settings of one :func:`set_rate`.
    """

    def __init__(self, address: Address, rate: float, module: str, met: dict[str, None]) -> None:
        self.address = address
        self.rate = rate
        self.module = module
        self.met = met

    def apply(self, existing: Existing, index: int, values: Arguments, training: bool) -> Arguments:
        """Return the arguments of a call, with this rate if it drops and is meant."""
        if existing.name not in _SET_AT_CALLS:
            return values
        id = site_id(self.module, "output", existing.name, index)
        kind = "attention" if existing.name == "scaled_dot_product_attention" else existing.variant
        # attention says that it does not drop by a rate of 0, and the rate may have been 0
        drops = existing.rate(values) is not None or (training and kind == "attention")
        if not drops or not _means_call(self.address, id, kind):
            return values
        self.met[id] = None
        return existing.dropping(values, self.rate)


class RatesSet(Applied):
    """Rates that were set. Made by :func:`dropkit.set_rate`; a context manager that reverts on exit.

    Args:
        model: The model, as it was given.
        rate: The rate.
        settings: What its stand-ins know, by module.
        changed: Module, its name, the attribute, its value before, and its value now.
        fields: Configuration, the field, and its value before.
    """

    _what = "rate"

    def __init__(
        self,
        model: nn.Module,
        rate: float,
        settings: list[tuple[nn.Module, Setting]],
        changed: list[tuple[nn.Module, str, str, Any, Any]],
        fields: list[tuple[Any, str, Any]],
    ) -> None:
        super().__init__(model, [(module, module.__dict__["forward"]) for module, _ in settings])
        self._rate, self._settings, self._changed, self._fields = rate, settings, changed, fields

    @property
    def sites(self) -> tuple[Site, ...]:
        """What has the rate; function calls are here from when they have been made."""
        attributes = (
            (name, name, type(module).__name__, class_kind(module)) for module, name, *_ in self._changed
        )
        met = dict.fromkeys(id for _, setting in self._settings for id in setting.met)
        calls = ((id, id.rpartition(":")[0], "", id.rpartition(":")[2].partition("#")[0]) for id in met)
        return tuple(
            Site(id=id, module=name, on="output", variant=kind, rate=self._rate, type=cls)
            for id, name, cls, kind in (*attributes, *calls)
        )

    def _detach(self) -> None:
        for module, name, attribute, _, now in self._changed:
            if getattr(module, attribute) != now:
                raise PlanError(
                    f"{attribute} of {name or '(model)'!r} was set to {getattr(module, attribute)!r} after this "
                    "rate; undo that first, then revert"
                )
        for module, _, attribute, before, _ in self._changed:
            setattr(module, attribute, before)
        for config, field, before in self._fields:
            setattr(config, field, before)
        for module, setting in self._settings:
            forward = module.__dict__["forward"]
            forward.settings.remove(setting)
            forward.leave_if_idle()


def set_rate(
    model: nn.Module, rate: float, at: str | Iterable[str] = "*", *, example_inputs: Any = None
) -> RatesSet:
    """Set rates that ``model`` already has, wherever it keeps them.

    Dropout modules of torch and of this library, recurrent and attention modules, and stochastic depth and its like of
    other libraries have theirs in an attribute, which is set. Calls of ``F.dropout`` and its relatives and of
    ``F.scaled_dot_product_attention`` get theirs when they are made, while they drop: in training mode, or wherever the
    model calls them so. Where ``at`` means every site, so have the rate fields of Hugging Face configurations, and a
    warning names the modules whose code draws random numbers by hand, which no rate reaches.

    Args:
        model: Any module, which may be compiled or wrapped in DDP.
        rate: Probability of dropping, in ``[0, 1]``.
        at: Which sites: a glob over the ids of :func:`dropkit.audit`, the name of a class, ``"attention"`` or
            ``"recurrent"``, ``"re:..."``, or a list of such. ``"*"`` means every site; recurrent and attention modules
            at rate 0 only where they are named.
        example_inputs: A tensor, a tuple of positional arguments or a dict of keyword arguments. With it, one forward
            is run, which leaves no trace, so that an address of calls that matches nothing is noticed.

    Returns:
        A handle with ``.sites``, ``.active`` and ``.revert()``; also a context manager.

    Raises:
        NoMatchError: ``at`` matches nothing.
        RateError: ``rate`` is outside ``[0, 1]``.
        PlanError: The model's modules cannot be reached.
    """
    value = check_rate(rate)
    address = Address((at,) if isinstance(at, str) else tuple(at))
    tree = Tree(model)
    met: dict[str, None] = {}
    changed = [
        (module, name, attribute, getattr(module, attribute), value)
        for name, module in rated_modules(tree)
        if (attribute := _attribute(module)) and _meant(address, name, module, attribute)
    ]
    mentions = Mentions()
    callers = _callers(tree, address, mentions)
    settings = [(module, Setting(address, value, name, met)) for name, module in callers]
    settings += [
        (module, Setting(_NOWHERE, value, name, met)) for name, module in _below(tree, callers, mentions)
    ]
    for module, _, attribute, _, _ in changed:
        setattr(module, attribute, value)
    for module, setting in settings:
        CallForward.of(module).settings.append(setting)
    fields: list[tuple[Any, str, Any]] = []
    if address.patterns == ("*",):  # fields do not say which sites they are for, only that they are for all
        fields = [(c, name, getattr(c, name)) for c in configs(tree) for name in rate_fields(c)]
        for config, field, _ in fields:
            setattr(config, field, value)
    applied = RatesSet(model, value, settings, changed, fields)
    try:
        if example_inputs is not None:
            trace(tree, example_inputs)
        if not changed and (not settings or (example_inputs is not None and not met)):
            raise NoMatchError(
                f"at={at!r} matches no rate of the model; dropkit.audit(model, *example_inputs) lists the sites"
            )
    except BaseException:
        applied.revert()
        raise
    forget_compiled_code()
    if address.patterns == ("*",) and (by_hand := _by_hand(tree, mentions)):
        warnings.warn(
            f"set_rate cannot reach random numbers that a forward draws by hand, as in {', '.join(by_hand)}; what they "
            "drop stays as it is: see dropkit.audit(model, *example_inputs)",
            stacklevel=2,
        )
    return applied


def _by_hand(tree: Tree, mentions: Mentions) -> list[str]:
    """Return the modules, and their classes, whose forward seems to drop in a way of its own at no rate of its own."""
    return [
        f"{name or '(model)'!r} ({type(module).__name__})"
        for name, module in tree.modules.items()
        if name not in tree.scripted
        and not built_in(module)
        and not _attribute(module)
        and mentions.drawing(module)
    ]


def _attribute(module: nn.Module) -> str:
    if isinstance(module, TORCH_DROPOUT):
        return "p"
    if isinstance(module, (*RECURRENT, nn.MultiheadAttention)):
        return "dropout"
    return "rate" if isinstance(module, RateModule) else rate_attribute(module) or ""


def _meant(address: Address, name: str, module: nn.Module, attribute: str) -> bool:
    names = {*type_names(module), class_kind(module)}
    quiet = isinstance(module, (*RECURRENT, nn.MultiheadAttention)) and not getattr(module, attribute)
    if isinstance(module, nn.MultiheadAttention):
        names.add("attention")
    if isinstance(module, RECURRENT):
        names.add("recurrent")
    return address.matches(name, names) and not (quiet and address.patterns == ("*",))


def _callers(tree: Tree, address: Address, mentions: Mentions) -> list[tuple[str, nn.Module]]:
    """Return the modules whose calls the address may mean: those whose code is not known."""
    found = []
    for name, module in tree.modules.items():
        if name in tree.scripted or built_in(module) or not mentions.dropout(module):
            continue
        wide = any(p.startswith("re:") for p in address.patterns)
        functions = ("dropout", "scaled_dot_product_attention")
        if wide or any(_may_mean(p, name, f) for p in address.patterns for f in functions):
            found.append((name, module))
    return found


def _below(
    tree: Tree, callers: list[tuple[str, nn.Module]], mentions: Mentions
) -> list[tuple[str, nn.Module]]:
    """Return the modules inside the callers whose own calls must be told from theirs."""
    meant = {id(module) for _, module in callers}
    inside = {id(module) for _, caller in callers for module in caller.modules()} - meant
    return [
        (name, module)
        for name, module in tree.modules.items()
        if id(module) in inside
        and name not in tree.scripted
        and (_attribute(module) or mentions.dropout(module))
    ]


def _may_mean(pattern: str, name: str, function: str) -> bool:
    head = pattern.partition(":")[0]
    return pattern == "attention" or fnmatchcase(f"{name}:{function}#0", pattern) or fnmatchcase(name, head)
