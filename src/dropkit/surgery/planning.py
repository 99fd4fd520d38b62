"""From rules to a plan: looks at the model, changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from torch import nn

from dropkit.core import DtypeError, InputError, NoMatchError, PlanError, variant
from dropkit.nn import LinearByDepth
from dropkit.surgery import wrapping
from dropkit.surgery.address import Map, Target, needs_flow, place_of
from dropkit.surgery.auditing.known import class_kind, rate_attribute
from dropkit.surgery.calls import CallForward
from dropkit.surgery.depth import rates_by_depth
from dropkit.surgery.forms import acts_on_a_sum, held_options, is_held, skips_layers, wraps_module
from dropkit.surgery.plans import Place, Plan, Site, settle, site_id
from dropkit.surgery.rates import SiteRate
from dropkit.surgery.ready import own_dropout, ready_plan
from dropkit.surgery.rules import Options, OptionValue, Rule
from dropkit.surgery.taking import DropoutForward
from dropkit.surgery.trace import trace
from dropkit.surgery.tree import Tree
from dropkit.surgery.weights import mismatch, refusal

LAYERS = (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
PATHS = ("drop_path", "stochastic_depth")
_STAND_INS = (CallForward, DropoutForward)


def plan(model: nn.Module, rules: Iterable[Rule] | str, *, example_inputs: Any = None) -> Plan:
    """Find where ``rules`` apply in ``model``. Nothing is changed; print the plan to see what would be.

    Args:
        model: Any module, which may be compiled or wrapped in DDP.
        rules: Rules, none included. Each must match something. Or the name of a ready-made plan, see
            :func:`dropkit.surgery.ready_plans`.
        example_inputs: A tensor, a tuple of positional arguments or a dict of keyword arguments. With it, one
            forward is run and functional activations (``F.relu``, ``torch.tanh``, ``x.relu()`` ...) become
            sites of ``"hidden"``; ``"fc"`` then takes the Linear called last for the last one. The run leaves
            flags, buffers and random states as they were.

    Returns:
        Plan: data, to print, save, add or apply.

    Raises:
        NoMatchError: A rule matches nothing; the text says why.
        PlanError: Rules conflict, a site cannot be attached to, or the model fails on the example.
        DtypeError: ``"input"`` is asked for, and the example's first tensor is not floating point.
        UnknownNameError: There is no ready-made plan of that name.
    """
    if isinstance(rules, str):
        return _ready(model, rules, example_inputs)
    if isinstance(rules, Rule):
        raise PlanError("rules must be a list of Rule, got a single Rule; put it in a list")
    given = tuple(rules)
    for rule in given:
        if not isinstance(rule, Rule):
            raise PlanError(f"rules must be a list of Rule, got {rule!r}")
    tree = Tree(model)
    follow = any(needs_flow((*rule.addresses, *rule.except_)) or _sums(rule) for rule in given)
    with _as_written(tree):
        seen = None if example_inputs is None else trace(tree, example_inputs, follow=follow)
    planner = _Planner(Map(tree, seen))
    found = [site for number, rule in enumerate(given) for site in planner.sites(number, rule)]
    sites = settle(found, given)
    return Plan(
        rules=given,
        sites=sites,
        callers=() if seen is None else seen.callers_of({site.function for site in sites}),
        notes=tuple(dict.fromkeys(planner.notes)),
    )


def _ready(model: nn.Module, name: str, example_inputs: Any) -> Plan:
    entry = ready_plan(name)
    try:
        made = plan(model, entry.rules(model), example_inputs=example_inputs)
    except InputError as error:
        raise type(error)(f"ready plan {name!r} needs {entry.needs}: {error}") from None
    return replace(made, notes=(*made.notes, *entry.notes, *own_dropout(Tree(model))))


@contextmanager
def _as_written(tree: Tree) -> Iterator[None]:
    """Run the body without what stands in for forwards, which would hide the functions that they call."""
    stand_ins = [
        (m, f) for m in tree.modules.values() if isinstance(f := m.__dict__.get("forward"), _STAND_INS)
    ]
    try:
        for module, forward in stand_ins:
            del module.__dict__["forward"]
            if isinstance(forward, CallForward) and forward.original is not None:
                module.__dict__["forward"] = forward.original
        yield
    finally:
        for module, forward in stand_ins:
            module.__dict__["forward"] = forward


def _sums(rule: Rule) -> bool:
    return acts_on_a_sum(variant(rule.variant))


class _Planner:
    """Resolves one rule after another, and collects notes for the reader on the way."""

    def __init__(self, places: Map) -> None:
        self._map = places
        self._tree = places.tree
        self.notes: list[str] = []

    def sites(self, number: int, rule: Rule) -> list[Site]:
        """Return the sites of rule ``number``, in the order its addresses find them."""
        targets = self._reachable(rule, self._without_exceptions(rule, self._matched(rule)))
        given = rule.effective_rate
        places = [(target.module, target.function) for target, _ in targets]
        rates = rates_by_depth(given, places) if isinstance(given, LinearByDepth) else [given] * len(targets)
        return [
            self._site(number, rule, target, on, rate)
            for (target, on), rate in zip(targets, rates, strict=True)
        ]

    def _matched(self, rule: Rule) -> dict[tuple[Target, Place], None]:
        found: dict[tuple[Target, Place], None] = {}
        reasons: list[str] = []
        if "hidden" in rule.addresses and self._map.trace is not None and self._tree.scripted:
            self.notes.append("activation functions called inside a torch.jit.ScriptModule were not seen")
        for address in rule.addresses:
            on = self._place(rule, address)
            try:
                targets = self._map.find(address)
                if _sums(rule):
                    targets = [term for target in targets for term in self._map.sums(target)]
                found |= dict.fromkeys((target, on) for target in targets)
            except NoMatchError as error:
                reasons.append(str(error))
        if not found:
            raise NoMatchError(f"rule at {rule.at!r} matches nothing: {'; '.join(reasons)}")
        self.notes += [f"rule at {rule.at!r}: {reason}" for reason in reasons]
        return self._outermost(found) if skips_layers(variant(rule.variant)) else found

    def _outermost(self, found: dict[tuple[Target, Place], None]) -> dict[tuple[Target, Place], None]:
        """Return the layers without what is inside of others."""
        names = {target.module for target, _ in found}
        return {
            key: None
            for key in found
            if not any(name != key[0].module and f"{key[0].module}.".startswith(f"{name}.") for name in names)
        }

    def _place(self, rule: Rule, address: str) -> Place:
        place = place_of(address)
        if skips_layers(variant(rule.variant)):
            if place is not None or ":" in address.removeprefix("re:"):
                raise PlanError(
                    f"rule at {rule.at!r}: {rule.variant!r} skips whole layers; address modules, by a glob or a type"
                )
            return "layer"
        if place is None or (place == "input" and address != "input"):
            return rule.on
        if rule.on == "weight" != place or (place != "input" and rule.on not in ("output", place)):
            raise PlanError(
                f"rule at {rule.at!r}: {address!r} says what is dropped; leave out on={rule.on!r}"
            )
        return place

    def _without_exceptions(
        self, rule: Rule, found: dict[tuple[Target, Place], None]
    ) -> dict[tuple[Target, Place], None]:
        left = dict(found)
        for address in rule.except_:
            try:
                excluded = set(self._map.find(address))
            except NoMatchError as error:
                raise NoMatchError(f"except_={address!r} of the rule at {rule.at!r}: {error}") from None
            if address == "input":
                hit = [key for key in left if key == (Target(""), "input")]
            else:
                hit = [key for key in left if key[0] in excluded or Target(key[0].module) in excluded]
            if not hit:
                self.notes.append(f"rule at {rule.at!r}: except_={address!r} takes nothing away")
            for key in hit:
                del left[key]
        if not left:
            names = ", ".join(site_id(t.module, on, t.function, t.number) for t, on in found)
            raise NoMatchError(
                f"rule at {rule.at!r} matches {names}, but except_ removes them all; narrow except_"
            )
        return left

    def _reachable(self, rule: Rule, found: dict[tuple[Target, Place], None]) -> list[tuple[Target, Place]]:
        reached = []
        reasons: dict[str, None] = {}
        for target, on in found:
            reason = None if target.function else self._map.unreachable(target.module)
            if reason is None:
                reason = self._unfit(rule, target, on)
            if reason is None:
                reached.append((target, on))
            else:
                reasons[reason] = None
        if not reached:
            error = PlanError if rule.on == "weight" or wraps_module(variant(rule.variant)) else NoMatchError
            raise error(f"rule at {rule.at!r} matches only what cannot be reached: {'; '.join(reasons)}")
        self.notes += [f"rule at {rule.at!r}: left out, {reason}" for reason in reasons]
        return reached

    def _sized(self, rule: Rule, target: Target, on: Place, name: str) -> Mapping[str, OptionValue]:
        entry = variant(rule.variant)
        known = held_options(entry) if is_held(entry) else {}
        if "features" not in known or known["features"].default is None or "features" in rule.options:
            return rule.options
        seen = self._map.trace
        where = (target.module, target.function, target.number, "input" if on == "input" else "output")
        shape = None if seen is None else seen.shapes.get(where)
        axis = int(rule.options.get("axis", known["axis"].default))
        if shape is None or not -len(shape) <= axis < len(shape):
            raise PlanError(
                f"site {name!r}: {rule.variant!r} needs the number of features along axis {axis}, got "
                f"{'no example' if shape is None else f'shape {shape}'}; pass example_inputs= to dropkit.plan, or give "
                "options={'features': ...}"
            )
        return Options({**rule.options, "features": shape[axis]})

    def _unfit(self, rule: Rule, target: Target, on: Place) -> str | None:
        entry, module = variant(rule.variant), self._tree.modules[target.module]
        if on != "weight" and not wraps_module(entry):
            return None
        if target.function:
            return f"{rule.variant} acts on a module, and {target.function} is a function"
        if on == "output":
            return wrapping.mismatch(entry, module)
        if on != "weight":
            return f"{rule.variant} acts inside of a module, not on its {on}"
        left_out = mismatch(entry, module)
        if left_out is None and rule.options.get("per_sample"):
            left_out = wrapping.mismatch(entry, module, rule.options)
        by_wrapper = rule.variant == "embedding_dropout" and isinstance(module, nn.Embedding)
        if left_out is None and not by_wrapper and (reason := refusal(module)) is not None:
            raise PlanError(f"site {site_id(target.module, 'weight')!r}: {reason}")
        return left_out

    def _site(self, number: int, rule: Rule, target: Target, on: Place, rate: SiteRate) -> Site:
        name = site_id(target.module, on, target.function, target.number)
        module = self._tree.modules[target.module]
        if target.module in self._tree.scripted:
            raise PlanError(
                f"site {name!r} is inside a torch.jit.ScriptModule, where nothing can be attached; apply the plan "
                "to the Python model it was made from, or leave it out with except_="
            )
        seen = self._map.trace
        if seen is not None:
            dtype = seen.first_dtype
            if name == ":input" and dtype is not None and not dtype.is_floating_point:
                raise DtypeError(
                    f"site ':input' is {dtype} on the example, and only floating-point values can be dropped; "
                    "address the embedding's output instead, e.g. at='Embedding'"
                )
            if not target.function and target.module not in seen.called:
                self.notes.append(f"module {target.module!r} was not called on the example")
        flow = None if seen is None else seen.flow
        rates = {} if flow is None else {Target(*call): own for call, own in flow.attentions.items()}
        own = rates.get(target) or (0.0 if flow is not None else getattr(module, "dropout", 0.0))
        if on == "attention" and own:
            self.notes.append(
                f"site {name!r}: the model drops there itself, at rate {own:g}; this rule stands in for that while "
                "applied"
            )
        options = self._sized(rule, target, on, name)
        if on == "branch":
            self._note_branch(name, target, rule)
        for part in () if on in ("weight", "layer") else self._fast_paths(target):
            self.notes.append(f"while applied, {part} does not take its fast path in eval mode")
        return Site(
            id=name,
            module=target.module,
            on=on,
            variant=rule.variant,
            rate=rate,
            options=options,
            type=type(module).__name__,
            function=target.function,
            index=target.number,
            argument=target.argument,
            rule=number,
        )

    def _note_branch(self, name: str, target: Target, rule: Rule) -> None:
        """Note what a reader of a rule about branches has to know."""
        if variant(rule.variant).family != "depth and paths":
            return
        module = self._tree.modules[target.module]
        own = rate_attribute(module) if class_kind(module) in PATHS else None
        if own is not None and getattr(module, own):
            self.notes.append(
                f"site {name!r}: the model drops that branch itself, at rate {getattr(module, own):g}"
            )
        for around in self._around(target):
            layer = self._tree.modules.get(around)
            if isinstance(layer, LAYERS) and not layer.self_attn.batch_first:
                self.notes.append(
                    f"{type(layer).__name__} {around!r} has the sequence on its first axis, whose items are dropped, "
                    "not samples; make it with batch_first=True"
                )

    @staticmethod
    def _around(target: Target) -> list[str]:
        parts = target.module.split(".")
        return [".".join(parts[:length]) for length in range(len(parts) + 1)]

    def _fast_paths(self, target: Target) -> list[str]:
        """Return the modules around a hook whose fused eval code torch leaves when it sees one."""
        if target.function:
            return []  # a function mode is entered in training only
        around = self._around(target)
        return [
            f"{type(self._tree.modules[name]).__name__} {name!r}"
            for name in around
            if isinstance(self._tree.modules.get(name), nn.TransformerEncoderLayer)
        ]
