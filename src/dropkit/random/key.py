"""From (seed, step, rank, member, site, occurrence) to the 128-bit key of one mask.

Two Philox calls mix the fields, so that keys which differ in a single bit give unrelated masks::

    base = philox(counter=(step_lo, step_hi, rank, STEP), key=(seed_lo, seed_hi))
    word = philox(counter=(site_0, site_1, occurrence, member), key=base[0:2])
    key  = (word[0], word[1], word[2] ^ base[2], word[3] ^ base[3])

The first two words of ``key`` are the Philox key of the mask, the other two the upper half of its counter;
:mod:`dropkit.random.layout` fills the lower half with the element's position.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from dropkit.core import StreamError, whole_number
from dropkit.random.philox import Word, philox, philox_ints, split64

if TYPE_CHECKING:
    from torch import Tensor

Words = tuple[Word, Word, Word, Word]

_STEP, _DRAW, _CHILD = (
    0x73746570,
    0x64726177,
    0x6368696C,
)  # what a Philox call is for, in its last counter word
_UNNAMED = 0xFFFFFFFF


class Key(NamedTuple):
    """The key of one mask: 16 bytes, and where its rows stand in the data."""

    words: Words
    sample: int | Tensor = 0  # index of row 0, or one index a row


def seed_words(seed: int) -> tuple[int, int]:
    """Split a seed as ``torch.manual_seed`` takes it, ``[-2**63, 2**64)``, into two words."""
    number = whole_number(seed)
    if number is None or not -(2**63) <= number < 2**64:
        raise StreamError(f"seed must be an int in [-2**63, 2**64), got {seed!r}")
    low, high = split64(number % 2**64)
    return low, high


def base_words(seed: int, step: int, rank: int) -> Words:
    """Mix what changes once a step at most."""
    return philox((*split64(step), rank, _STEP), seed_words(seed))


def draw_words(low: Word, high: Word, rank: int) -> Words:
    """Mix the 64 bits drawn from a PyTorch generator with the rank: the key of a call outside any stream."""
    mix = philox_ints if type(low) is int else philox
    return mix((0, 0, rank, _DRAW), (low, high))


def mask_words(base: Words, member: Word, site: tuple[Word, Word], occurrence: Word) -> Words:
    """Mix the base of a step with what tells one mask of that step from another."""
    first, second = site
    ints = type(base[0]) is int and type(member) is int and type(first) is int and type(occurrence) is int
    mix = philox_ints if ints else philox
    w0, w1, w2, w3 = mix((first, second, occurrence, member), base[:2])
    return w0, w1, w2 ^ base[2], w3 ^ base[3]


def unnamed_site(number: Word) -> tuple[Word, Word]:
    """Return the words of the site ``"#number"``; ``number`` may be a tensor."""
    return number, _UNNAMED


def site_words(site: str) -> tuple[int, int]:
    """Hash a site's name into two words; ``"#k"`` is the site of the k-th unnamed call."""
    return _hashed(site)


# What torch.compiler.assume_constant_result does; calling that would import the compiler, a second at start-up.
site_words._dynamo_marked_constant = True  # type: ignore[attr-defined]


@lru_cache(maxsize=4096)
def _hashed(site: str) -> tuple[int, int]:
    if site.startswith("#") and site[1:].isdecimal():
        return unnamed_site(int(site[1:]))
    digest = blake2b(site.encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


def child_seed(seed: int, name: str) -> int:
    """Return the seed called ``name`` that belongs to the root ``seed``.

    One root seed spawns any number of independent named streams (weights, order, masks ...).

    Args:
        seed: Root seed, in ``[-2**63, 2**64)``.
        name: Any text; equal names give equal seeds on every platform.

    Returns:
        A seed in ``[0, 2**63)``, fit for ``torch.manual_seed``, NumPy and :func:`dropkit.random.stream`.
    """
    low, high, _, _ = philox((*site_words(name), 0, _CHILD), seed_words(seed))
    return int(low | (high & 0x7FFFFFFF) << 32)
