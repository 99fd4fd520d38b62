"""Laws of dropkit.nn.LimaDropout."""

import pytest
import torch

import dropkit as dk
from dropkit.core import OptionError
from dropkit.random import Schedule


class Ramp(Schedule):
    def at(self, step):
        return step / 8


@pytest.mark.parametrize("kind", ["number", "tensor", "schedule"])
def test_the_rate_rises_linearly_from_zero_to_that_of_the_last_layer(kind, seed):
    x = torch.linspace(-2, 2, 1000, dtype=torch.float64).view(50, 20)
    rate = {"number": 0.5, "tensor": torch.tensor(0.5, dtype=torch.float64), "schedule": Ramp()}[kind]
    for layer, expected in enumerate((0.0, 0.125, 0.25, 0.375, 0.5)):
        module = dk.nn.LimaDropout(rate, layer=layer, layers=5, site="a")
        with dk.random.stream(seed, step=4):
            got = module(x)
        with dk.random.stream(seed, step=4):
            torch.testing.assert_close(
                got, dk.ops.dropout(x, expected, training=True, site="a"), rtol=0, atol=0
            )
        assert bool((got == 0).any()) is (layer > 0)


def test_the_only_layer_is_the_last():
    assert not dk.nn.LimaDropout(1.0, layer=0, layers=1)(torch.ones(3, 3)).any()


@pytest.mark.parametrize(("layer", "layers"), [(3, 3), (-1, 3), (0, 0)])
def test_a_layer_that_is_not_there_is_refused(layer, layers):
    with pytest.raises(
        OptionError, match=rf"layer must be in \[0, {layers}\) of {layers} layers, got {layer}"
    ):
        dk.nn.LimaDropout(0.3, layer=layer, layers=layers)
