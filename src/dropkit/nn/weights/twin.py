"""A module called with other weights in the place of its own, without being changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def twin(module: nn.Module, weights: Mapping[str, Tensor], *, hooked: bool = False) -> Any:
    """Return another object with the parameters, buffers and children of ``module``, except for ``weights``.

    The module itself is never changed, not even while the twin runs, so an error in a forward leaves nothing to put
    back and other threads see nothing. A stand-in for its forward is not taken over unless it can be bound to
    the twin.

    Args:
        module: The module.
        weights: What the twin has in the place of parameters, by dotted name.
        hooked: Whether hooks on the module run when the twin is called.
    """
    made: nn.Module = object.__new__(type(module))
    values = made.__dict__
    values.update(module.__dict__)
    stand_in = values.pop("forward", None)
    if hooked and stand_in is not None:
        rebind = getattr(stand_in, "bound_to", None)
        values["forward"] = stand_in if rebind is None else rebind(made)
    if not hooked:
        values.update((name, {}) for name in _HOOKS)
    own = {name: weight for name, weight in weights.items() if "." not in name}
    values["_parameters"] = {**module._parameters, **own}
    children = dict.fromkeys(name.partition(".")[0] for name in weights if name not in own)
    if children:
        inner = {
            child: {
                name.partition(".")[2]: weight
                for name, weight in weights.items()
                if name.startswith(f"{child}.")
            }
            for child in children
        }
        twins = {child: twin(getattr(module, child), inner[child], hooked=True) for child in children}
        values["_modules"] = {**module._modules, **twins}
    if isinstance(module, nn.RNNBase) and own:
        before = [getattr(module, name) for name in module._flat_weights_names]
        used = [own.get(name, w) for name, w in zip(module._flat_weights_names, before, strict=True)]
        values["_flat_weights"] = laid_out_like(before, used) if before[0].is_cuda else used
        values["_flat_weight_refs"] = [None] * len(used)  # no reason to rebuild that list
    return made


def laid_out_like(own: list[Tensor], used: list[Tensor]) -> list[Tensor]:
    """Return ``used`` as parts of one storage, as ``own`` are; else as they are.

    cuDNN wants all weights of a layer at certain places of one piece of memory. Where they are not it warns and copies
    them at every call.
    """
    storage = own[0].untyped_storage()
    flat: list[Tensor] = []
    end = 0
    for number in sorted(range(len(own)), key=lambda i: int(own[i].storage_offset())):
        weight, start = own[number], int(own[number].storage_offset())
        apart = weight.untyped_storage().data_ptr() != storage.data_ptr() or not weight.is_contiguous()
        if apart or start < end:
            return used
        flat += [weight.new_zeros(start - end), used[number].reshape(-1)]
        end = start + weight.numel()
    total = torch.cat([*flat, own[0].new_zeros(storage.nbytes() // own[0].element_size() - end)])
    return [
        total[weight.storage_offset() : weight.storage_offset() + weight.numel()].view(weight.shape)
        for weight in own
    ]
