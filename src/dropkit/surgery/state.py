"""What the modules of a model hold at some time, and putting it back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from dropkit.surgery.containers import Contents


class State:
    """The attributes of modules, what is in their lists, dicts and sets, and the values of their tensors.

    Parameters stay as they are, but for which of them there are.

    Args:
        modules: The modules.
        but: Attributes that are left alone.
    """

    def __init__(self, modules: Sequence[nn.Module], but: tuple[str, ...] = ()) -> None:
        self._modules = modules
        self._but = but
        self._attributes = [dict(vars(module)) for module in modules]
        self._classes = [type(module) for module in modules]  # lazy modules become others
        self._contents = Contents(value for held in self._attributes for value in held.values())
        tensors = [tensor for tensor in self._contents.tensors if not isinstance(tensor, nn.Parameter)]
        self._tensors = [(tensor, tensor.detach().clone()) for tensor in tensors]
        self._versions = [_version(tensor) for tensor in tensors]

    def put_back(self) -> None:
        """Make everything what it was."""
        for module, held, cls in zip(self._modules, self._attributes, self._classes, strict=True):
            if type(module) is not cls:
                module.__class__ = cls
            now = vars(module)
            for name in now.keys() - held.keys():
                del now[name]
            now.update({name: value for name, value in held.items() if name not in self._but})
        self._contents.put_back()
        for i, (tensor, copy) in enumerate(self._tensors):
            if self._written(i):
                tensor.copy_(copy)
                self._versions[i] = _version(tensor)

    def changes_tensors(self) -> bool:
        """Whether a tensor was written to, has come or is gone; other things may have changed too."""
        changed: list[Any] = []
        for module, held in zip(self._modules, self._attributes, strict=True):
            now = vars(module)
            for name in now.keys() | held.keys():
                before, after = held.get(name), now.get(name)
                if before is not after:
                    changed += before, after
        for container, items in self._contents.changed():
            changed += container, items
        return any(map(self._written, range(len(self._tensors)))) or bool(Contents(changed).tensors)

    def _written(self, i: int) -> bool:
        tensor, copy = self._tensors[i]
        if _version(tensor) != self._versions[i]:
            return True
        return _comparable(tensor) and not torch.equal(tensor, copy)


class Restarting:
    """Makes every forward of a model begin in the state of now, whatever tensors the last one left behind.

    The hooks that do it are gone after the first forward, if that left no tensor: what merely counts goes on counting.

    Args:
        root: The model.
        modules: Its modules; modes of training are not part of the state.
    """

    def __init__(self, root: nn.Module, modules: Sequence[nn.Module]) -> None:
        self._hooks = [
            root.register_forward_pre_hook(self._before, prepend=True),
            root.register_forward_hook(self._after),
        ]
        self._state: State | None = State(modules, but=("training",))
        self._needed: bool | None = None

    def _before(self, module: nn.Module, args: Any) -> None:
        if self._state is not None:
            self._state.put_back()

    def _after(self, module: nn.Module, args: Any, output: Any) -> Any:
        if self._needed is None and self._state is not None:
            self._needed = self._state.changes_tensors()
            if not self._needed:
                self.stop()
        return tree_map_only(Tensor, Tensor.clone, output) if self._needed else output

    def stop(self) -> None:
        """Let forwards begin as they come, and let go of the state."""
        self._state = None
        for hook in self._hooks:
            hook.remove()


def _version(tensor: Tensor) -> int:
    # assigning to .data leaves it as it is
    return 0 if tensor.is_inference() else tensor._version


def _comparable(tensor: Tensor) -> bool:
    return tensor.layout is torch.strided and not (tensor.is_nested or tensor.is_meta)
