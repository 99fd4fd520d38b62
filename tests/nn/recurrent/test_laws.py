"""What each variant does inside a network, against the steps written out, with the public masks."""

import pytest
import torch
from torch import nn

from dropkit.core import OptionError, RateError
from dropkit.nn import RecurrentDropout, RNNDrop, VariationalRNN, Zoneout
from dropkit.random import Schedule, mask, stream
from tests.nn.recurrent.networks import KINDS, gru_step, lstm_step, network, preactivations, states

ROWS, STEPS = 40, 5


def data(rng):
    return torch.randn(STEPS, ROWS, 3, generator=rng, dtype=torch.float64)


def kept(seed, what, size, rate, each_step):
    shape = (ROWS, STEPS if each_step else 1, size)
    coins = torch.from_numpy(mask(shape, rate, seed=seed, site=f"s:l0:{what}")).transpose(0, 1)
    return coins.expand(STEPS, ROWS, size)


def check(layer, x, hx, seed, expected):
    with stream(seed):
        y, last = layer(x, hx)
    outputs, final = expected
    torch.testing.assert_close(y, torch.stack(outputs))
    for got, wanted in zip(last if isinstance(last, tuple) else (last,), final, strict=True):
        torch.testing.assert_close(got[0], wanted)


def test_variational_lstm(seed, rng):
    rnn, x = network("lstm"), data(rng)
    hx = states(rnn, ROWS, rng)
    inputs, hidden = (kept(seed, w, n, r, False) for w, n, r in [("input", 3, 0.25), ("hidden", 5, 0.5)])
    assert torch.equal(hidden[0], hidden[-1])
    assert len(hidden[0].unique(dim=0)) > 1
    h, c, outputs = hx[0][0], hx[1][0], []
    for t in range(STEPS):
        read = torch.where(hidden[t], h / 0.5, 0.0)
        gate, c = lstm_step(rnn, torch.where(inputs[t], x[t] / 0.75, 0.0), h, c, read=read)
        h = gate * c.tanh()
        outputs.append(h)
    layer = VariationalRNN(rnn, 0.5, input_rate=0.25, site="s")
    check(layer, x, hx, seed, (outputs, (h, c)))


def test_variational_gru_and_projected_lstm(seed, rng):
    x = data(rng)
    rnn = network("gru")
    inputs, hidden = (kept(seed, w, n, 0.5, False) for w, n in [("input", 3), ("hidden", 5)])
    h, outputs = torch.zeros(ROWS, 5, dtype=torch.float64), []
    for t in range(STEPS):
        h = gru_step(rnn, torch.where(inputs[t], 2 * x[t], 0.0), h, read=torch.where(hidden[t], 2 * h, 0.0))
        outputs.append(h)
    check(VariationalRNN(rnn, 0.5, site="s"), x, None, seed, (outputs, (h,)))
    rnn = network("projected")
    hidden = kept(seed, "hidden", 2, 0.5, False)
    h, c, outputs = torch.zeros(ROWS, 2, dtype=torch.float64), torch.zeros(ROWS, 5, dtype=torch.float64), []
    for t in range(STEPS):
        read = torch.where(hidden[t], 2 * h, 0.0)
        gate, c = lstm_step(rnn, torch.where(inputs[t], 2 * x[t], 0.0), h, c, read=read)
        h = (gate * c.tanh()) @ rnn.weight_hr_l0.T
        outputs.append(h)
    check(VariationalRNN(rnn, 0.5, site="s"), x, None, seed, (outputs, (h, c)))


@pytest.mark.parametrize("each_step", [True, False])
def test_recurrent_dropout_drops_updates_only(each_step, seed, rng):
    x, rnn = data(rng), network("lstm")
    hx = states(rnn, ROWS, rng)
    coins = kept(seed, "update", 5, 0.5, each_step)
    assert torch.equal(coins[0], coins[-1]) != each_step
    h, c, outputs = hx[0][0], hx[1][0], []
    for t in range(STEPS):
        gate, c = lstm_step(rnn, x[t], h, c, update=lambda g, t=t: torch.where(coins[t], 2 * g, 0.0))
        h = gate * c.tanh()
        outputs.append(h)
    check(RecurrentDropout(rnn, 0.5, each_step, site="s"), x, hx, seed, (outputs, (h, c)))
    rnn = network("gru")
    hx = states(rnn, ROWS, rng)
    h, outputs = hx[0], []
    for t in range(STEPS):
        h = gru_step(rnn, x[t], h, update=lambda n, t=t: torch.where(coins[t], 2 * n, 0.0))
        outputs.append(h)
    check(RecurrentDropout(rnn, 0.5, each_step, site="s"), x, hx, seed, (outputs, (h,)))


def test_recurrent_dropout_forgets_nothing_even_at_rate_one(rng):
    rnn = network("gru")
    rnn.bias_ih_l0.data[5:10] = 1e4  # the update gate stands at 1: keep the state
    hx = states(rnn, ROWS, rng)
    y, last = RecurrentDropout(rnn, 1.0)(data(rng), hx)
    assert torch.equal(last, hx)
    assert torch.equal(y, hx.expand(STEPS, ROWS, 5))


def test_zoneout_lstm(seed, rng):
    x, rnn = data(rng), network("lstm")
    hx = states(rnn, ROWS, rng)
    updated, remade = kept(seed, "hidden", 5, 0.3, True), kept(seed, "cell", 5, 0.6, True)
    h, c, outputs = hx[0][0], hx[1][0], []
    for t in range(STEPS):
        gate, fresh = lstm_step(rnn, x[t], h, c)
        h = torch.where(updated[t], gate * fresh.tanh(), h)
        c = torch.where(remade[t], fresh, c)
        outputs.append(h)
    check(Zoneout(rnn, 0.3, cell_rate=0.6, site="s"), x, hx, seed, (outputs, (h, c)))


@pytest.mark.parametrize("kind", ["gru", "tanh", "relu"])
def test_zoneout_of_networks_without_cells(kind, seed, rng):
    x, rnn = data(rng), network(kind)
    hx = states(rnn, ROWS, rng)
    updated = kept(seed, "hidden", 5, 0.3, True)

    def step(x, h):
        a, b = preactivations(rnn, x, h)
        return gru_step(rnn, x, h) if kind == "gru" else getattr(torch, kind)(a + b)

    h, outputs = hx[0], []
    for t in range(STEPS):
        h = torch.where(updated[t], step(x[t], h), h)
        outputs.append(h)
    check(Zoneout(rnn, 0.3, site="s"), x, hx, seed, (outputs, (h,)))
    h, outputs = hx[0], []
    for t in range(STEPS):
        h = 0.3 * h + 0.7 * step(x[t], h)
        outputs.append(h)
    check(Zoneout(rnn, 0.3).eval(), x, hx, seed, (outputs, (h,)))


def test_zoneout_takes_means_in_eval_mode(seed, rng):
    x, rnn = data(rng), network("projected")
    hx = states(rnn, ROWS, rng)
    h, c, outputs = hx[0][0], hx[1][0], []
    for t in range(STEPS):
        gate, fresh = lstm_step(rnn, x[t], h, c)
        h = 0.3 * h + 0.7 * (gate * fresh.tanh()) @ rnn.weight_hr_l0.T
        c = 0.6 * c + 0.4 * fresh
        outputs.append(h)
    layer = Zoneout(rnn, 0.3, cell_rate=0.6).eval()
    check(layer, x, hx, seed, (outputs, (h, c)))
    layer.rate = torch.full((ROWS, 1, 1), 0.3)
    layer.cell_rate = torch.full((STEPS, 1), 0.6)
    check(layer, x, hx, seed, (outputs, (h, c)))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_zoneout_at_rate_one_copies_the_state(kind, training, rng):
    rnn = network(kind)
    hx = states(rnn, ROWS, rng)
    y, last = Zoneout(rnn, 1.0).train(training)(data(rng), hx)
    first = hx if isinstance(hx, tuple) else (hx,)
    for got, given in zip(last if isinstance(last, tuple) else (last,), first, strict=True):
        assert torch.equal(got, given)
    assert torch.equal(y, first[0].expand(STEPS, *first[0].shape[1:]))


def test_zoneout_may_act_on_the_cells_alone(rng):
    rnn = network("lstm")
    hx = states(rnn, ROWS, rng)
    _, (h, c) = Zoneout(rnn, 0.0, cell_rate=1.0)(data(rng), hx)
    assert torch.equal(c, hx[1])
    assert not torch.equal(h, hx[0])
    _, (h, c) = Zoneout(rnn, 1.0, cell_rate=0.0)(data(rng), hx)
    assert torch.equal(h, hx[0])
    assert not torch.equal(c, hx[1])


@pytest.mark.parametrize("kind", ["lstm", "projected"])
def test_dropped_memory_cells_are_gone_at_every_step(kind, seed, rng):
    x, rnn = data(rng), network(kind)
    hx = states(rnn, ROWS, rng)
    coins = kept(seed, "cell", 5, 0.5, False)
    h, c, outputs = hx[0][0], hx[1][0], []
    for t in range(STEPS):
        gate, fresh = lstm_step(rnn, x[t], h, c)
        c = torch.where(coins[t], fresh, 0.0)
        h = 2 * gate * c.tanh()
        h = h if kind == "lstm" else h @ rnn.weight_hr_l0.T
        outputs.append(h)
    check(RNNDrop(rnn, 0.5, site="s"), x, hx, seed, (outputs, (h, c)))


@pytest.mark.parametrize("kind", ["gru", "tanh"])
def test_dropped_units_of_networks_without_cells_are_gone(kind, seed, rng):
    x, rnn = data(rng), network(kind)
    hx = states(rnn, ROWS, rng)
    coins = kept(seed, "cell", 5, 0.5, False)
    h, outputs = hx[0], []
    for t in range(STEPS):
        read = torch.where(coins[t], 2 * h, 0.0)
        a, b = preactivations(rnn, x[t], read)
        h = torch.where(coins[t], gru_step(rnn, x[t], h, read=read) if kind == "gru" else (a + b).tanh(), 0.0)
        outputs.append(2 * h)
    check(RNNDrop(rnn, 0.5, site="s"), x, hx, seed, (outputs, (2 * h,)))


def test_masks_are_named_after_layers_and_directions(seed, rng):
    rnn = network("gru", num_layers=2, bidirectional=True)
    with stream(seed):
        _, last = RNNDrop(rnn, 0.5, site="s")(data(rng))
    for h, place in zip(last, ("l0", "l0_reverse", "l1", "l1_reverse"), strict=True):
        coins = mask((ROWS, 1, 5), 0.5, seed=seed, site=f"s:{place}:cell")[:, 0]
        assert torch.equal(h != 0, torch.from_numpy(coins))


def test_the_mean_of_rnn_drop_does_not_grow_with_the_length(seed):
    rnn = nn.GRU(1, 64)
    for name, value in rnn.named_parameters():
        value.data.zero_()
        if name == "bias_ih_l0":
            value.data[64:128], value.data[128:] = 4.0, 1.0
    x = torch.zeros(200, 500, 1)
    with stream(seed):
        y = RNNDrop(rnn, 0.5)(x)[0][-1].double()
    expected = rnn(x)[0][-1, 0, 0].item()  # all units are alike: 2 * expected or 0
    assert set(y.unique().tolist()) == {0.0, y.max().item()}
    assert y.max().item() == pytest.approx(2 * expected, rel=1e-5)


@pytest.mark.parametrize(("wrapper", "name"), [(Zoneout, "cell_rate"), (VariationalRNN, "input_rate")])
def test_the_second_rate_is_a_rate_or_follows_the_first(wrapper, name, seed, rng):
    rnn, x = network("lstm"), data(rng)

    def run(layer, **key):
        with stream(seed, **key):
            return layer(x)[0]

    follows, equal = wrapper(rnn, 0.5, site="s"), wrapper(rnn, 0.5, **{name: 0.5}, site="s")
    assert getattr(follows, name) is None
    assert torch.equal(run(follows), run(equal))
    assert repr(follows).startswith(f"{wrapper.__name__}(\n  rate=0.5, site='s'\n")
    assert f"rate=0.5, site='s', {name}=0.5\n" in repr(equal)
    setattr(equal, name, 0.25)
    assert not torch.equal(run(follows), run(equal))
    setattr(equal, name, None)
    assert torch.equal(run(follows), run(equal))

    class Ramp(Schedule):
        def at(self, step):
            return step / 4

    setattr(equal, name, Ramp())
    assert torch.equal(run(equal, step=2), run(follows, step=2))
    assert not torch.equal(run(equal, step=1), run(follows, step=1))
    for bad in (-0.1, 1.5, float("nan"), "half", torch.tensor([0.5, 2.0])):
        with pytest.raises(RateError, match=rf"{name} must be (a number )?in \[0, 1\], got"):
            setattr(equal, name, bad)
        with pytest.raises(RateError, match=rf"{name} must be"):
            wrapper(rnn, 0.5, **{name: bad})
    with pytest.raises(RateError, match=f"{name} must not be a parameter"):
        setattr(equal, name, nn.Parameter(torch.tensor(0.5)))


def test_each_step_is_checked():
    with pytest.raises(OptionError, match="each_step must be True or False, got 1"):
        RecurrentDropout(network("gru"), 0.5, 1)
    assert "rate=0.5, each_step=False\n" in repr(RecurrentDropout(network("gru"), 0.5, False))
    assert "each_step" not in repr(RecurrentDropout(network("gru"), 0.5))
