"""Streams: where the masks of a piece of code come from."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import torch

from dropkit.core import StreamError, whole_number
from dropkit.random.key import Key, Words, base_words, mask_words, seed_words, site_words, unnamed_site
from dropkit.random.philox import Word

if TYPE_CHECKING:
    from types import TracebackType

    from torch import Tensor


class _Active(threading.local):
    """The streams that this thread has entered; a thread never sees those of another."""

    def __init__(self) -> None:
        self.innermost: Stream | None = None
        self.outer: list[Stream | None] = []


_ACTIVE = _Active()
_ever_entered = False


class Stream:
    """A source of masks, each a pure function of (seed, step, rank, member, site, occurrence).

    Enter it with ``with``; streams nest, and the innermost wins. Made by :func:`stream`.
    """

    def __init__(
        self,
        seed: int,
        step: int,
        rank: int,
        member: int | Tensor,
        sample: int | Tensor,
        shared_axis: tuple[int, int] | None = None,
    ) -> None:
        seed_words(seed)
        self.shared_axis = shared_axis
        self.seed = int(seed)
        self.rank = _check_word("rank", rank)
        self.member = (
            _wide("member", member) if isinstance(member, torch.Tensor) else _check_word("member", member)
        )
        # apart, so that compiled code looks at a plain member's tensor in _traced and never at its value
        self._member_tensor = self.member if isinstance(self.member, torch.Tensor) else None
        self.sample = _wide("sample", sample) if isinstance(sample, torch.Tensor) else _check_first(sample)
        # the same for a plain sample, except that 0 stays a constant: compiled masks are quicker from there
        self._sample_traced = isinstance(self.sample, int) and self.sample != 0
        self._unnamed: int | Tensor = 0
        self._occurrences: dict[str, int | Tensor] = {}
        self._move_to(step)

    @property
    def step(self) -> int:
        """The current step, from 0."""
        return self._step

    def advance(self, n: int = 1) -> None:
        """Go ``n`` steps on: new masks, and occurrences and unnamed calls counted from 0 again."""
        self._move_to(self._step + n)

    def state_dict(self) -> dict[str, Any]:
        """Return what has to be in a checkpoint, as plain ints; not the rank, which differs by process."""
        return {
            "seed": self.seed,
            "step": self._step,
            "unnamed": int(self._unnamed),
            "occurrences": {site: int(count) for site, count in self._occurrences.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where :meth:`state_dict` was taken."""
        missing = {"seed", "step", "unnamed", "occurrences"} - state.keys()
        if missing:
            raise StreamError(f"stream state lacks {sorted(missing)}; pass what Stream.state_dict() returned")
        seed_words(state["seed"])
        self.seed = int(state["seed"])
        self._move_to(state["step"])
        self._unnamed, self._occurrences = state["unnamed"], dict(state["occurrences"])

    def count(self, site: str | None) -> tuple[tuple[Word, Word], Word]:
        """Count one call of ``site`` (None: an unnamed one); return the words of its site and its occurrence."""
        # In compiled code counts are tensors: a Python int would be a constant of the graph.
        zero = torch.tensor(0) if torch.compiler.is_compiling() else 0
        if site is None:
            number = zero + self._unnamed
            self._unnamed = number + 1
            return unnamed_site(_settled(number)), 0
        occurrence = self._occurrences.get(site, zero)
        self._occurrences[site] = occurrence + 1
        return site_words(site), _settled(occurrence)

    @property
    def drawn(self) -> tuple[str, ...]:
        """The named sites that have been counted since the last enter or advance."""
        return tuple(self._occurrences)

    def key(self, site: str | None) -> Key:
        """Count one call of ``site`` and return the key of its mask."""
        words, occurrence = self.count(site)
        if not torch.compiler.is_compiling():
            return Key(mask_words(self._base, self.member, words, occurrence), self.sample)
        base = (self._traced[0], self._traced[1], self._traced[2], self._traced[3])
        member, sample = self.place()
        return Key(mask_words(base, member, words, occurrence), sample)

    def place(self) -> tuple[Word, Word]:
        """Return the member and the index of row 0 (or of every row); in compiled code plain ones are 0-d tensors."""
        if not torch.compiler.is_compiling():
            return self.member, self.sample
        member = self._traced[4] if self._member_tensor is None else self._member_tensor
        return member, self._traced[5] if self._sample_traced else self.sample

    def traced_step(self) -> Tensor:
        """Return the current step for compiled code, a 0-d tensor."""
        return self._traced[6]

    def _move_to(self, step: int) -> None:
        number = whole_number(step)
        if number is None or not 0 <= number < 2**63:
            raise StreamError(f"step must be an int in [0, 2**63), got {step!r}")
        self._step = number
        self._base: Words = base_words(self.seed, number, self.rank)
        # What compiled code reads: a new tensor of the same kind passes its guards, so nothing is recompiled,
        # and a backward pass that still holds the old one keeps the masks of its own step.
        member = self.member if isinstance(self.member, int) else 0
        sample = self.sample if isinstance(self.sample, int) else 0
        self._traced = torch.tensor([*self._base, member, sample, number])
        self._restart()

    def _restart(self) -> None:
        self._unnamed = 0
        self._occurrences = {}

    def __enter__(self) -> Stream:
        global _ever_entered
        _ever_entered = True
        self._restart()
        _ACTIVE.outer.append(_ACTIVE.innermost)
        _ACTIVE.innermost = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _ACTIVE.innermost = _ACTIVE.outer.pop()

    def __repr__(self) -> str:
        return f"Stream(seed={self.seed}, step={self._step}, rank={self.rank}, member={self.member})"


def _settled(count: int | Tensor) -> int | Tensor:
    # a count that compiled code left behind is a tensor; eager code wants its value
    return count if torch.compiler.is_compiling() or isinstance(count, int) else int(count)


def _check_word(name: str, value: int) -> int:
    number = whole_number(value)
    if number is None or not 0 <= number < 2**32:
        raise StreamError(f"{name} must be an int in [0, 2**32), got {value!r}")
    return number


def _check_first(sample: int) -> int:
    number = whole_number(sample)
    if number is None or number < 0:
        raise StreamError(f"sample must be an int of at least 0, got {sample!r}, or an int64 tensor")
    return number


def _wide(name: str, value: Tensor) -> Tensor:
    # Words are mixed in 64 bits; in fewer they would wrap around without a sound.
    if value.is_floating_point() or value.is_complex() or value.dtype == torch.bool:
        raise StreamError(
            f"{name} must be an int or a tensor of whole numbers, got a tensor of {value.dtype}"
        )
    return value.to(torch.int64)


def distributed_rank() -> int:
    """Return this process's rank where ``torch.distributed`` is initialised, else 0."""
    distributed = torch.distributed
    return distributed.get_rank() if distributed.is_available() and distributed.is_initialized() else 0


def stream(
    seed: int,
    *,
    step: int = 0,
    rank: int | None = None,
    member: int | Tensor = 0,
    sample: int | Tensor = 0,
    shared_axis: tuple[int, int] | None = None,
) -> Stream:
    """Return a stream of masks that are a pure function of their key.

    Inside ``with dropkit.random.stream(seed) as s:`` no mask depends on the global generator, on the order of
    calls of named sites, on the number of threads, or on compilation. Call ``s.advance()`` (or
    :func:`dropkit.step`) once an optimiser step.

    Args:
        seed: Root of the stream, an int in ``[-2**63, 2**64)``.
        step: First step, at least 0.
        rank: Process rank in ``[0, 2**32)``. None: the distributed rank where initialised, else 0; pass 0 on
            every process to get equal masks.
        member: Ensemble member in ``[0, 2**32)``; or an int64 tensor: 0-d (also under ``vmap``), or one
            member a row of the masks, shape ``(N,)``.
        sample: Index of row 0 in the data, or an int64 tensor with one index a row, shape ``(N,)``; with it,
            masks do not depend on how a batch is cut into chunks.
        shared_axis: ``(axis, length)`` of the batch in every mask, if all samples are to share their masks: the index
            of the mask then leaves that axis out. A mask without such an axis raises ``StreamError``.

    Raises:
        StreamError: A value is outside its range.
    """
    return Stream(seed, step, distributed_rank() if rank is None else rank, member, sample, shared_axis)


def innermost() -> Stream | None:
    """Return the stream that this thread's calls draw from, or None."""
    return _ACTIVE.innermost


def ever_entered() -> bool:
    """Whether any thread of this process has entered a stream yet."""
    return _ever_entered


def step() -> None:
    """Advance the innermost stream by one step.

    Raises:
        StreamError: No stream is active in this thread.
    """
    if _ACTIVE.innermost is None:
        raise StreamError(
            "step() needs an active stream; wrap the loop in `with dropkit.random.stream(seed):`"
        )
    _ACTIVE.innermost.advance()
