"""Thinned networks of one model, batch after batch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from dropkit.core import ConfigError
from dropkit.infer.members import Members, Outputs
from dropkit.infer.outputs import Finish
from dropkit.infer.pace import Pace
from dropkit.infer.prediction import Mode
from dropkit.surgery.sampling import Sampler, sampler

_SHARE_OF_MEMORY = 0.25  # of what is free, by default
_LOOKED_AT = 2  # samples of the forward pass that finds the sites


class Thinned:
    """Runs the members of a model, the same ones for every batch.

    Args:
        model: The model; it is looked at, and copied, with the first batch.
        seed: Root of the masks.
        shared: Whether a member is one thinned network, the same for all samples.
        mode: How members run.
        memory: Bytes that activations may take at once; None: a quarter of what is free.
        finish: What to make of the model's output.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        seed: int,
        shared: bool,
        mode: Literal["auto", "vmap", "expand", "loop"],
        memory: int | None,
        finish: Finish,
    ) -> None:
        self._model, self._seed, self._shared = model, seed, shared
        self._mode: Mode | None = None if mode == "auto" else mode
        self._memory, self._finish = memory, finish
        self._made: tuple[Sampler, Pace] | None = None
        self._needed, self._longest = 0, 1  # bytes of a member, for so many samples
        self._first = 0
        self._last: Members | None = None

    @property
    def sites(self) -> tuple[str, ...]:
        """Ids of the sites that drop, once a batch was looked at."""
        return () if self._made is None else self._made[0].sites

    def one(self, member: int) -> Outputs:
        """Return the outputs of one member for the last batch."""
        if self._last is None:
            raise ConfigError("no batch has been run yet")
        return self._last.one(member)

    def look(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], batch: tuple[int, int]
    ) -> tuple[Sampler, Pace]:
        """Find the sites with a first batch, of ``(axis, length)``, where that is not done yet; see :func:`sampler`."""
        if self._made is None:
            axis, self._longest = batch
            made, self._needed = _look(self._model, args, kwargs, axis, self._longest)
            self._made = made, Pace(self._mode, made.before, can_expand=axis == 0)
        return self._made

    def chunks(
        self,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        batch: tuple[int, int],
        members: int,
        most: int,
    ) -> Iterator[tuple[Mode, Outputs]]:
        """Yield the outputs of the members of the next batch, at most ``most`` at once, and how they were computed."""
        made, pace = self.look(args, kwargs, batch)
        self._last = Members(
            made,
            args,
            kwargs,
            seed=self._seed,
            batch=batch,
            shared=self._shared,
            first=self._first,
            finish=self._finish,
        )
        self._first += batch[1]
        largest = _largest(-(-self._needed * batch[1] // self._longest), self._memory, most)
        for way, outputs in self._last.run(pace, members, largest):
            made.check()
            yield way, outputs


def _look(
    model: nn.Module, batch: tuple[Any, ...], kwargs: Mapping[str, Any], axis: int, length: int
) -> tuple[Sampler, int]:
    """Return what a forward pass finds, of a few samples if the model allows, and the bytes that a member needs."""

    def look(args: tuple[Any, ...], named: Mapping[str, Any]) -> Sampler:
        with torch.inference_mode(False):  # in which products would hide inside larger operators
            args, named = tree_map(lambda v: v.clone() if isinstance(v, Tensor) else v, (args, dict(named)))
            given = [v for v in tree_leaves((args, named)) if isinstance(v, Tensor)]
            before = [v._version for v in given]
            made = sampler(model, args, named)
            made.writes = [v._version for v in given] != before
            return made

    def few(value: Any) -> Any:
        batched = isinstance(value, Tensor) and -value.ndim <= axis < value.ndim
        return value.narrow(axis, 0, _LOOKED_AT) if batched and value.shape[axis] == length else value

    if length <= _LOOKED_AT:
        made, seen = look(batch, kwargs), length
    else:
        try:
            made, seen = look(*tree_map(few, (batch, dict(kwargs)))), _LOOKED_AT
        except Exception:  # the whole batch tells what is wrong with more than the few samples
            made, seen = look(batch, kwargs), length
    return made, -(-made.memory * length // max(seen, 1))


def _largest(needed: int, memory: int | None, members: int) -> int:
    budget = memory
    if budget is None:
        budget = int(_SHARE_OF_MEMORY * os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    fit = budget // max(needed, 1)
    if fit < 1 and memory is not None:
        raise ConfigError(
            f"one member needs about {needed:,} bytes, more than memory={memory:,}; give smaller batches or more"
        )
    return int(max(1, min(fit, members)))
