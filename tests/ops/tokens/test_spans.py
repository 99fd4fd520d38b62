"""The lengths and places of spans."""

import pytest
import torch

from dropkit.ops.tokens.spans import draw_span

CPU = torch.device("cpu")


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.3, 0.999, 1.0])
@pytest.mark.parametrize("size", [1, 7])
def test_lengths_are_right_on_average_and_never_too_long(rate, size, rng):
    place, length = draw_span(50_000, size, rate, CPU, generator=rng, site=None)
    assert place.shape == length.shape == (50_000, 1)
    assert ((place > 0) & (place < 1)).all()
    low = int(rate * size)
    assert set(length.unique().tolist()) <= {low, min(low + 1, size)}
    expected, deviation = rate * size, 0.5 / 50_000**0.5
    assert abs(length.double().mean().item() - expected) <= 5.1 * deviation


def test_place_and_rounding_are_independent(rng):
    place, length = draw_span(50_000, 1, 0.5, CPU, generator=rng, site=None)
    together = torch.corrcoef(torch.cat((place, length.double()), 1).T)[0, 1]
    assert abs(together) < 5.1 / 50_000**0.5
