"""Running somebody's model to look at it, without leaving a mark on it."""

from __future__ import annotations

import random
import sys
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from dropkit.surgery.drop import Drop
from dropkit.surgery.state import State
from dropkit.surgery.tree import Tree
from dropkit.surgery.writing import Keeping

_GENERATORS = (random.Random, np.random.Generator, np.random.RandomState, torch.Generator)
_PLAIN = frozenset(
    (bool, int, float, str, tuple, list, dict, set, OrderedDict, type(None))
)  # most attributes


@contextmanager
def untouched(tree: Tree, *, training: bool = True, keeping: bool = True) -> Iterator[None]:
    """Run the body in training or in eval mode; put back attributes, tensors and random states afterwards.

    What attributes hold is put back too, where they are lists, dicts or sets: hooks are in such.

    Normalisation layers and TorchScript run in eval mode, so that a batch of one row will do. A model that overrides
    ``train()`` decides which of its modules train. No gradient is recorded.

    Args:
        tree: The model's modules.
        training: Mode of the model in the body.
        keeping: Whether parameters may be written to, and are put back; else somebody else sees to them.
    """
    modules = [*tree.modules.values(), *tree.held]
    state = State(modules)
    wanting = [(p, p.requires_grad) for p in tree.root.parameters()]
    devices = {tensor.device for tensor in tree.root.parameters() if tensor.device.type == "cuda"}
    kept = Keeping(tree.root.parameters()) if keeping else None
    own = [(source, _state(source)) for source in private_generators(modules)]
    quiet = _drops_on_norms(modules) if training else []
    compiled = [(m, getattr(m, "training", False)) for m in modules if isinstance(m, torch.jit.ScriptModule)]
    python_state, numpy_state = random.getstate(), np.random.get_state()
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(sorted(devices, key=str)))
        stack.enter_context(torch.no_grad())
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # what the model has to say, it says when it is used
        if "torch._dynamo" in sys.modules:  # compiled parts would hide what they call
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        try:
            _set_mode(tree.root, modules, training)
            for module, _ in compiled:
                module.training = False  # its normalisation layers cannot be told from the rest
            for drop in quiet:
                drop.forced = True  # what a plan drops there it would drop in training
            if kept is not None:
                stack.enter_context(kept)
            yield
        finally:
            for drop in quiet:
                drop.forced = False
            for parameter, flag in wanting:
                if (
                    parameter.requires_grad != flag
                ):  # what is made in inference mode does not let itself be asked
                    parameter.requires_grad_(flag)
            if kept is not None:
                kept.put_back()
            state.put_back()
            for module, flag in compiled:
                module.training = flag  # which is no attribute of the Python object
            for source, own_state in own:
                _set_state(source, own_state)
            random.setstate(python_state)
            np.random.set_state(numpy_state)


def _drops_on_norms(modules: list[nn.Module]) -> list[Drop]:
    """Return what plans drop at normalisation layers in training mode."""
    norms = [module for module in modules if isinstance(module, _NormBase)]
    hooks: list[Any] = [
        h for m in norms for h in (*m._forward_hooks.values(), *m._forward_pre_hooks.values())
    ]
    return [hook for hook in hooks if isinstance(hook, Drop) and not hook.forced]


def _set_mode(root: nn.Module, modules: list[nn.Module], training: bool) -> None:
    overridden = any(
        type(m).train is not nn.Module.train or type(m).eval is not nn.Module.eval for m in modules
    )
    if overridden:
        root.train() if training else root.eval()
    else:
        for module in modules:
            module.training = training
    for module in modules:
        if isinstance(module, _NormBase):
            module.training = False


def private_generators(modules: list[nn.Module]) -> list[Any]:
    """Return the random generators that modules hold as attributes."""
    held = {id(value): value for m in modules for value in vars(m).values() if type(value) not in _PLAIN}
    return [value for value in held.values() if isinstance(value, _GENERATORS)]


def _state(source: Any) -> Any:
    if isinstance(source, random.Random):
        return source.getstate()
    if isinstance(source, np.random.Generator):
        return source.bit_generator.state
    return source.get_state()


def _set_state(source: Any, state: Any) -> None:
    if isinstance(source, random.Random):
        source.setstate(state)
    elif isinstance(source, np.random.Generator):
        source.bit_generator.state = state
    else:
        source.set_state(state)


def host_state(sources: list[Any]) -> tuple[Any, ...]:
    """Return what changes when Python's or NumPy's randomness is used: the global ones, and ``sources``."""
    numpy_state: Any = np.random.get_state()
    own = [repr(_state(source)) for source in sources if not isinstance(source, torch.Generator)]
    return random.getstate(), numpy_state[1].tobytes(), numpy_state[2], numpy_state[3], *own
