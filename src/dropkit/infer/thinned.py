"""Thinned networks of one model, batch after batch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, Literal

from torch import nn

from dropkit.core import ConfigError
from dropkit.infer.inputs import first_tensor
from dropkit.infer.looking import Look, elements_of, look
from dropkit.infer.members import Members, Outputs
from dropkit.infer.outputs import Finish
from dropkit.infer.pace import Pace
from dropkit.infer.prediction import Mode
from dropkit.surgery.sampling import Sampler

_SHARE_OF_MEMORY = 0.25  # of what is free, by default


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
        self._found: tuple[Look, Pace] | None = None
        self._first = 0
        self._last: Members | None = None

    @property
    def sites(self) -> tuple[str, ...]:
        """Ids of the sites that drop, once a batch was looked at."""
        return () if self._found is None else self._found[0].sampler.sites

    def one(self, member: int) -> Outputs:
        """Return the outputs of one member for the last batch."""
        if self._last is None:
            raise ConfigError("no batch has been run yet")
        return self._last.one(member)

    def close(self) -> None:
        """Let go of the copy that has run; nothing more can be asked."""
        if self._found is not None:
            self._found[0].sampler.close()

    def look(
        self,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        batch: tuple[int, int],
        *,
        again: bool = False,
        whole: bool = False,
    ) -> tuple[Look, Pace]:
        """Find the sites with a first batch, of ``(axis, length)``, where that is not done yet, or again; see
        :func:`look`.
        """
        if self._found is None or again:
            axis, length = batch
            if self._mode == "expand" and axis != 0:
                raise ConfigError(f"mode 'expand' needs the batch at axis 0, got {axis}; use mode='loop'")
            self.close()  # the copy of an earlier look
            found = look(self._model, args, kwargs, axis, length, self._memory, whole=whole)
            self._finish.doubt(found.sampler.outputs)
            before, needed = found.sampler.before, found.needed(length, found.elements)
            on_cpu = first_tensor(args, kwargs).device.type == "cpu"
            self._found = found, Pace(self._mode, before, needed, can_expand=axis == 0, on_cpu=on_cpu)
        return self._found

    def chunks(
        self,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        batch: tuple[int, int],
        members: int,
        most: int,
    ) -> Iterator[tuple[Mode, Outputs]]:
        """Yield the outputs of the members of the next batch, at most ``most`` at once, and how they were computed."""
        first, self._first = self._first, self._first + batch[1]
        sampler, running = self._run(args, kwargs, batch, first, members, most)
        chunk = next(running)
        if sampler.unmet is not None:  # a few samples do not lead everywhere
            sampler, running = self._run(args, kwargs, batch, first, members, most, whole=True)
            chunk = next(running)
        for way, outputs in chain([chunk], running):
            sampler.check()
            yield way, outputs

    def _run(
        self,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        batch: tuple[int, int],
        first: int,
        members: int,
        most: int,
        *,
        whole: bool = False,
    ) -> tuple[Sampler, Iterator[tuple[Mode, Outputs]]]:
        found, pace = self.look(args, kwargs, batch, again=whole, whole=whole)
        elements, budget = elements_of((args, dict(kwargs)), batch), _budget(self._memory)
        wanted = most if elements > found.elements else 1
        if elements != found.elements and found.needed(batch[1], elements) * wanted > budget:
            # such samples may take much less than feared
            found, pace = self.look(args, kwargs, batch, again=True)
        if self._shared and found.seen != batch[1]:
            found.sampler.check_axis(*batch)
        self._last = Members(
            found.sampler,
            args,
            kwargs,
            seed=self._seed,
            batch=batch,
            shared=self._shared,
            first=first,
            finish=self._finish,
        )
        largest = _largest(found.needed(batch[1], elements), budget, most, strict=self._memory is not None)
        return found.sampler, self._last.run(pace, members, largest)


def _budget(memory: int | None) -> int:
    if memory is not None:
        return memory
    return int(_SHARE_OF_MEMORY * os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def _largest(needed: int, budget: int, members: int, *, strict: bool) -> int:
    fit = budget // max(needed, 1)
    if fit < 1 and strict:
        raise ConfigError(
            f"one member needs about {needed:,} bytes, more than memory={budget:,}; give smaller batches or more"
        )
    return int(max(1, min(fit, members)))
