"""A network taken step by step is the network, whatever its options and the shape of its input."""

import copy
import itertools
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence, pad_packed_sequence
from torch.utils._pytree import tree_leaves

from dropkit.core import ModuleError, ShapeError
from dropkit.nn import RecurrentDropout, RNNDrop, VariationalRNN, Zoneout
from dropkit.random import mask, stream
from tests.nn.recurrent.networks import KINDS, network, states

WRAPPERS = [VariationalRNN, RecurrentDropout, Zoneout, RNNDrop]
each_wrapper = pytest.mark.parametrize("wrapper", WRAPPERS)
each_kind = pytest.mark.parametrize("kind", KINDS)


def given(form, rows, rng, batch_first=False):
    def sequence(*shape):
        return torch.randn(*shape, 3, generator=rng, dtype=torch.float64)

    if form == "one":
        return sequence(6)
    if form == "batch":
        return sequence(rows, 6) if batch_first else sequence(6, rows)
    lengths = (2, 6, 2, 5) if form == "packed" else (6, 4, 4, 1)
    return pack_sequence([sequence(n) for n in lengths], enforce_sorted=form == "sorted")


def assert_same(got, expected):
    left, right = tree_leaves(got), tree_leaves(expected)
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        assert type(a) is type(b)
        if b is not None:
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@each_wrapper
@each_kind
@pytest.mark.parametrize("form", ["batch", "one", "packed", "sorted"])
def test_at_rate_zero_it_is_the_network(wrapper, kind, form, rng):
    bits = [False, True]
    for layers, both_ways, batch_first, bias, initial in itertools.product((1, 2), bits, bits, bits, bits):
        rnn = network(kind, num_layers=layers, bidirectional=both_ways, batch_first=batch_first, bias=bias)
        x = given(form, 4, rng, batch_first)
        hx = states(rnn, None if form == "one" else 4, rng) if initial else None
        expected = rnn(x, hx)
        layer = wrapper(rnn, 0.0)
        got = layer(x, hx)
        assert_same(got, expected)
        assert isinstance(got[1], tuple) == isinstance(expected[1], tuple)
        assert isinstance(got[0], PackedSequence) == (form in ("packed", "sorted"))
        for a, b in zip(tree_leaves(layer.eval()(x, hx)), tree_leaves(expected), strict=True):
            assert b is None or torch.equal(a, b)  # the network itself


@each_wrapper
@each_kind
def test_gradients_of_parameters_inputs_and_states_are_the_networks(wrapper, kind, rng):
    rnn = network(kind, num_layers=2, bidirectional=True)
    x, hx = given("batch", 4, rng).requires_grad_(), states(rnn, 4, rng)
    leaves = [*rnn.parameters(), x, *(s.requires_grad_() for s in tree_leaves(hx))]

    def gradients(run):
        y, last = run(x, hx)
        return torch.autograd.grad(y.sin().sum() + sum(s.cos().sum() for s in tree_leaves(last)), leaves)

    assert_same(gradients(wrapper(rnn, 0.0)), gradients(rnn))


@each_wrapper
def test_the_network_is_untouched(wrapper, seed, rng):
    rnn = network("lstm", num_layers=2)
    before, names = copy.deepcopy(rnn.state_dict()), dict(vars(rnn))
    layer = wrapper(rnn, 0.5)
    with stream(seed):
        layer(given("batch", 4, rng))
    assert layer.rnn is rnn
    assert vars(rnn).keys() == names.keys()
    assert all(torch.equal(rnn.state_dict()[name], value) for name, value in before.items())
    assert set(layer.state_dict()) == {f"rnn.{name}" for name in before}
    assert [id(p) for p in layer.parameters()] == [id(p) for p in rnn.parameters()]


@each_wrapper
def test_the_dropout_that_the_network_has_between_its_layers_acts(wrapper, seed, rng):
    rnn = network("gru", num_layers=3, dropout=1.0)
    x = given("batch", 4, rng)
    assert_same(wrapper(rnn, 0.0, site="s")(x), rnn(x))  # nothing reaches the layers above
    rnn.dropout = 0.5
    layer = wrapper(rnn, 0.0, site="s")
    with stream(seed):
        y, _ = layer(x)
    first, second, third = (nn.GRU(size, 5, dtype=torch.float64) for size in (3, 5, 5))
    for number, part in enumerate((first, second, third)):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            setattr(part, f"{name}_l0", getattr(rnn, f"{name}_l{number}"))
    h = first(x)[0]
    for number, part in enumerate((second, third)):
        kept = torch.from_numpy(mask((4, 6, 5), 0.5, seed=seed, site=f"s:l{number}:between")).transpose(0, 1)
        h = part(torch.where(kept, 2 * h, 0.0))[0]
    torch.testing.assert_close(y, h)
    assert_same(layer.eval()(x), rnn.eval()(x))


@each_wrapper
def test_masks_are_those_of_the_rows_however_a_batch_is_cut_or_turned(wrapper, seed, rng):
    rnn = network("lstm", num_layers=2, bidirectional=True, batch_first=True)
    layer = wrapper(rnn, 0.5, site="s")
    x = given("batch", 5, rng, batch_first=True)

    def run(x, **key):
        with stream(seed, **key):
            return layer(x)

    y, (h, c) = run(x)
    assert not torch.equal(y, rnn(x)[0])
    for rows in (slice(2, None), torch.tensor([4, 0, 3])):
        sample = 2 if isinstance(rows, slice) else rows
        part, (h_part, c_part) = run(x[rows], sample=sample)
        torch.testing.assert_close(part, y[rows])
        torch.testing.assert_close(h_part, h[:, rows])
        torch.testing.assert_close(c_part, c[:, rows])
    rnn.batch_first = False
    torch.testing.assert_close(run(x.transpose(0, 1))[0].transpose(0, 1), y)
    rnn.batch_first = True
    single, _ = run(x[3], sample=3)
    torch.testing.assert_close(single, y[3])


@each_wrapper
def test_packed_rows_have_the_masks_of_the_rows_that_were_packed(wrapper, seed, rng):
    rnn = network("gru", num_layers=2)
    layer = wrapper(rnn, 0.5, site="s")
    packed = given("packed", 4, rng)
    padded, lengths = pad_packed_sequence(packed)

    def run(x):
        with stream(seed):
            return layer(x)

    y, last = run(packed)
    expected, _ = run(padded)  # going forward, what is behind the end changes nothing before it
    got, _ = pad_packed_sequence(y)
    for row, length in enumerate(lengths):
        torch.testing.assert_close(got[:length, row], expected[:length, row])
        torch.testing.assert_close(last[1, row], expected[length - 1, row])
    assert torch.equal(y.sorted_indices, packed.sorted_indices)
    assert torch.equal(y.batch_sizes, packed.batch_sizes)


@each_wrapper
def test_layers_and_directions_have_masks_of_their_own(wrapper, seed):
    rnn = network("tanh", num_layers=2, bidirectional=True)
    for name, value in rnn.named_parameters():
        value.data = torch.full_like(value, 0.1 if "weight" in name else 0.3)
    with stream(seed):
        _, h = wrapper(rnn, 0.5)(torch.ones(1, 300, 3, dtype=torch.float64))
    for a, b in itertools.combinations(range(4), 2):
        assert not torch.equal(h[a], h[b])


@each_wrapper
@each_kind
def test_it_is_differentiable_with_noise(wrapper, kind, seed):
    layer = wrapper(network(kind), 0.5)
    x = torch.linspace(-1, 1, 18, dtype=torch.float64).view(3, 2, 3).requires_grad_()

    def run(x, *parameters):
        with stream(seed):
            return layer(x)[0]

    assert torch.autograd.gradcheck(run, (x, *layer.parameters()))


@each_wrapper
def test_a_rate_for_each_unit(wrapper, seed, rng):
    rnn, x = network("gru"), given("batch", 4, rng)
    half = wrapper(rnn, 0.5, site="s")
    each = wrapper(rnn, torch.full((5,), 0.5), site="s")
    if wrapper is VariationalRNN:
        half.input_rate = each.input_rate = 0.25
    for training in (True, False):
        with stream(seed):
            expected = half.train(training)(x)
        with stream(seed):
            assert_same(each.train(training)(x), expected)


@each_wrapper
def test_compiled_it_draws_the_same(wrapper, seed, rng):
    layer, x = wrapper(network("lstm"), 0.5), given("batch", 3, rng)[:2]
    torch._dynamo.reset()
    with torch._dynamo.config.patch(allow_rnn=True):
        fast = torch.compile(layer, fullgraph=True, backend="aot_eager")
        for step in range(2):
            with stream(seed, step=step):
                got = fast(x)
            with stream(seed, step=step):
                assert_same(got, layer(x))
    torch._dynamo.reset()


@each_wrapper
@pytest.mark.parametrize(
    ("module", "name"),
    [(nn.Linear(3, 4), "nn.Linear"), (nn.LSTMCell(3, 4), "nn.LSTMCell"), (torch.relu, "builtin")],
)
def test_something_else_is_refused_with_what_is_needed_and_what_was_got(wrapper, module, name):
    needs = f"{wrapper.__name__} needs an nn\\.LSTM, nn\\.GRU or nn\\.RNN, got {name}"
    with pytest.raises(ModuleError, match=needs) as caught:
        wrapper(module, 0.5)
    assert isinstance(caught.value, TypeError)


def test_input_that_does_not_fit_is_refused():
    layer = Zoneout(nn.LSTM(3, 4), 0.5)
    with pytest.raises(ShapeError, match=r"LSTM needs a batch of sequences .* got \(2, 2, 2, 3\)"):
        layer(torch.ones(2, 2, 2, 3))
    with pytest.raises(ShapeError, match="LSTM needs at least one step, got"):
        layer(torch.ones(0, 2, 3))
    with pytest.raises(ShapeError, match=r"needs a pair of states of 3 axes for this input, got \(1, 2, 4\)"):
        layer(torch.ones(5, 2, 3), torch.ones(1, 2, 4))
    with pytest.raises(ShapeError, match="needs a pair of states of 2 axes"):
        layer(torch.ones(5, 3), (torch.ones(1, 2, 4), torch.ones(1, 2, 4)))
    with pytest.raises(ShapeError, match="GRU needs one state of 3 axes"):
        Zoneout(nn.GRU(3, 4), 0.5)(torch.ones(5, 2, 3), (torch.ones(1, 2, 4), torch.ones(1, 2, 4)))
    with pytest.raises(RuntimeError, match="must be equal to input_size"):
        layer(torch.ones(5, 2, 7))
    with pytest.raises(RuntimeError, match=r"Expected hidden\[0\] size"):
        layer(torch.ones(5, 2, 3), (torch.ones(1, 3, 4), torch.ones(1, 2, 4)))


@each_wrapper
def test_it_can_be_pickled_with_its_rates(wrapper, seed):
    layer = wrapper(nn.LSTM(3, 4), 0.25, site="s")
    twin = pickle.loads(pickle.dumps(layer))
    assert repr(twin) == repr(layer)
    with stream(seed):
        expected = layer(torch.ones(5, 2, 3))
    with stream(seed):
        assert_same(twin(torch.ones(5, 2, 3)), expected)
