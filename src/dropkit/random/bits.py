"""Masks and normal variates as tensors, in plain torch operations, on any device."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dropkit.random.draw import can_branch_on_data
from dropkit.random.elementary import cosine_sine, logarithm, square_root
from dropkit.random.key import Key, Words
from dropkit.random.layout import (
    GROUP,
    LANES,
    NORMAL,
    NORMAL_GROUP,
    PRIMARY,
    TIE,
    bits_at,
    block_words,
    normal_words_at,
    threshold,
    uniform_word_at,
)
from dropkit.random.packed import by_row, check_rows
from dropkit.random.philox import MASK32, Word


def keep_mask(shape: Sequence[int], rate: float | Tensor, key: Key, device: torch.device) -> Tensor:
    """Return a boolean mask, True = kept, equal to :func:`dropkit.random.mask` under the same key.

    Args:
        shape: Shape of the mask; its first axis is the one that a per-row ``sample`` or ``member`` counts.
        rate: Probability of dropping, in ``(0, 1)``; or a tensor that broadcasts against ``shape``, in
            ``[0, 1]``: elements of the mask that share a number may have rates of their own.
        key: Key of the call.
        device: Where to make it.

    Raises:
        StreamError: The stream has one ``sample`` or ``member`` a row, but for another number of rows.
    """
    drop = thresholds(rate, device) if isinstance(rate, Tensor) else threshold(rate)
    high, low = drop >> 16, drop & 0xFFFF  # divmod cannot be traced where a changed rate has become symbolic
    words, start = _placed(key, shape, device)
    bits = _bits(start, shape, PRIMARY, words, device)
    if not isinstance(low, Tensor) and low == 0:
        return bits >= high
    tie = bits == high
    if not can_branch_on_data(device) or isinstance(start, Tensor) or isinstance(low, Tensor):
        return (bits > high) | (tie & (_bits(start, shape, TIE, words, device) >= low))
    keep = bits > high
    ties = tie.flatten().nonzero().flatten()  # one element in 65,536: draw again for these alone
    if ties.numel():
        keep.view(-1)[ties] = bits_at(ties + start, TIE, words) >= low
    return keep


def thresholds(rate: Tensor, device: torch.device) -> Tensor:
    """Return :func:`dropkit.random.layout.threshold` of every rate, and 0 and ``2**32`` for rates 0 and 1."""
    exact = rate.detach().to(device, torch.float64)
    inner = (exact * 2.0**32).round().to(torch.int64).clamp(1, MASK32)
    return torch.where(exact <= 0.0, 0, torch.where(exact >= 1.0, 2**32, inner))


def uniform(shape: Sequence[int], key: Key, device: torch.device) -> Tensor:
    """Return independent uniform variates in float64: odd multiples of ``2**-33``, never 0 or 1.

    See :func:`keep_mask` for the arguments.
    """
    words, start = _placed(key, shape, device)
    if isinstance(start, Tensor):
        return _unit(uniform_word_at(start, words))
    return _by_groups(start, shape, words, device, _uniforms)


def normal(shape: Sequence[int], key: Key, device: torch.device) -> Tensor:
    """Return independent standard normal variates in float64, by Box-Muller from 32-bit uniforms.

    The largest magnitude is 6.77; they are the same bit for bit on every device. See :func:`keep_mask` for the
    arguments.
    """
    words, start = _placed(key, shape, device)
    if isinstance(start, Tensor):
        radius, angle, second = normal_words_at(start, words)
        cosine, sine = cosine_sine(angle)
        return _radius(radius) * torch.where(second == 1, sine, cosine)
    return _by_groups(start, shape, words, device, _normals)


def _normals(w0: Tensor, w1: Tensor, w2: Tensor, w3: Tensor) -> tuple[Tensor, ...]:
    r0, (c0, s0), r1, (c1, s1) = _radius(w0), cosine_sine(w1), _radius(w2), cosine_sine(w3)
    return r0 * c0, r0 * s0, r1 * c1, r1 * s1


def _uniforms(*words: Tensor) -> tuple[Tensor, ...]:
    return tuple(_unit(word) for word in words)


def _by_groups(
    start: int,
    shape: Sequence[int],
    words: Words,
    device: torch.device,
    variates: Callable[..., tuple[Tensor, ...]],
) -> Tensor:
    """Return the ``variates`` of four words a block for consecutive elements, from number ``start`` on."""
    count = math.prod(shape)
    first, last = start // NORMAL_GROUP, -(-(start + count) // NORMAL_GROUP)
    block = torch.arange(first * LANES, last * LANES, device=device)
    rows = torch.stack(variates(*(w.view(-1, LANES) for w in block_words(block, NORMAL, words))), dim=1)
    skip = start - first * NORMAL_GROUP
    return rows.flatten()[skip : skip + count].view(tuple(shape))


def _unit(word: Tensor) -> Tensor:
    return (word.double() + 0.5) * 2.0**-32


def _radius(word: Tensor) -> Tensor:
    return square_root(-2.0 * logarithm(_unit(word)))


def _bits(
    start: int | Tensor, shape: Sequence[int], domain: int, words: Words, device: torch.device
) -> Tensor:
    """Return the 16-bit numbers of a whole mask: by blocks where its elements are consecutive, else one by one."""
    if isinstance(start, Tensor):
        numbers: Tensor = bits_at(start, domain, words)
        return numbers
    count = math.prod(shape)
    first, last = start // GROUP, -(-(start + count) // GROUP)
    block = torch.arange(first * LANES, last * LANES, device=device)
    rows = torch.stack([w.view(-1, LANES) for w in block_words(block, domain, words)], dim=1)
    halves = torch.stack((rows & 0xFFFF, rows >> 16), dim=1)
    skip = start - first * GROUP
    return halves.flatten()[skip : skip + count].view(tuple(shape))


def _placed(key: Key, shape: Sequence[int], device: torch.device) -> tuple[Words, int | Tensor]:
    """Return the words of ``key``, and the index of the first element or, if it takes tensors, of every element."""
    size = math.prod(shape[1:])
    sample = key.sample
    if isinstance(sample, int) and not any(by_row(word) for word in key.words):
        return key.words, sample * size
    rows = shape[0] if shape else 1

    def spread(value: Word) -> Word:
        # A 0-d CPU tensor mixes with any device without a copy; one value a row has to move and broadcast.
        if not by_row(value):
            return value
        check_rows(value, rows)
        return value.to(device).view(rows, *[1] * (len(shape) - 1))

    w0, w1, w2, w3 = (spread(word) for word in key.words)
    offset = torch.arange(rows * size, device=device).view(tuple(shape))
    if by_row(sample):
        offset = offset[:1]
    return (w0, w1, w2, w3), spread(sample) * size + offset
