"""dropkit.nn.WeightDrop around torch's recurrent layers."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import dropkit as dk
from dropkit.core import ModuleError
from dropkit.random import stream

# torch says so once, whoever calls it
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

LAYERS = [
    nn.LSTM(3, 4),
    nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True),
    nn.LSTM(3, 4, proj_size=2, bias=False),
    nn.GRU(3, 4, num_layers=2),
    nn.RNN(3, 6, bidirectional=True),
]
every = pytest.mark.parametrize("layer", LAYERS, ids=lambda v: str(v))


@every
def test_it_is_the_layer_with_dropped_recurrent_weights(layer, seed, rng):
    x = torch.randn(5, 5, 3, generator=rng)
    wrapped = dk.nn.WeightDrop(layer, 0.5, site="a")
    with stream(seed):
        got, _ = wrapped(x)
    with stream(seed):
        drawn = wrapped.drawn()
    twin = copy.deepcopy(layer)
    recurrent = [name for name, _ in layer.named_parameters() if name.startswith("weight_hh")]
    assert sorted(drawn) == sorted(recurrent)
    with torch.no_grad():
        for name in recurrent:
            own = getattr(layer, name)
            assert ((drawn[name] == 0) | (drawn[name] == own * 2)).all()
            assert 0 < int((drawn[name] == 0).sum()) < own.numel()
            getattr(twin, name).copy_(drawn[name])
    assert torch.equal(got, twin(x)[0])
    assert torch.equal(wrapped.eval()(x)[0], layer(x)[0])


def test_every_matrix_has_its_own_mask(seed):
    layer = nn.GRU(20, 20, num_layers=2)
    for parameter in layer.parameters():
        nn.init.ones_(parameter)
    with stream(seed):
        first, second = dk.nn.WeightDrop(layer, 0.5, site="a").drawn().values()
    assert not torch.equal(first, second)


@every
def test_the_layer_stays_bit_for_bit_and_gets_its_gradients(layer, seed, rng):
    layer = copy.deepcopy(layer)
    before = {name: (value, value.clone()) for name, value in layer.state_dict(keep_vars=True).items()}
    flat = list(layer._flat_weights)
    wrapped = dk.nn.WeightDrop(layer, 0.5, site="a")
    x = torch.randn(5, 5, 3, generator=rng)
    with stream(seed):
        wrapped(x)[0].square().sum().backward()
    with stream(seed):
        drawn = wrapped.drawn()
    assert list(layer.state_dict()) == list(before)
    for name, value in layer.state_dict(keep_vars=True).items():
        assert value is before[name][0]
        assert torch.equal(value, before[name][1])
        assert value.grad is not None
        if name in drawn:
            assert not value.grad[drawn[name] == 0].any()
            assert value.grad.any()
    assert all(a is b for a, b in zip(layer._flat_weights, flat, strict=True))
    assert wrapped.layer is layer


def test_states_and_packed_sequences_go_through(seed, rng):
    layer = nn.LSTM(3, 4, batch_first=True)
    wrapped = dk.nn.WeightDrop(layer, 0.5, site="a")
    x, state = torch.randn(2, 5, 3, generator=rng), (torch.ones(1, 2, 4), torch.ones(1, 2, 4))
    with stream(seed):
        whole, _ = wrapped(x, state)
    packed = pack_padded_sequence(x, torch.tensor([5, 3]), batch_first=True)
    with stream(seed):
        got, (_, _) = wrapped(packed, hx=state)
    padded, _ = pad_packed_sequence(got, batch_first=True)
    torch.testing.assert_close(padded[0], whole[0])
    torch.testing.assert_close(padded[1, :3], whole[1, :3])


def test_an_error_inside_leaves_the_layer_alone():
    layer = nn.LSTM(3, 4)
    flat = list(layer._flat_weights)
    wrapped = dk.nn.WeightDrop(layer, 0.5)
    with pytest.raises(RuntimeError, match="input"):
        wrapped(torch.ones(5, 2, 7))
    assert all(a is b for a, b in zip(layer._flat_weights, flat, strict=True))


def test_swapped_parameters_are_the_ones_that_get_dropped(seed):
    wrapped = dk.nn.WeightDrop(nn.RNN(2, 3, bias=False), 0.5, site="a")
    zeros = {name: torch.zeros_like(value) for name, value in wrapped.named_parameters()}
    with stream(seed):
        assert not torch.func.functional_call(wrapped, zeros, torch.ones(4, 1, 2))[0].any()
    with stream(seed):
        assert wrapped(torch.ones(4, 1, 2))[0].all()


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # the compiler looks
def test_compiled_code_runs_around_it(seed):
    wrapped = dk.nn.WeightDrop(nn.GRU(3, 4), 0.5, site="a")
    x = torch.linspace(-1, 1, 30).view(5, 2, 3)
    torch._dynamo.reset()
    fast = torch.compile(lambda v: wrapped(v.sin())[0].cos(), backend="aot_eager")
    for step in (0, 1):
        with stream(seed, step=step):
            expected = wrapped(x.sin())[0].cos()
        with stream(seed, step=step):
            torch.testing.assert_close(fast(x), expected)
    torch._dynamo.reset()


@pytest.mark.parametrize("layer", [nn.Linear(2, 2), nn.LSTMCell(2, 2)])
def test_only_recurrent_layers_can_be_wrapped(layer):
    name = type(layer).__name__
    with pytest.raises(ModuleError, match=rf"needs a recurrent layer \(LSTM, GRU or RNN\), got {name}"):
        dk.nn.WeightDrop(layer, 0.5)
