"""Which bits belong to which element: the layout that every implementation must reproduce.

Elements are numbered by their logical row-major index. A group of 128 elements shares 16 Philox blocks of four
32-bit words, each word holding two 16-bit numbers; the layout lets a vector unit work on 16 blocks at once and
write consecutive elements without a shuffle::

    block = index // 128 * 16 + index % 16      word = index // 16 % 4      half = index // 64 % 2

An element is dropped when its 32-bit number, 16 bits from here and, on a tie with the threshold only, 16 more
from the same place under another counter domain, is below ``threshold(rate)``. Uniform and normal variates take
whole words: a group of 64 elements shares 16 blocks; for normal ones words 0, 1 and words 2, 3 make one
Box-Muller pair each::

    block = index // 64 * 16 + index % 16       word = index // 16 % 4
"""

from dropkit.random.key import Words
from dropkit.random.philox import MASK32, Word, philox

GROUP = 128  # elements that share 16 blocks, 16 bits each
NORMAL_GROUP = 64  # the same for 32 bits each
LANES = 16

# The counter's second word has the upper bits of a block number; its top two bits say what the block is for.
PRIMARY, TIE, NORMAL = 0, 1 << 31, 1 << 30


def threshold(rate: float) -> int:
    """Return the number in ``[1, 2**32)`` below which a 32-bit number means "dropped", for ``0 < rate < 1``.

    The probability of dropping is ``threshold / 2**32``, within ``2**-33`` of ``rate`` except that it never
    reaches 0 or 1.
    """
    return min(max(round(rate * 2**32), 1), MASK32)


def block_words(block: Word, domain: int, key: Words) -> Words:
    """Return the four words of block number ``block`` (below ``2**62``) in ``domain`` under ``key``."""
    return philox((block & MASK32, (block >> 32) | domain, key[2], key[3]), key[:2])


def bits_at(index: Word, domain: int, key: Words) -> Word:
    """Return the 16-bit number of each element of ``index``: the layout, word for word, and slow."""
    block = (index >> 7) * LANES + (index & 15)
    word, half = (index >> 4) & 3, (index >> 6) & 1
    words = block_words(block, domain, key)
    chosen = sum(w * (word == i) for i, w in enumerate(words))
    return (chosen >> (half * 16)) & 0xFFFF


def normal_words_at(index: Word, key: Words) -> tuple[Word, Word, Word]:
    """Return the Box-Muller pair of words of each element of ``index``, and 0 (cosine) or 1 (sine)."""
    block = (index >> 6) * LANES + (index & 15)
    word = (index >> 4) & 3
    w0, w1, w2, w3 = block_words(block, NORMAL, key)
    first, second = word < 2, word >= 2
    return w0 * first + w2 * second, w1 * first + w3 * second, word & 1


def uniform_word_at(index: Word, key: Words) -> Word:
    """Return the 32-bit word of each element of ``index`` that its uniform variate comes from."""
    words = block_words((index >> 6) * LANES + (index & 15), NORMAL, key)
    return sum(w * (((index >> 4) & 3) == i) for i, w in enumerate(words))
