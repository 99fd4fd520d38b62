"""Known answers of Philox4x32-10, from the kat_vectors file of the authors' Random123 distribution."""

import numpy as np
import pytest
import torch

from dropkit.random.philox import philox, split64

ONES = 0xFFFFFFFF
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES,) * 4, (ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
KINDS = {
    "int": int,
    "numpy": lambda word: np.array([word], dtype=np.uint64),
    "torch": lambda word: torch.tensor([word]),
}


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
@pytest.mark.parametrize("kind", KINDS)
def test_known_answers(kind, counter, key, answer):
    word = KINDS[kind]
    for as_key in (word, int):  # keys may be plain ints beside tensor counters
        got = philox(tuple(map(word, counter)), tuple(map(as_key, key)))
        assert tuple(int(w if isinstance(w, int) else w[0]) for w in got) == answer


def test_tensors_agree_with_ints_on_random_words(rng):
    words = torch.randint(2**32, (6, 200), generator=rng)
    got = torch.stack(philox(tuple(words[:4]), tuple(words[4:])))
    for column in range(200):
        one = words[:, column].tolist()
        assert got[:, column].tolist() == list(philox(tuple(one[:4]), tuple(one[4:])))


def test_split64_is_little_endian():
    assert split64(0x0123456789ABCDEF) == (0x89ABCDEF, 0x01234567)
