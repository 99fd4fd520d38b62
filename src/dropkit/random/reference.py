"""The NumPy reference of the plain mask, so that anyone can check any implementation."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dropkit.core import StreamError, check_rate, whole_number
from dropkit.random.key import base_words, mask_words, site_words
from dropkit.random.layout import PRIMARY, TIE, bits_at, threshold


def mask(
    shape: int | Sequence[int],
    rate: float,
    *,
    seed: int,
    step: int = 0,
    rank: int = 0,
    member: int = 0,
    site: str,
    occurrence: int = 0,
) -> NDArray[np.bool_]:
    """Return the mask that a dropout call draws under the given key.

    Each element is kept with probability ``1 - rate``, exact to ``2**-32``, independently of every other
    element and of every other key.

    Args:
        shape: Shape of the mask, which for variants that drop whole channels or samples is that of the coins.
        rate: Probability of dropping, in ``[0, 1]``.
        seed: Seed of the stream.
        step: Step of the stream, at least 0.
        rank: Rank of the process, in ``[0, 2**32)``.
        member: Ensemble member, in ``[0, 2**32)``.
        site: Name of the site; ``"#k"`` for the k-th unnamed call of the step.
        occurrence: How often the site was already called in this step.

    Returns:
        Boolean array, True = kept.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        StreamError: ``seed`` is no integer in ``[-2**63, 2**64)``, or another number none of at least 0.
    """
    check_rate(rate)
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if rate in (0.0, 1.0):
        return np.full(shape, rate == 0.0)
    step, rank, member, occurrence = (
        _word(name, value)
        for name, value in (("step", step), ("rank", rank), ("member", member), ("occurrence", occurrence))
    )
    key = mask_words(base_words(seed, step, rank), member, site_words(site), occurrence)
    index = np.arange(np.prod(shape, dtype=np.int64), dtype=np.uint64)
    number = (bits_at(index, PRIMARY, key) << 16) | bits_at(index, TIE, key)
    return np.asarray(number >= threshold(rate), dtype=np.bool_).reshape(shape)


def _word(name: str, value: int) -> int:
    number = whole_number(value)
    if number is None or number < 0:
        raise StreamError(f"{name} must be an int of at least 0, got {value!r}")
    return number
