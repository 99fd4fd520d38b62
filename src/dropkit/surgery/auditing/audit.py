"""``dk.audit``: every stochastic site of a model, found in two ways that are compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

from dropkit.core import PlanError
from dropkit.surgery.accelerating import without_acceleration
from dropkit.surgery.auditing.host import lines_drawing
from dropkit.surgery.auditing.known import RECURRENT, TORCH_DROPOUT, class_kind, rate_attribute
from dropkit.surgery.auditing.mistakes import mistakes
from dropkit.surgery.auditing.result import Audit, AuditSite
from dropkit.surgery.auditing.watch import Seen, Watch
from dropkit.surgery.trace import arguments
from dropkit.surgery.tree import Tree
from dropkit.surgery.untouched import untouched

_HOST = "Python or NumPy randomness"


def audit(model: nn.Module, *example_inputs: Any) -> Audit:
    """Find every place where ``model`` is random, and known mistakes.

    Modules are looked at; then forward passes in training and in eval mode are watched, down to the operators, so
    that a functional call in somebody's forward is seen with the module and the line that made it, as are numbers
    drawn by hand and the random numbers of Python and NumPy. The model, its buffers, flags and all random
    generators are as before afterwards. Reading the line of a host generator runs the forward once more, slowly.

    Args:
        model: Any module.
        example_inputs: What its forward takes: positional arguments, or one dict of keyword arguments. Without,
            only modules are looked at.

    Returns:
        Audit: sites and warnings; print it for a table.

    Raises:
        PlanError: ``model`` is no module, is TorchScript, or fails on the example.
    """
    tree = Tree(model)
    if tree.scripted:
        name = min(tree.scripted)
        raise PlanError(
            f"module {name or '(model)'!r} is TorchScript, whose code cannot be watched or changed; audit the Python "
            "model that it was made from"
        )
    with without_acceleration(tree):
        return _audited(tree, example_inputs)


def _audited(tree: Tree, example_inputs: tuple[Any, ...]) -> Audit:
    if not example_inputs:
        sites = [_unreached(name, module) for name, module in _static(tree)]
        return Audit(tuple(sites), tuple(mistakes(tree, sites, None, set())), traced=False)
    example = example_inputs[0] if isinstance(example_inputs[0], Mapping) else example_inputs
    training, output = _watched(tree, example, training=True)
    evaluating, _ = _watched(tree, example, training=False)
    settable = _settable(tree, example, training)
    sites = _sites(tree, example, training, evaluating, settable)
    last = {place(tree, training.seen[id]) for id in training.marks.last(output)}
    return Audit(tuple(sites), tuple(mistakes(tree, sites, training, last)), traced=True)


def _watched(tree: Tree, example: Any, *, training: bool) -> tuple[Watch, Any]:
    args, kwargs = arguments(example)
    with untouched(tree, training=training):
        watch = Watch(tree)
        with watch.watching():
            try:
                output = tree.root(*args, **kwargs)
            except Exception as error:
                raise PlanError(
                    f"the model fails on the example inputs: {type(error).__name__}: {error}; pass what its forward "
                    "takes, or one dict of keyword arguments"
                ) from error
    return watch, output


def rated_modules(tree: Tree) -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules that keep a rate, by name."""
    for name, module in tree.modules.items():
        if (
            isinstance(module, (*TORCH_DROPOUT, nn.MultiheadAttention))
            or (isinstance(module, RECURRENT) and module.num_layers > 1)
            or rate_attribute(module) is not None
        ):
            yield name, module


def _static(tree: Tree) -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules that drop by their class; attention and recurrent ones drop where their rate is not 0."""
    for name, module in rated_modules(tree):
        if not isinstance(module, (*RECURRENT, nn.MultiheadAttention)) or module.dropout > 0:
            yield name, module


def _kind(module: nn.Module) -> str:
    if isinstance(module, RECURRENT):
        return "recurrent"
    return "attention" if isinstance(module, nn.MultiheadAttention) else class_kind(module)


def _rate(module: nn.Module) -> float | None:
    if isinstance(module, (*RECURRENT, nn.MultiheadAttention)):
        return float(module.dropout)
    name = "p" if isinstance(module, TORCH_DROPOUT) else rate_attribute(module)
    return None if name is None else float(getattr(module, name))


def _unreached(name: str, module: nn.Module) -> AuditSite:
    return AuditSite(name, _kind(module), _rate(module), None, 0.0, False, True, type(module).__name__)


def place(tree: Tree, seen: Seen) -> str:
    """Return the id of what was drawn by hand: that of the module, where the module has the rate."""
    return seen.module if seen.by_hand and rate_attribute(tree.modules[seen.module]) is not None else seen.id


@contextmanager
def _rates_at(tree: Tree, names: dict[str, str], value: float) -> Iterator[None]:
    before = {name: getattr(tree.modules[name], attribute) for name, attribute in names.items()}
    try:
        for name, attribute in names.items():
            setattr(tree.modules[name], attribute, type(before[name])(value))
        yield
    finally:
        for name, attribute in names.items():
            setattr(tree.modules[name], attribute, before[name])


def _settable(tree: Tree, example: Any, training: Watch) -> set[str]:
    """Return the modules drawing by hand that stop, or do nothing, when the attribute with their rate is 0."""
    names: dict[str, str] = {}
    for seen in training.seen.values():
        attribute = rate_attribute(tree.modules[seen.module]) if seen.by_hand else None
        if attribute is not None:
            names[seen.module] = attribute
    if not names:
        return set()
    with _rates_at(tree, names, 0.0):
        quiet, _ = _watched(tree, example, training=True)
    still = {seen.module for seen in quiet.seen.values() if seen.by_hand and seen.active}
    return {name for name in names if name not in still or name in quiet.unchanged}


def _sites(
    tree: Tree, example: Any, training: Watch, evaluating: Watch, settable: set[str]
) -> list[AuditSite]:
    found: dict[str, AuditSite] = {}
    in_eval = {place(tree, seen) for seen in evaluating.seen.values() if seen.active}
    for seen in (*training.seen.values(), *evaluating.seen.values()):
        id = place(tree, seen)
        if id in found:
            continue
        owner = tree.modules[seen.module]
        mine = id == seen.module and seen.by_hand
        shape = training.shapes.get(id, seen.shape) if mine else seen.shape
        found[id] = AuditSite(
            id,
            _kind(owner) if mine else seen.kind,
            _rate(owner) if mine else seen.rate,
            shape,
            _elements(shape) * seen.hits / training.elements if training.elements else 0.0,
            id in in_eval,
            (id in settable) if mine else not (seen.by_hand or seen.own),
            seen.source,
        )
    for name, module in _static(tree):
        if name not in found:
            found[name] = _unreached(name, module)
    for name, lines in _host(tree, example, training, evaluating):
        found[f"{name}:random"] = AuditSite(
            f"{name}:random", _HOST, None, (), 0.0, name in evaluating.host, False, ", ".join(lines)
        )
    return list(found.values())


def _elements(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _host(tree: Tree, example: Any, *watches: Watch) -> Iterator[tuple[str, list[str]]]:
    names = dict.fromkeys(name for watch in watches for name in watch.host)
    if not names:
        return
    args, kwargs = arguments(example)
    modules = list(tree.modules.values())
    with untouched(tree):
        lines = lines_drawing(modules, lambda: tree.root(*args, **kwargs))
    for name in names:
        yield name, lines
