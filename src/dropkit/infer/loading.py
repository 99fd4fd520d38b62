"""What a forward is called with: the inputs as they are, or the batches of a ``DataLoader``."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping
from inspect import Parameter
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, RandomSampler, SubsetRandomSampler, WeightedRandomSampler

from dropkit.core import DataError
from dropkit.surgery.tree import unwrap

Call = tuple[tuple[Any, ...], dict[str, Any]]  # arguments by position and by name

_RANDOM = (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)
_TARGETS = ("target", "targets", "start_positions", "end_positions")  # and every name with "label" in it
_NAMED = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
_PLACED = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def loader_of(inputs: tuple[Any, ...]) -> DataLoader[Any] | None:
    """Return the ``DataLoader`` that is the only input, or None."""
    return inputs[0] if len(inputs) == 1 and isinstance(inputs[0], DataLoader) else None


def calls(model: nn.Module, inputs: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[Call]:
    """Yield what the model is called with: once, or for each batch of a ``DataLoader`` that is the only input.

    Of a tuple the forward gets as many items as it has arguments without a default, at least one: targets come after
    the inputs. Of a mapping it gets the items that it has arguments for, targets left out; a forward that takes a
    mapping gets it whole. A mapping that is the only input goes by name where its items, targets left out, are
    arguments of the forward, and all that it needs. torch's default generator, from which a ``DataLoader`` takes its
    workers' seeds, stays as it is.

    Args:
        model: Its forward's signature counts; wrappers are looked through.
        inputs: All inputs; or a ``DataLoader``, or a mapping.
        kwargs: Arguments by name for every call; they win over those of a batch.

    Raises:
        DataError: The loader shuffles, or a batch does not hold what the forward needs.
    """
    loader = loader_of(inputs)
    taken = _Taken(model, kwargs)
    if loader is None:
        named = taken.spread(inputs[0]) if len(inputs) == 1 and isinstance(inputs[0], Mapping) else None
        yield (inputs, dict(kwargs)) if named is None else ((), {**named, **kwargs})
        return
    _check_order(loader)
    for batch in _apart(loader):
        args, named = taken(batch)
        yield args, {**named, **kwargs}


def _check_order(loader: DataLoader[Any]) -> None:
    for sampler in (loader.sampler, getattr(loader.batch_sampler, "sampler", None)):
        if isinstance(sampler, _RANDOM) or getattr(sampler, "shuffle", None) is True:
            raise DataError(
                f"the DataLoader gives its samples in random order ({type(sampler).__name__}), so that nobody could "
                "tell which prediction is whose; give one with shuffle=False and no such sampler"
            )


def _apart(loader: DataLoader[Any]) -> Iterator[Any]:
    """Yield the batches, with the seeds of workers from a copy of the generator that they are taken from."""
    own = copy.copy(loader)
    if own.generator is None:
        own.generator = torch.default_generator.clone_state()
    batches = iter(own)
    if loader.persistent_workers:
        loader._iterator = own._iterator  # its workers, which are meant to outlive this
    yield from batches


class _Taken:
    """Chooses from a batch what a forward takes.

    Args:
        model: Whose forward it is.
        given: Arguments that come from elsewhere.
    """

    def __init__(self, model: nn.Module, given: Mapping[str, Any]) -> None:
        try:
            found = list(inspect.signature(unwrap(model).forward).parameters.values())
        except (TypeError, ValueError):  # compiled code, which tells nobody what it takes
            found = []
        self._names = {p.name for p in found if p.kind in _NAMED}
        self._anything = any(p.kind is Parameter.VAR_KEYWORD for p in found)
        needed = [p for p in found if p.default is Parameter.empty and p.name not in given]
        self._needed = [p.name for p in needed if p.kind in _NAMED]
        self._placed = [p.name for p in needed if p.kind in _PLACED]

    def __call__(self, batch: Any) -> Call:
        """Return the arguments by position and by name."""
        count = max(len(self._placed), 1)
        if isinstance(batch, tuple | list):
            if len(batch) == 0:
                raise DataError("a batch of the DataLoader is empty; it must begin with the inputs")
            if isinstance(batch[0], Mapping):
                return self(batch[0])
            if isinstance(batch[0], tuple | list) and len(batch[0]) == count > 1:
                batch = batch[0]  # ((a, b), y) for a forward of a and b
        else:
            if isinstance(batch, Mapping) and (named := self._named(batch)) is not None:
                return (), named
            batch = (batch,)
        if len(batch) < count:
            raise DataError(
                f"the forward needs {', '.join(self._placed)}, and a batch of the DataLoader has {len(batch)} "
                f"item{'s' * (len(batch) > 1)}; add what is missing to the batches, or give it by name to predict"
            )
        return tuple(batch[:count]), {}

    def spread(self, given: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the arguments that a single mapping holds by name, or None where it may be an argument itself."""
        found = {k: v for k, v in given.items() if _is_input(k)}
        by_name = found.keys() <= self._names and set(self._needed) <= found.keys()
        return found if found and by_name else None

    def _named(self, batch: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return what goes by name, or None where the forward takes the mapping itself."""
        found = {k: v for k, v in batch.items() if k in self._needed or (k in self._names and _is_input(k))}
        if not found and self._anything:
            found = {k: v for k, v in batch.items() if _is_input(k)}
        if not found and len(self._placed) <= 1 and not self._anything:
            return None
        missing = [name for name in self._needed if name not in found]
        if missing:
            raise DataError(
                f"the forward needs {', '.join(missing)}, and a batch of the DataLoader has "
                f"{', '.join(map(str, batch))}; name the batches' items as the forward's arguments"
            )
        return found


def _is_input(name: Any) -> bool:
    return "label" not in str(name) and name not in _TARGETS
