"""Logarithm, cosine and sine: to the last bit but one."""

import mpmath
import numpy as np
import pytest
import torch

from dropkit.random.elementary import cosine_sine, logarithm, square_root


@pytest.fixture(autouse=True)
def precise():
    with mpmath.workdps(40):
        yield


def ulps(got, exact):
    """Return the distance of fp64 numbers from those that mpmath computed, in units in the last place."""
    pairs = [(a, b) for a, b in zip(got.tolist(), exact, strict=True) if a != 0.0]
    return max(float(abs(mpmath.mpf(a) - b) / mpmath.mpf(float(np.spacing(abs(a))))) for a, b in pairs)


def words(rng):
    special = [0, 1, 2**29 - 1, 2**29, 2**30, 2**31 - 1, 2**31, 3 * 2**30, 2**32 - 2**29, 2**32 - 1]
    return torch.cat((torch.tensor(special), torch.randint(0, 2**32, (3000,), generator=rng)))


def test_the_logarithm_is_within_one_unit(rng):
    x = (words(rng).double() + 0.5) * 2.0**-32
    assert ulps(logarithm(x), [mpmath.log(mpmath.mpf(v)) for v in x.tolist()]) < 1.0


def test_cosine_and_sine_are_within_one_unit_of_those_of_the_angle(rng):
    word = words(rng)
    angles = [mpmath.mpf(w) * 2 * mpmath.pi / 2**32 for w in word.tolist()]
    cosine, sine = cosine_sine(word)
    assert ulps(cosine, [mpmath.cos(a) for a in angles]) < 2.0  # the angle itself is rounded once
    assert ulps(sine, [mpmath.sin(a) for a in angles]) < 2.0


def test_quarter_turns_are_exact():
    cosine, sine = cosine_sine(torch.arange(4) * 2**30)
    assert torch.equal(cosine, torch.tensor([1.0, 0.0, -1.0, 0.0], dtype=torch.float64))
    assert torch.equal(sine, torch.tensor([0.0, 1.0, 0.0, -1.0], dtype=torch.float64))


def test_square_roots_are_correctly_rounded(rng):
    x = torch.rand(100_003, dtype=torch.float64, generator=rng) * 50
    for part in (x, x[::3], x[:7]):
        assert np.array_equal(square_root(part).numpy(), np.sqrt(part.numpy()))
