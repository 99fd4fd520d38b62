"""By what a study recognises its data, its model and the user's code, when it goes on in an old folder."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from dropkit import zoo
from dropkit.records import Fingerprint
from dropkit.study.config import StudyConfig
from dropkit.train.samples import Samples, TensorSamples, samples
from dropkit.zoo.factory import is_reference

_LOOKED_AT = 4096  # examples of a part that makes them one at a time
_AT_ONCE = 256
_TWICE = 64  # are equal if looked at twice, unless they are made anew each time


def fingerprint(config: StudyConfig, data: zoo.Data, build: Callable[[], nn.Module]) -> Fingerprint:
    """Return the fingerprint of a study's first seed.

    Tensors in memory count with every byte. Of a part that makes its examples one at a time up to 4,096 count, evenly
    spread, and only their number where the same example comes out differently each time; then the source of the
    module that makes them counts instead. Weights that differ from one building to the next count without their values.

    Args:
        config: The study.
        data: Of the first seed.
        build: Builds the model with the initial weights of the first seed.
    """
    parts = [
        samples(part, name) for name, part in (("train", data.train), ("val", data.val), ("test", data.test))
    ]
    digest = hashlib.sha256(
        repr((data.task, data.input_shape, data.outputs, data.target_mean, data.target_std)).encode()
    )
    for part in parts:
        _add_part(digest, part)
    factories = {config.model.name}
    if not all(isinstance(part, TensorSamples) for part in parts):
        factories.add(config.data.name)
    return Fingerprint(data=digest.hexdigest(), model=_weights(build), sources=_sources(factories))


def _add_part(digest: hashlib._Hash, part: Samples) -> None:
    digest.update(f"{len(part)} ".encode())
    rows = torch.arange(len(part))
    if not isinstance(part, TensorSamples):
        few = rows[:_TWICE]
        if not all(map(_same, part.take(few), part.take(few))):
            return
        if len(rows) > _LOOKED_AT:
            rows = rows[torch.linspace(0, len(rows) - 1, _LOOKED_AT).round().long()]
    for some in torch.split(rows, _AT_ONCE):
        for values in part.take(some):
            _add(digest, values)


def _same(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one.nan_to_num(), other.nan_to_num())


def _add(digest: hashlib._Hash, values: Tensor, *, only_kind: bool = False) -> None:
    digest.update(f"{values.dtype} {tuple(values.shape)} ".encode())
    if only_kind:
        return
    digest.update(values.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())


def _weights(build: Callable[[], nn.Module]) -> str:
    first, second = (_named(build()) for _ in range(2))
    settled = all(_same(one, other) for (_, one), (_, other) in zip(first, second, strict=True))
    digest = hashlib.sha256()
    for name, value in first:
        digest.update(f"{name} ".encode())
        _add(digest, value, only_kind=not settled)
    return digest.hexdigest()


def _named(model: nn.Module) -> list[tuple[str, Tensor]]:
    """Return parameters and buffers by name, an empty tensor for each that gets its shape from the first batch."""
    values = [*model.named_parameters(), *model.named_buffers()]
    return [(name, torch.empty(0) if is_lazy(value) else value) for name, value in values]


def _sources(names: Iterable[str]) -> dict[str, str]:
    """Return the digest of each module's source, by name, for those names that are ``"module:factory"``."""
    found = {}
    for name in sorted(names):
        module = sys.modules.get(name.partition(":")[0]) if is_reference(name) else None
        file = inspect.getsourcefile(module) if module is not None else None
        if module is not None and file is not None:
            found[module.__name__] = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    return found
