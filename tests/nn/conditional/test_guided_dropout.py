"""Laws of dropkit.nn.GuidedDropout."""

import pytest
import torch

import dropkit as dk
from dropkit.core import OptionError


def made(**options):
    module = dk.nn.GuidedDropout(3, 0.5, site="a", **options)
    with torch.no_grad():
        module.strength.copy_(torch.tensor([0.1, 0.1, 2.0]))
    return module


@pytest.mark.parametrize("pick", ["region", "top"])
def test_strengths_multiply_and_guide(pick, seed):
    module, x = made(pick=pick), torch.randn(60, 3, 4)
    scaled = x * torch.tensor([0.1, 0.1, 2.0]).view(3, 1)
    with dk.random.stream(seed):
        y = module(x)
    with dk.random.stream(seed):
        expected = dk.ops.guided_dropout(
            scaled, 0.5, torch.tensor([0.1, 0.1, 2.0]), training=True, pick=pick, site="a"
        )
    torch.testing.assert_close(y, expected)
    assert (y == 0).any()
    torch.testing.assert_close(module.eval()(x), scaled)


def test_strengths_are_learned_through_the_product():
    module = made()
    module.eval()(torch.full((4, 3), 2.0)).sum().backward()
    torch.testing.assert_close(module.strength.grad, torch.full((3,), 8.0))


def test_they_start_spread_over_the_unit_interval():
    strength = dk.nn.GuidedDropout(2000).strength
    assert 0 <= strength.min() < 0.1
    assert 0.9 < strength.max() < 1


def test_an_unknown_pick_is_refused():
    with pytest.raises(OptionError, match="pick must be 'region' or 'top'"):
        made(pick="bottom")
