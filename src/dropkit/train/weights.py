"""Copies of a model's numbers, and what a pass in evaluation mode must leave as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of every parameter and buffer by name, those outside the ``state_dict`` included."""
    named = chain(model.named_parameters(), model.named_buffers())
    return {name: tensor.detach().clone() for name, tensor in named}


def restore(model: nn.Module, saved: dict[str, Tensor]) -> None:
    """Write a :func:`snapshot` back in place."""
    with torch.no_grad():
        for name, tensor in chain(model.named_parameters(), model.named_buffers()):
            tensor.copy_(saved[name])


def all_finite(model: nn.Module) -> bool:
    """Whether no parameter is NaN or infinite. Buffers are free: a mask of -inf is legitimate."""
    return all(bool(parameter.detach().isfinite().all()) for parameter in model.parameters())


def device_of(model: nn.Module) -> torch.device:
    """Return the device of the first parameter, or of the CPU for a model without any."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


@contextmanager
def own_generators(device: torch.device) -> Iterator[None]:
    """Inside, the global generators of the CPU and of ``device`` may be used; afterwards they are as before."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def seed_generators(device: torch.device, seed: int) -> None:
    """Seed the global generators of the CPU and of ``device``, and no other."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


@contextmanager
def flags_kept(model: nn.Module) -> Iterator[None]:
    """Put every module's train/eval flag back as it was."""
    flags = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in flags:
            module.training = training


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; flags, buffers and global generators are afterwards as before."""
    buffers = [
        (module, name, buffer, None if buffer is None or is_lazy(buffer) else buffer.clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()
    ]
    with own_generators(device_of(model)), flags_kept(model), torch.no_grad():
        model.eval()
        try:
            yield
        finally:
            for module, name, buffer, value in buffers:
                if buffer is None or value is not None:
                    module._buffers[name] = buffer
                if buffer is not None and value is not None:
                    buffer.copy_(value)
