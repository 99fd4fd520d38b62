"""Philox4x32-10, the counter-based generator under every mask.

Written once, in arithmetic that Python ints, NumPy uint64 arrays and torch int64 tensors share, so that the
reference and the tensors cannot drift apart. A product of two 32-bit words fills 64 bits: torch wraps it into
the sign bit, and masking after the shift restores the high word.
"""

from collections.abc import Callable
from typing import Any

Word = Any  # a 32-bit word: int, NumPy uint64 array or torch int64 tensor, broadcast against each other

MASK32 = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10

Ints = tuple[int, int, int, int]
_native: Callable[[Ints, tuple[int, int]], Ints] | None = None


def use_native(function: Callable[[Ints, tuple[int, int]], Ints] | None) -> None:
    """Let ``function`` mix Python ints from now on; None: the code below. It must return the same words."""
    global _native
    _native = function


def philox_ints(counter: Ints, key: tuple[int, int]) -> Ints:
    """Do what :func:`philox` does, for Python ints alone and natively where the kernels are loaded."""
    return philox(counter, key) if _native is None else _native(counter, key)


def philox(counter: tuple[Word, Word, Word, Word], key: tuple[Word, Word]) -> tuple[Word, Word, Word, Word]:
    """Encrypt a 128-bit ``counter`` under a 64-bit ``key``: four independent uniform 32-bit words.

    Args:
        counter: Four words in ``[0, 2**32)``, least significant first.
        key: Two words in ``[0, 2**32)``.

    Returns:
        Four words in ``[0, 2**32)``, of the broadcast shape.

    Reference:
        Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011, sec. 3.3; known-answer vectors
        from the authors' Random123 distribution.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            ((p1 >> 32) & MASK32) ^ c1 ^ k0,
            p1 & MASK32,
            ((p0 >> 32) & MASK32) ^ c3 ^ k1,
            p0 & MASK32,
        )
        k0, k1 = (k0 + _WEYL[0]) & MASK32, (k1 + _WEYL[1]) & MASK32
    return c0, c1, c2, c3


def split64(value: Word) -> tuple[Word, Word]:
    """Split a 64-bit integer into its low and high 32-bit words."""
    return value & MASK32, (value >> 32) & MASK32
