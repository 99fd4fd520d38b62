"""Running members of a model: one by one, under ``vmap``, or as rows of one large batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from dropkit.core import ConfigError, InputError
from dropkit.infer.inputs import first_tensor
from dropkit.infer.looking import first_samples
from dropkit.infer.pace import Pace
from dropkit.infer.prediction import Mode
from dropkit.random import stream
from dropkit.surgery.sampling import Sampler

Outputs = dict[str, Tensor]
_FEW = 2  # samples by which rows of a larger batch are checked
_CHECKS = 4  # members by which they are, at most
_ROUNDING = 256  # units in the last place of the largest output, by which two orders of summing may differ
_AT_MOST = 2**-4  # of it, which is less in half precision


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
        self._device = first_tensor(args, self._kwargs).device
        self._seed, self._batch, self._shared, self._first = seed, batch, shared, first
        self._finish = finish

    def one(self, member: int | Tensor, few: int | None = None) -> Outputs:
        """Return the outputs of one member, without an axis of members; of the first ``few`` samples, or of all."""
        axis, length = self._batch
        args, kwargs = self._args, self._kwargs
        if few is not None:
            args, kwargs = tree_map(partial(first_samples, few, self._batch), (args, kwargs))
            length = few
        where: dict[str, Any] = {"shared_axis": (axis, length)} if self._shared else {"sample": self._first}
        if self._sampler.writes:
            args, kwargs = tree_map(_copied, (args, kwargs))
        with stream(self._seed, rank=0, member=member, **where) as drawing:
            outputs = self._sampler.run(args, kwargs)
        return self._finish(outputs) if self._sampler.is_complete(drawing.drawn) else self.one(member, few)

    def chunk(self, mode: Mode, begin: int, end: int) -> Outputs:
        """Return the outputs of members ``begin`` to ``end - 1``, which are their first axis."""
        if end - begin > 1:  # one member is the same in every mode
            if mode == "vmap":
                return dict(torch.vmap(self.one)(torch.arange(begin, end)))
            if mode == "expand":
                return self._expanded(begin, end)
        found = [self.one(member) for member in range(begin, end)]
        return {name: torch.stack([outputs[name] for outputs in found]) for name in found[0]}

    def _expanded(self, begin: int, end: int) -> Outputs:
        if self._sampler.reads:
            raise ConfigError(
                "mode 'expand' does not suit the model: its code reads values that dropout has changed, which would be "
                "those of all members at once; use mode='loop'"
            )
        _, length = self._batch
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
            outputs = self._finish(self._sampler.run(args, kwargs))
        if not self._sampler.is_complete(drawing.drawn):
            return self._expanded(begin, end)
        return {name: value.reshape(count, length, *value.shape[1:]) for name, value in outputs.items()}

    def _check_rows(self, outputs: Outputs, begin: int, size: int) -> None:
        """Raise unless a few samples of some of the members have these outputs by themselves, too."""
        few = min(_FEW, self._batch[1])
        mixed = "mode 'expand' does not suit the model: samples of one batch influence each other; use mode='auto'"
        for index in range(0, size, -(-size // _CHECKS)):
            try:
                alone = self.one(begin + index, few)
            except Exception as error:  # such as edges to samples that are not there
                raise ConfigError(mixed) from error
            for name, value in alone.items():
                high = (
                    outputs[name][index].abs().nan_to_num(nan=0.0, posinf=0.0).max() if value.numel() else 0.0
                )
                near = float(high) * min(torch.finfo(value.dtype).eps * _ROUNDING, _AT_MOST)
                if not torch.allclose(outputs[name][index][:few], value, rtol=0.0, atol=near, equal_nan=True):
                    raise ConfigError(mixed)
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
                if self._device.type != "cpu":
                    torch.accelerator.synchronize(self._device)
                seconds = time.perf_counter() - started
                if mode == "expand" and size > 1 and not self._sampler.rows_apart:
                    self._check_rows(outputs, begin, size)
            except Exception as error:  # what somebody's forward may raise for a batch unlike what it expects
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
