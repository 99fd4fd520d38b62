"""Dropout between the layers of recurrent modules, on dropkit."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import dropkit as dk
from dropkit import ops
from dropkit.core import NoMatchError
from tests.laws import assert_frequency

CELLS = [
    (nn.LSTM, {}, "lstm"),
    (nn.LSTM, {"proj_size": 3}, "lstm"),
    (nn.GRU, {}, "gru"),
    (nn.RNN, {"nonlinearity": "tanh"}, "rnn_tanh"),
    (nn.RNN, {"nonlinearity": "relu"}, "rnn_relu"),
]
OPTIONS = [
    {},
    {"bidirectional": True, "batch_first": True},
    {"bias": False, "batch_first": True},
]
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


def streamed(function, *args, seed=1, **kwargs):
    with dk.random.stream(seed):
        return function(*args, **kwargs)


def make(cls, rate, options, layers=3):
    torch.manual_seed(0)
    return cls(4, 5, layers, dropout=rate, **options)


def flat(result):
    """Output and last states as a list of tensors."""
    output, states = result
    output = getattr(output, "data", output)
    return [output, *(states if isinstance(states, tuple) else (states,))]


def inputs(model, rng, kind):
    x = torch.randn(3, 7, 4, generator=rng)
    if not model.batch_first:
        x = x.transpose(0, 1)
    if kind == "packed":
        return (pack_padded_sequence(x, [7, 5, 2], batch_first=model.batch_first),)
    if kind == "one row":
        return (x[0] if model.batch_first else x[:, 0],)
    if kind == "states":
        first = model(x)[1]
        scale = torch.tensor(0.5)
        return x, tuple(s.detach() * scale for s in first) if isinstance(
            first, tuple
        ) else first.detach() * scale
    return (x,)


@pytest.mark.parametrize(("cls", "extra", "name"), CELLS)
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", ["plain", "packed", "one row", "states"])
def test_layer_by_layer_is_what_the_whole_does(cls, extra, name, options, kind, rng):
    """At a rate so small that nothing is dropped: outputs, states and gradients."""
    model = make(cls, 1e-9, {**extra, **options})
    given = inputs(model, rng, kind)

    def outcome():
        found = flat(model(*given))
        total = sum((i + 1) * part.square().sum() for i, part in enumerate(found))
        return [*found, *torch.autograd.grad(total, list(model.parameters()))]

    expected = outcome()
    with dk.accelerate(model) as applied:
        found = outcome()
        assert [site.id for site in applied.sites] == [":output"]
        assert applied.skipped == ()
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("cls", "extra", "name"), CELLS)
@pytest.mark.parametrize("batch_first", [True, False])
def test_between_layers_and_only_there(cls, extra, name, batch_first, rng):
    options = {**extra, "batch_first": batch_first}
    model = make(cls, 0.4, options)
    (x,) = inputs(model, rng, "plain")
    with dk.accelerate(model):
        y = streamed(model, x)
        silent = model.eval()(x)
    layers = []
    for k in range(3):
        size = model.proj_size or model.hidden_size
        layer = cls(4 if k == 0 else size, 5, **options)
        layer.load_state_dict(
            {key: getattr(model, key.replace("l0", f"l{k}")).detach() for key in layer.state_dict()}
        )
        layers.append(layer)

    def by_hand(x):
        states = []
        for k, layer in enumerate(layers):
            if k:
                x = ops.dropout(x, 0.4, training=True, site=":output")
            x, state = layer(x)
            states.append(state if isinstance(state, tuple) else (state,))
        ends = tuple(torch.cat(parts) for parts in zip(*states, strict=True))
        return x, ends if cls is nn.LSTM else ends[0]

    torch.testing.assert_close(flat(y), flat(streamed(by_hand, x)), rtol=0, atol=0)
    torch.testing.assert_close(flat(silent), flat(model(x)), rtol=0, atol=0)


def test_the_frequency_of_what_the_next_layer_sees(rng):
    torch.manual_seed(int(torch.randint(2**31, (), generator=rng)))
    model = nn.RNN(1, 50, 2, dropout=0.2, nonlinearity="relu", bias=False)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.zero_()
            if name == "weight_ih_l0":
                weight.fill_(1.0)
            if name == "weight_ih_l1":
                weight.copy_(torch.eye(50))
    with dk.accelerate(model):
        y, _ = model(torch.ones(20, 30, 1))
    assert_frequency(y == 0, 0.2)
    assert torch.equal(y[y != 0], torch.full_like(y[y != 0], 1 / 0.8))


def test_rate_and_flag_are_read_at_every_call(rng):
    model, x = make(nn.GRU, 0.0, {}), torch.randn(7, 3, 4, generator=rng)
    plain = model(x)[0]
    with dk.accelerate(nn.Sequential(nn.Dropout(0.5), model)) as applied:
        assert [site.id for site in applied.sites] == ["0"]
        assert torch.equal(model(x)[0], plain)
        model.dropout = 0.5
        assert [site.id for site in applied.sites] == ["0", "1"]
        assert torch.equal(streamed(model, x)[0], streamed(model, x)[0])
        assert not torch.equal(model(x)[0], plain)
        assert torch.equal(model.eval()(x)[0], plain)


@pytest.mark.filterwarnings("ignore:dropout option adds dropout after all but last:UserWarning")
def test_one_layer_has_nowhere_to_drop():
    model = nn.LSTM(4, 5, 1, dropout=0.5)
    with pytest.raises(NoMatchError, match="no dropout module"):
        dk.accelerate(model)


def test_a_call_of_the_function_itself(rng):
    class Direct(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = make(nn.LSTM, 0.5, {}, layers=2)

        def forward(self, x):
            state = (torch.zeros(2, 3, 5), torch.zeros(2, 3, 5))
            return torch.lstm(x, state, self.cell._flat_weights, True, 2, 0.5, self.training, False, False)[0]

    model, x = Direct(), torch.randn(7, 3, 4, generator=rng)
    with dk.accelerate(model) as applied:
        y = streamed(model, x)
        assert torch.equal(streamed(model, x), y)
    assert [site.id for site in applied.sites] == ["cell", ":lstm#0"]
