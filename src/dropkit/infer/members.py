"""Running members of a model: one by one, under ``vmap``, or as rows of one large batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from dropkit.core import ConfigError, InputError
from dropkit.infer.pace import Pace
from dropkit.infer.prediction import Mode
from dropkit.random import stream
from dropkit.surgery.sampling import Sampler

Outputs = dict[str, Tensor]
_ROUNDING = 256  # units in the last place of the largest output, by which two orders of summing may differ


class Members:
    """The members of one batch.

    Args:
        sampler: The model.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        seed: Root of the masks.
        batch: ``(axis, length)`` of the batch in inputs, activations and outputs.
        shared: Whether a member is one thinned network, the same for all samples.
        first: Index of the first sample in the data.
        finish: What to make of the model's output: a dict of tensors.
    """

    def __init__(
        self,
        sampler: Sampler,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        seed: int,
        batch: tuple[int, int],
        shared: bool,
        first: int,
        finish: Callable[[Any], Outputs],
    ) -> None:
        self._sampler = sampler
        self._args, self._kwargs = args, dict(kwargs)
        self._seed, self._batch, self._shared, self._first = seed, batch, shared, first
        self._finish = finish

    def one(self, member: int | Tensor) -> Outputs:
        """Return the outputs of one member, without an axis of members."""
        axis, length = self._batch
        where: dict[str, Any] = {"shared_axis": (axis, length)} if self._shared else {"sample": self._first}
        args, kwargs = self._args, self._kwargs
        if self._sampler.writes:
            args, kwargs = tree_map(_copied, (args, kwargs))
        with stream(self._seed, rank=0, member=member, **where) as drawing:
            outputs = self._sampler.model(*args, **kwargs)
        return self._finish(outputs) if self._sampler.is_complete(drawing.drawn) else self.one(member)

    def chunk(self, mode: Mode, begin: int, end: int) -> Outputs:
        """Return the outputs of members ``begin`` to ``end - 1``, which are their first axis."""
        if mode == "vmap":
            return dict(torch.vmap(self.one)(torch.arange(begin, end)))
        if mode == "expand":
            return self._expanded(begin, end)
        found = [self.one(member) for member in range(begin, end)]
        return {name: torch.stack([outputs[name] for outputs in found]) for name in found[0]}

    def _expanded(self, begin: int, end: int) -> Outputs:
        axis, length = self._batch
        if axis != 0:
            raise ConfigError(
                f"mode 'expand' needs the batch at axis 0, got batch_dim={axis}; use mode='loop'"
            )
        count = end - begin

        def repeated(value: Any) -> Any:
            batched = isinstance(value, Tensor) and value.ndim > 0 and value.shape[0] == length
            return value.repeat(count, *[1] * (value.ndim - 1)) if batched else value

        args, kwargs = tree_map(repeated, (self._args, self._kwargs))
        member = torch.arange(begin, end).repeat_interleave(length)
        rows = torch.zeros(length, dtype=torch.int64) if self._shared else torch.arange(length) + self._first
        if self._sampler.writes:
            args, kwargs = tree_map(_copied, (args, kwargs))
        with stream(self._seed, rank=0, member=member, sample=rows.repeat(count)) as drawing:
            outputs = self._finish(self._sampler.model(*args, **kwargs))
        if not self._sampler.is_complete(drawing.drawn):
            return self._expanded(begin, end)
        return {name: value.reshape(count, length, *value.shape[1:]) for name, value in outputs.items()}

    def _check_rows(self, outputs: Outputs, member: int) -> None:
        """Raise unless ``member``, the last one, has these outputs by itself: rows may see each other."""
        for name, value in self.one(member).items():
            near = value.abs().max() * torch.finfo(value.dtype).eps * _ROUNDING if value.numel() else 0.0
            if not bool(((outputs[name][-1] - value).abs() <= near).all()):
                raise ConfigError(
                    "mode 'expand' does not suit the model: samples of one batch influence each other; use mode='auto'"
                )
        self._sampler.rows_apart = True

    def run(self, pace: Pace, members: int, largest: int) -> Iterator[tuple[Mode, Outputs]]:
        """Yield chunks of at most ``largest`` members, in order, as ``pace`` has it.

        Where modes and sizes of chunks are tried, all that is computed counts.
        """
        begin = 0
        while begin < members:
            mode, size = pace.next(largest, members - begin)
            started = time.perf_counter()
            try:
                outputs = self.chunk(mode, begin, begin + size)
                seconds = time.perf_counter() - started
                if mode == "expand" and size > 1 and not self._sampler.rows_apart:
                    self._check_rows(outputs, begin + size - 1)
            except (RuntimeError, ValueError, TypeError, InputError) as error:
                if pace.refused():
                    continue  # not for this model; the loop will raise what is wrong with more than the mode
                if mode != "loop":
                    self.chunk("loop", begin, begin + 1)  # says what is wrong with more than the mode
                if mode == "loop" or isinstance(error, InputError):
                    raise
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                raise ConfigError(
                    f"the model does not run in mode {mode!r}: {reason}; use mode='auto'"
                ) from error
            pace.took(size, seconds)
            yield mode, outputs
            begin += size


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value
