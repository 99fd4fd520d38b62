"""The public NumPy mask: pinned bits, exact probability, edges."""

import itertools

import numpy as np
import pytest
import torch

from dropkit.core import RateError, StreamError
from dropkit.ops import dropout
from dropkit.random import mask, stream
from dropkit.random.key import base_words, mask_words, site_words
from dropkit.random.layout import PRIMARY, TIE, bits_at, threshold
from tests.laws import assert_frequency, assert_independent


def test_the_bits_are_pinned():
    # A change of these bits is a change of every mask that any study, checkpoint or paper rests on.
    first = mask(64, 0.5, seed=1, site="a")
    other = mask(64, 0.1, seed=-1, step=3, rank=2, member=1, site="#4", occurrence=5)
    bits = [int("".join(str(int(b)) for b in m), 2) for m in (first, other)]
    assert bits == [0b0101110101100010111011111010110011000011000110000010000001100001,
                    0b1111111111110111110111111110111111111111111010111111100111011111]  # fmt: skip


@pytest.mark.parametrize("rate", [1 / 3, 0.1, 0.5, 0.9, 1e-3])
def test_the_threshold_is_within_2_to_the_minus_33(rate):
    assert abs(threshold(rate) / 2**32 - rate) <= 2**-33


@pytest.mark.parametrize(
    ("rate", "expected"), [(1e-300, 1), (1 - 2**-53, 2**32 - 1), (2**-32, 1), (0.5, 2**31)]
)
def test_a_rate_inside_the_interval_never_becomes_certain(rate, expected):
    assert threshold(rate) == expected


def test_the_comparison_is_exact_to_the_last_of_32_bits(seed):
    """Bisection finds an element's 32-bit number; it is dropped from the very next threshold on."""

    def kept(rate):
        tensor = dropout(torch.ones(1), rate, training=True, site="x")
        assert bool(tensor) == mask(1, rate, seed=seed, site="x")[0]
        return bool(tensor)

    with stream(seed) as s:
        low, high = 0, 2**32  # kept at low, dropped at high
        while high - low > 1:
            s.advance(0)
            middle = (low + high) // 2
            low, high = (middle, high) if kept(middle / 2**32) else (low, middle)
    key = mask_words(base_words(seed, 0, 0), 0, site_words("x"), 0)
    assert low == bits_at(0, PRIMARY, key) << 16 | bits_at(0, TIE, key)


@pytest.mark.parametrize("rate", [0.1, 0.37, 0.5, 0.9])
def test_frequency(rate, seed):
    kept = torch.from_numpy(mask((100, 1000), rate, seed=seed, site="x"))
    assert_frequency(~kept, rate)
    assert_independent(kept[1:], kept[:-1], rate)
    assert_independent(kept[:, 1:], kept[:, :-1], rate)


@pytest.mark.parametrize(
    "other",
    [
        {"step": 1},
        {"rank": 1},
        {"member": 1},
        {"site": "y"},
        {"occurrence": 1},
        {"flip": 1},
        {"flip": 1 << 31},
    ],
)
def test_keys_that_differ_in_one_bit_give_independent_masks(other, seed):
    flip = other.get("flip", 0)
    key = {"site": "x"} | {k: v for k, v in other.items() if k != "flip"}
    a = mask(100_000, 0.3, seed=seed, site="x")
    b = mask(100_000, 0.3, seed=seed ^ flip, **key)
    assert_independent(torch.from_numpy(a), torch.from_numpy(b), 0.3)


def test_lower_rates_drop_a_subset(seed):
    masks = [mask(10_000, rate, seed=seed, site="x") for rate in (0.0, 0.1, 0.5, 0.9, 1.0)]
    for more, less in itertools.pairwise(masks):
        assert np.all(more >= less)
        assert more.sum() > less.sum()


def test_the_index_is_row_major_whatever_the_shape(seed):
    flat = mask(210, 0.3, seed=seed, site="x")
    assert np.array_equal(mask((5, 6, 7), 0.3, seed=seed, site="x").ravel(), flat)
    assert np.array_equal(mask(300, 0.3, seed=seed, site="x")[:210], flat)


def test_edges(seed):
    assert mask((2, 3), 0.0, seed=seed, site="x").all()
    assert not mask((2, 3), 1.0, seed=seed, site="x").any()
    assert mask((0, 3), 0.5, seed=seed, site="x").shape == (0, 3)
    assert mask((), 0.5, seed=seed, site="x").shape == ()
    assert mask(5, 0.5, seed=seed, site="x").dtype == np.bool_


@pytest.mark.parametrize("rate", [-0.1, 1.7, float("nan")])
def test_a_bad_rate_is_named(rate):
    with pytest.raises(RateError, match=r"rate must be in \[0, 1\], got"):
        mask(3, rate, seed=0, site="x")


def test_numpys_whole_numbers_give_the_same_mask():
    fields = {"seed": 2**63, "step": 2**40, "rank": 2**31, "member": 2**32 - 1, "occurrence": 3}
    numbers = {name: np.uint64(value) for name, value in fields.items()}
    assert np.array_equal(mask(256, 0.5, site="a", **numbers), mask(256, 0.5, site="a", **fields))


@pytest.mark.parametrize("name", ["step", "rank", "member", "occurrence"])
@pytest.mark.parametrize("value", [-1, 1.0, True])
def test_the_fields_of_a_key_are_whole_numbers(name, value):
    with pytest.raises(StreamError, match=f"{name} must be an int of at least 0"):
        mask(4, 0.5, site="a", **({"seed": 1} | {name: value}))
