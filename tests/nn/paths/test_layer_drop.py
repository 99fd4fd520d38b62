"""dropkit.nn.LayerDrop."""

import pytest
import torch
from torch import nn

import dropkit as dk
from dropkit.core import ModuleError, ShapeError
from dropkit.random import mask, stream
from tests.laws import assert_frequency


class Add(nn.Module):
    """Adds a number, and notes that it ran."""

    def __init__(self, number):
        super().__init__()
        self.number = number
        self.ran = 0

    def forward(self, x, times=1):
        self.ran += 1
        return x + self.number * times


def stack(count=12):
    return nn.ModuleList(Add(float(2**k)) for k in range(count))


def bits(total, count=12):
    return [bool(int(total) >> k & 1) for k in range(count)]


def test_the_layers_that_run_are_those_of_the_mask(seed):
    layers = stack()
    module = dk.nn.LayerDrop(layers, 0.5, site="a")
    for step in range(20):
        for layer in layers:
            layer.ran = 0
        with stream(seed, step=step):
            y = module(torch.zeros(2, 3))
        keep = mask(12, 0.5, seed=seed, step=step, site="a").tolist()
        assert bits(y[0, 0]) == keep
        assert [bool(layer.ran) for layer in layers] == keep  # a skipped layer costs nothing
        assert (y == y[0, 0]).all()


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_layers_are_skipped_at_the_rate(rate, seed):
    module = dk.nn.LayerDrop(stack(), rate)
    with stream(seed):
        ran = [bits(module(torch.zeros(1))) for _ in range(300)]
    assert_frequency(~torch.tensor(ran), rate)


def test_in_eval_all_layers_run():
    assert dk.nn.LayerDrop(stack(), 0.9).eval()(torch.zeros(1)) == 2**12 - 1


def test_every_layer_may_have_its_own_rate(seed):
    module = dk.nn.LayerDrop(stack(), torch.tensor([0.0, 1.0] * 6))
    with stream(seed):
        assert bits(module(torch.zeros(1))) == [True, False] * 6


def test_further_arguments_go_to_every_layer():
    assert dk.nn.LayerDrop(stack(3), 0.0)(torch.zeros(1), times=2) == 14
    assert dk.nn.LayerDrop(stack(3), 0.0)(torch.zeros(1), 3) == 21


def test_coins_do_not_depend_on_the_samples(seed):
    module = dk.nn.LayerDrop(stack(), 0.5, site="a")
    with stream(seed):
        whole = module(torch.zeros(4))
    with stream(seed, sample=torch.arange(2, 4)):
        assert torch.equal(module(torch.zeros(2)), whole[2:])


def test_under_vmap_every_layer_is_computed_and_the_coin_selects(seed):
    layers = nn.Sequential(*(nn.Linear(3, 3) for _ in range(20)))
    module = dk.nn.LayerDrop(layers, 0.5, site="a")
    x = torch.linspace(-1, 1, 6).view(2, 3)

    def member(m):
        with stream(seed, member=m):
            return module(x)

    stacked = torch.vmap(member)(torch.arange(5))
    for m in range(5):
        torch.testing.assert_close(stacked[m], member(m))
    assert not torch.equal(stacked[0], stacked[1])


def test_the_stack_stays_as_it_is():
    layers = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    module = dk.nn.LayerDrop(layers, 0.5)
    assert module.layers is layers
    assert list(layers.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]


def test_what_cannot_be_wrapped_is_named():
    with pytest.raises(ModuleError, match=r"stack of layers \(nn.Sequential or nn.ModuleList\), got Linear"):
        dk.nn.LayerDrop(nn.Linear(2, 2), 0.5)
    with pytest.raises(ShapeError, match=r"layer 1 \(Linear\) made shape \(1, 3\) from shape \(1, 2\)"):
        dk.nn.LayerDrop(nn.Sequential(nn.Identity(), nn.Linear(2, 3)), 0.0)(torch.ones(1, 2))
    with pytest.raises(ShapeError, match=r"layer 0 \(GRU\) made tuple from shape"):
        dk.nn.LayerDrop(nn.Sequential(nn.GRU(2, 2)), 0.0).eval()(torch.ones(1, 1, 2))


def test_an_empty_stack_hands_its_input_on():
    x = torch.ones(2)
    assert dk.nn.LayerDrop(nn.ModuleList(), 0.5)(x) is x
