"""Copies of models, with modules and buffers of their own; parameters are shared."""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from dropkit.core import PlanError
from dropkit.surgery.rebinding import PLAIN, Functions, Memo, parts


def copied(root: nn.Module, own: Iterable[Tensor] = ()) -> nn.Module:
    """Copy the modules and the buffers of ``root``; parameters stay the same tensors.

    ``copy.deepcopy`` with three differences. Functions set on instances, such as a patched forward or a hook, that hold
    modules of the model (in closures, defaults, partials or variables of their module) hold those of the copy there.
    Tensors that a forward computed, such as what pruning and weight norm leave on a module, are detached. Attributes
    that cannot be copied, such as locks and open files, are shared.

    Args:
        root: Any module.
        own: Parameters of which the copy has its own; they are buffers there.

    Raises:
        PlanError: It cannot be copied even so.
    """
    functions = Functions(root)
    memo: Memo = {id(p): p for p in root.parameters()} | _empty(root) | functions.stand_ins
    apart = {id(p): p.detach().clone() for p in own}
    memo |= apart
    try:
        done = dict(memo)
        try:
            made = copy.deepcopy(root, done)
        except Exception:  # it names the object, not where it is: look for it
            done = memo | _uncopyable(root, memo)
            made = copy.deepcopy(root, done)
        functions.connect(done)
    except Exception as error:
        raise PlanError(
            f"the model cannot be copied, which keeps the original as it is: {type(error).__name__}: {error}"
        ) from error
    for module in made.modules() if apart else ():
        plain = [
            name
            for name, p in module._parameters.items()
            if p is not None and not isinstance(p, nn.Parameter)
        ]
        if isinstance(module, torch.jit.ScriptModule):
            continue  # its parameters are copies that do not look like parameters
        for name in plain:
            module._buffers[name] = module._parameters.pop(name)
    return made


def _empty(root: nn.Module) -> Memo:
    """Return copies of the modules' empty dicts, most of what there is to copy; deepcopy is slow to make them."""
    held = (value for module in root.modules() for value in vars(module).values())
    return {id(value): type(value)() for value in held if type(value) in (dict, OrderedDict) and not value}


@contextmanager
def only_the_copy(root: nn.Module) -> Iterator[None]:
    """Raise ``PlanError`` if the body, in this thread, calls a module of ``root``, of which it runs a copy."""
    names = {id(module): name for name, module in root.named_modules()}
    thread = threading.get_ident()

    def check(module: nn.Module, _: Any) -> None:
        if id(module) in names and threading.get_ident() == thread:
            raise PlanError(
                f"module {names[id(module)] or '(model)'!r} is called by code of which a copy of the model has none of "
                "its own, such as a function in an object that is no module; make that a method of a module"
            )

    hook = register_module_forward_pre_hook(check)
    try:
        yield
    finally:
        hook.remove()


def _uncopyable(root: nn.Module, memo: Memo) -> Memo:
    """Return the smallest parts of the modules' attributes that deepcopy does not take, to be shared."""
    known = memo | {id(module): module for module in root.modules()}
    shared: Memo = {}
    for module in root.modules():
        for value in vars(module).values():
            shared |= _stuck(value, known)
    return shared


def _stuck(value: Any, known: Memo) -> Memo:
    if type(value) in PLAIN or _is_copied(value, dict(known)):
        return {}
    found: Memo = {}
    for part in parts(value):
        found |= _stuck(part, known)
    return found or {id(value): value}


def _is_copied(value: Any, memo: Memo) -> bool:
    try:
        copy.deepcopy(value, memo)
    except Exception:  # whatever a class raises that does not let itself be copied
        return False
    return True
