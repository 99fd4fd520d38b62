"""Plans on weights: replaced for one forward, and never touched."""

import copy
import gc
import io
import pickle
import threading

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import dropkit as dk
from dropkit.core import NoMatchError, PlanError
from dropkit.random import stream
from dropkit.surgery import attached

from .models import assert_same, snapshot


class Tied(nn.Module):
    """A language model of the smallest kind, whose head is its embedding."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 6)
        self.rnn = nn.LSTM(6, 6, 2, batch_first=True)
        self.head = nn.Linear(6, 11)
        self.head.weight = self.embedding.weight

    def forward(self, tokens):
        return self.head(self.rnn(self.embedding(tokens))[0])


class Bare(nn.Module):
    """A matrix of somebody's own, stored the other way round."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, 24).view(6, 4))

    def forward(self, x):
        return x @ self.weight


ROWS, TOKENS = (5, 6), (3, 4)
LAYERS = {
    "linear": (lambda: nn.Linear(6, 4), ROWS, ("weight",)),
    "linear without bias": (lambda: nn.Linear(6, 4, bias=False), ROWS, ("weight",)),
    "conv1d": (lambda: nn.Conv1d(3, 4, 3, padding="same", padding_mode="circular"), (2, 3, 7), ("weight",)),
    "conv2d": (lambda: nn.Conv2d(4, 4, 3, stride=2, groups=2), (2, 4, 7, 7), ("weight",)),
    "transposed": (lambda: nn.ConvTranspose2d(3, 4, 3, stride=2), (2, 3, 4, 4), ("weight",)),
    "own": (Bare, ROWS, ("weight",)),
    "lstm": (
        lambda: nn.LSTM(6, 5, 2, bidirectional=True, batch_first=True, proj_size=3),
        (3, 4, 6),
        ("weight_hh_l0", "weight_hh_l0_reverse", "weight_hh_l1", "weight_hh_l1_reverse"),
    ),
    "gru": (lambda: nn.GRU(6, 5), (3, 4, 6), ("weight_hh_l0",)),
    "rnn": (lambda: nn.RNN(6, 5, bias=False), (3, 4, 6), ("weight_hh_l0",)),
    "cell": (lambda: nn.LSTMCell(6, 5), ROWS, ("weight_hh",)),
    "attention": (
        lambda: nn.MultiheadAttention(6, 2, batch_first=True),
        (3, 4, 6),
        ("in_proj_weight", "out_proj.weight"),
    ),
    "attention of several sizes": (
        lambda: nn.MultiheadAttention(6, 2, kdim=4, vdim=3, batch_first=True),
        (3, 4, 6),
        ("q_proj_weight", "k_proj_weight", "v_proj_weight", "out_proj.weight"),
    ),
}
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


def called(model, x):
    if isinstance(model, nn.MultiheadAttention):
        y = model(x, x[..., : model.kdim], x[..., : model.vdim], need_weights=False)
    else:
        y = model(x)
    while isinstance(y, tuple):
        y = y[0]
    return y


def gradients(model):
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def rule(variant="drop_connect", rate=0.5, at="re:", **more):
    return dk.Rule(at=at, variant=variant, rate=rate, on="weight", **more)


@pytest.mark.parametrize("name", LAYERS)
def test_weights_are_those_that_the_op_makes_and_gradients_reach_the_parameters(name, seed, rng):
    make, shape, names = LAYERS[name]
    model, x = make(), torch.randn(shape, generator=rng)
    before, ids = copy.deepcopy(model.state_dict()), [id(p) for p in model.parameters()]
    applied = dk.plan(model, [rule()]).apply(model)
    assert [site.id for site in applied.sites] == [":weight"]
    with stream(seed):
        y = called(model, x)
    y.square().sum().backward()
    got = gradients(model)
    assert [id(p) for p in model.parameters()] == ids
    assert list(model.state_dict()) == list(before)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())

    hand = copy.deepcopy(model)
    attached(hand)[0].revert()
    hand.zero_grad()
    with stream(seed), torch.no_grad():
        masked = {
            n: dk.ops.drop_connect(
                hand.get_parameter(n),
                0.5,
                training=True,
                site=":weight" if n == "weight" else f":weight:{n}",
            )
            for n in names
        }
        factors = {n: masked[n] / hand.get_parameter(n) for n in names}  # 0 or 2
        for n in names:
            hand.get_parameter(n).copy_(masked[n])
    z = called(hand, x)
    assert torch.equal(y, z)
    assert all(bool((f == 0).any()) for f in factors.values())  # 24 coins or more each
    z.square().sum().backward()
    for key, grad in gradients(hand).items():
        torch.testing.assert_close(got[key], grad * factors[key] if key in factors else grad)
    model.eval()
    assert torch.equal(called(model, x), called(make_like(model, before), x))


def make_like(model, state):
    other = copy.deepcopy(model)
    for handle in attached(other):
        handle.revert()
    other.load_state_dict(state)
    return other


WRAPPERS = {
    "drop_connect": (dk.nn.DropConnect, lambda: nn.Linear(6, 4), ROWS, {}),
    "mixout": (dk.nn.Mixout, lambda: nn.Linear(6, 4), ROWS, {"per": "weight"}),
    "targeted_weight_dropout": (
        dk.nn.TargetedWeightDropout,
        lambda: nn.Conv2d(2, 3, 3),
        (2, 2, 5, 5),
        {"share": 0.75},
    ),
    "targeted_unit_dropout": (dk.nn.TargetedUnitDropout, lambda: nn.Linear(6, 4), ROWS, {}),
    "weight_drop": (dk.nn.WeightDrop, lambda: nn.LSTM(6, 5, 2), (3, 4, 6), {}),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_training_with_a_plan_is_training_with_the_wrapper_written_by_hand(name, seed, rng):
    wrapper, make, shape, options = WRAPPERS[name]
    layer = make()
    hand = wrapper(copy.deepcopy(layer), 0.5, site=":weight", **options)
    applied = dk.plan(layer, [rule(name, options=options)]).apply(layer)
    x = torch.randn(shape, generator=rng)
    losses = []
    for model, own in ((layer, layer), (hand, hand.layer)):
        optimizer, found = torch.optim.SGD(own.parameters(), 0.1, momentum=0.9), []
        with stream(seed):
            for _ in range(4):
                optimizer.zero_grad()
                loss = called(model, x).square().mean()
                loss.backward()
                optimizer.step()
                dk.step()
                found.append(loss.item())
        losses.append(found)
    assert losses[0] == losses[1]
    assert all(torch.equal(p, q) for p, q in zip(layer.parameters(), hand.layer.parameters(), strict=True))
    applied.revert()
    assert layer.state_dict().keys() == hand.layer.state_dict().keys()


def test_dropout_on_a_weight_is_drop_connect(seed, rng):
    x, model = torch.randn(5, 6, generator=rng), nn.Linear(6, 4)
    outputs = []
    for variant in ("dropout", "drop_connect"):
        with dk.plan(model, [rule(variant)]).apply(model), stream(seed):
            outputs.append(model(x))
    assert torch.equal(*outputs)


def test_tied_weights_are_dropped_where_they_were_asked_to_be(seed, rng):
    model, tokens = Tied(), torch.randint(11, TOKENS, generator=rng)
    with dk.plan(model, [rule("embedding_dropout", 0.5, "embedding")]).apply(model), stream(seed):
        y = model(tokens)
        y.sum().backward()
    with stream(seed):
        table = dk.ops.embedding_dropout(model.embedding.weight, 0.5, training=True, site="embedding:weight")
    expected = F.linear(model.rnn(F.embedding(tokens, table))[0], model.head.weight, model.head.bias)
    torch.testing.assert_close(y, expected)
    got, model.head.weight.grad = model.head.weight.grad, None
    expected.sum().backward()
    torch.testing.assert_close(got, model.embedding.weight.grad)


@pytest.mark.parametrize(
    ("rules", "ids"),
    [
        ([dk.Rule(at="weights", variant="drop_connect")], ["rnn:weight"]),
        ([dk.Rule(at="weights", rate=0.3)], ["rnn:weight"]),
        ([dk.Rule(at="weights", variant="weight_drop")], ["rnn:weight"]),
        ([dk.Rule(at="embedding", variant="embedding_dropout")], ["embedding:weight"]),
        ([dk.Rule(at="embedding")], ["embedding"]),
        ([dk.Rule(at="recurrent", variant="weight_drop")], ["rnn:weight"]),
        ([dk.Rule(at="recurrent")], ["rnn"]),
        ([dk.Rule(at="*", on="weight")], ["embedding:weight", "rnn:weight", "head:weight"]),
        ([dk.Rule(at="*", variant="drop_connect", except_=["head"])], ["embedding:weight", "rnn:weight"]),
        (
            [dk.Rule(at=["weights", "recurrent"]), dk.Rule(at="Linear", variant="targeted_unit_dropout")],
            ["rnn:weight", "rnn", "head:weight"],
        ),
    ],
)
def test_addresses(rules, ids, rng):
    model = Tied()
    made = dk.plan(model, rules)
    assert [site.id for site in made.sites] == ids
    assert type(made).from_json(made.to_json()) == made
    with made.apply(model), stream(0):
        model(torch.randint(11, TOKENS, generator=rng))


def test_weights_leaves_the_last_linear_out_like_fc():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    made = dk.plan(model, [dk.Rule(at="weights", variant="drop_connect")])
    assert [site.id for site in made.sites] == ["0:weight", "2:weight"]
    with pytest.raises(NoMatchError, match="but the last Linear, which 'weights' leaves out"):
        dk.plan(nn.Linear(4, 2), [dk.Rule(at="weights")])


def frozen():
    made = nn.Linear(4, 4)
    nn.utils.parametrizations.weight_norm(made)
    return nn.Sequential(made)


@pytest.mark.parametrize(
    ("model", "given", "text"),
    [
        (nn.Sequential(nn.ReLU()), {"at": "ReLU"}, "ReLU has no weight matrix of its own"),
        (nn.Sequential(nn.BatchNorm1d(3)), {"at": "0"}, "BatchNorm1d has no weight matrix"),
        (
            nn.Sequential(nn.Linear(3, 3)),
            {"at": "Linear", "variant": "weight_drop"},
            r"weight_drop needs a recurrent module \(LSTM, GRU or RNN\), got Linear",
        ),
        (
            nn.Sequential(nn.Linear(3, 3)),
            {"at": "Linear", "variant": "embedding_dropout"},
            "embedding_dropout needs an Embedding or EmbeddingBag, got Linear",
        ),
        (frozen(), {"at": "0"}, "site '0:weight': the weight of the ParametrizedLinear is computed"),
        (
            nn.Sequential(nn.LazyLinear(3)),
            {"at": "0"},
            "site '0:weight': .* not initialised yet; run the model",
        ),
        (nn.Sequential(nn.EmbeddingBag(3, 3, max_norm=1.0)), {"at": "0"}, "has max_norm"),
    ],
)
def test_what_cannot_be_dropped_is_refused_by_name(model, given, text):
    with pytest.raises(PlanError, match=text):
        dk.plan(model, [dk.Rule(**{"on": "weight", "rate": 0.5, **given})])


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"variant": "drop_connect", "on": "input"}, "'drop_connect' acts on weights, got on='input'"),
        (
            {"variant": "gaussian_dropout", "at": "weights"},
            "not supported by variant 'gaussian_dropout'; drop_conn",
        ),
        ({"variant": "drop_connect", "options": {"copies": 3}}, "no option 'copies'"),
        ({"variant": "mixout", "options": {"per": "row"}}, "per must be 'unit' or 'weight', got 'row'"),
        ({"on": "weight", "options": {"scaling": "test"}}, "no option 'scaling'"),
    ],
)
def test_bad_rules_are_refused_where_they_are_written(given, text):
    with pytest.raises(PlanError, match=text):
        dk.Rule(**{"at": "fc", "rate": 0.5, **given})


def test_a_replaced_forward_is_refused(rng):
    model = nn.Sequential(nn.Linear(3, 3))
    made = dk.plan(model, [rule(at="0")])
    model[0].forward = lambda x: x
    with pytest.raises(PlanError, match=r"site '0:weight': the forward of this Linear was replaced"):
        made.apply(model)


@pytest.mark.parametrize("variant", ["drop_connect", "mixout"])
def test_apply_then_revert_leaves_no_trace(variant, rng):
    model, tokens = Tied(), torch.randint(11, TOKENS, generator=rng)
    before = snapshot(model)
    applied = dk.plan(model, [rule(variant, at=["rnn", "head"])]).apply(model)
    assert [id(p) for p in model.parameters()] == [id(p) for p in dict.fromkeys(model.parameters(), 0)]
    head = model.head.weight.detach().clone()
    with torch.no_grad():
        model.head.weight.add_(1.0)
        assert not torch.equal(model(tokens), model(tokens))
        model.head.weight.copy_(head)
    applied.revert()
    assert_same(snapshot(model), before)
    assert torch.equal(model(tokens), model(tokens))


def test_an_error_in_a_forward_leaves_the_weights(rng):
    model = nn.Linear(6, 4)
    with dk.plan(model, [rule()]).apply(model):
        weight = model.weight
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            model(torch.ones(2, 5))
        assert model.weight is weight
        assert "weight" in model._parameters


def test_other_threads_see_the_weights_as_they_are(rng):
    model = Bare()
    own, seen, x = model.weight.detach().clone(), [], torch.ones(2, 6)

    class Slow(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            thread = threading.Thread(target=lambda: seen.append(model.weight.detach().clone()))
            thread.start()
            thread.join()
            return x

    with dk.plan(model, [rule(rate=1.0)]).apply(model):
        model.register_forward_pre_hook(lambda module, args: (Slow.apply(args[0]),))
        assert not model(x).any()
    assert torch.equal(seen[0], own)


def test_copies_and_pickles_carry_the_plan(seed, rng):
    model, tokens = Tied(), torch.randint(11, TOKENS, generator=rng)
    applied = dk.plan(model, [rule("mixout", at="rnn"), rule(at="head")]).apply(model)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(1.0)
    others = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    others.append(torch.load(buffer, weights_only=False))
    with stream(seed):
        y = model(tokens)
    applied.revert()
    for other in others:
        with stream(seed):
            assert torch.equal(other(tokens), y)
        (handle,) = attached(other)
        handle.revert()
        assert torch.equal(other(tokens), model(tokens))


def test_checkpointing_recomputes_with_the_same_weights(seed, rng):
    model, x = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6)), torch.randn(5, 6, generator=rng)
    dk.plan(model, [rule(at="Linear")]).apply(model)
    found = []
    for run in (model, lambda x: checkpoint(model, x, use_reentrant=False)):
        model.zero_grad()
        with stream(seed):
            run(x.requires_grad_()).square().sum().backward()
        found.append([p.grad.clone() for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_compiled_models_drop_the_same_weights(seed, rng):
    model = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3))
    x = torch.randn(5, 6, generator=rng)
    with dk.plan(model, [rule(at="0"), rule("mixout", at="2")]).apply(model):
        with torch.no_grad():
            model[2].weight.mul_(2.0)
        with stream(seed):
            y = model(x)
        compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
        with stream(seed):
            z = compiled(x)
            torch.testing.assert_close(z, y)
            dk.step()
            assert not torch.equal(compiled(x), z)
        z.sum().backward()
        assert all(p.grad is not None for p in model.parameters())
        model.eval()
        assert torch.equal(compiled(x), model(x))


def test_accelerated_models_drop_their_weights(seed, rng):
    model, x = nn.LSTM(6, 5, 2, dropout=0.5), torch.randn(3, 4, 6, generator=rng)
    with dk.plan(model, [rule("weight_drop", rate=1.0)]).apply(model), dk.accelerate(model), stream(seed):
        y = model(x)[0]
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "_hh_" in name and name.startswith("weight"):
                weight.zero_()
    with dk.accelerate(model), stream(seed):
        assert torch.equal(y, model(x)[0])


def test_accelerated_models_keep_the_weight_drop_that_they_have(seed, rng):
    model, x = (
        nn.Sequential(dk.nn.WeightDrop(nn.LSTM(6, 5), 1.0, site="a")),
        torch.randn(3, 4, 6, generator=rng),
    )
    y = model(x)[0]
    with dk.accelerate(nn.Sequential(model, nn.Dropout())):
        assert torch.equal(model(x)[0], y)


def test_prediction_samples_the_weights(seed, rng):
    model = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3)).eval()
    x = torch.randn(5, 6, generator=rng)
    with dk.plan(model, [rule(at="0")]).apply(model):
        found = dk.predict(model, x, members=4, seed=seed, keep_members=True)
        assert torch.equal(model(x), model(x))
    assert found.variance.max() > 0
    assert not torch.equal(found.members[0], found.members[1])


def test_a_thousand_cycles_leak_nothing():
    model = Tied()
    made = dk.plan(model, [rule("mixout", at="rnn"), rule(at=["embedding", "head"])])
    counts = []
    for _ in range(3):
        for _ in range(334):
            made.apply(model).revert()
        gc.collect()
        counts.append(len(gc.get_objects()))
    assert counts[2] - counts[1] < 50
