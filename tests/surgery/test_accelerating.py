"""The dropout that a model already has, on dropkit: the same law and rate at every site, and nothing else changed."""

import math
import warnings
from types import FunctionType

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import dropkit as dk
from dropkit import ops
from dropkit.ops.drop import drop
from dropkit.surgery.builtin import built_in, own_function
from dropkit.surgery.existing import CALLS
from dropkit.surgery.mentions import Mentions
from tests.laws import assert_frequency

from .models import CNN, MLP, DropPath, Inner, Mixed, assert_same, snapshot, streamed

VALUE = -1.7580993408473766


def alpha(rate):
    a = ((1 - rate) * (1 + rate * VALUE**2)) ** -0.5
    return a, -a * rate * VALUE


def by_hand(model, x):
    """Mixed, written with dropkit."""
    training, rate = model.training, model.rate
    x = ops.dropout(model.one(x), rate, training=training, site=":dropout#0")
    x = ops.dropout(x, rate, training=training, site="drop")
    x = ops.dropout(x, rate, training=training, site="inner:dropout#0") + 1
    return ops.dropout(torch.tanh(x), rate, training=True, site=":dropout#1")


# What drops ---------------------------------------------------------------------------------------------------

MODULES = [
    (nn.Dropout, (40, 6), "dropout", None),
    (nn.Dropout1d, (40, 6, 3), "spatial_dropout1d", (40, 6, 1)),
    (nn.Dropout2d, (40, 6, 2, 2), "spatial_dropout2d", (40, 6, 1, 1)),
    (nn.Dropout3d, (40, 6, 2, 1, 2), "spatial_dropout3d", (40, 6, 1, 1, 1)),
    (nn.AlphaDropout, (40, 6), "alpha_dropout", None),
    (nn.FeatureAlphaDropout, (40, 6, 3), "feature_alpha_dropout", (40, 6, 1)),
]


@pytest.mark.parametrize(("cls", "shape", "variant", "coins"), MODULES)
def test_each_module_does_what_its_twin_does(cls, shape, variant, coins, rng, seed):
    x = torch.randn(shape, generator=rng).requires_grad_()
    entry = dk.variant(variant)
    model, twin = nn.Sequential(nn.Identity(), cls(0.3)), entry.module(0.3, site="1")
    applied = dk.accelerate(model)
    assert [(s.id, s.module, s.variant, s.rate, s.type) for s in applied.sites] == [
        ("1", "1", variant, 0.3, cls.__name__)
    ]
    y, expected = streamed(model, x, seed=seed), streamed(twin, x, seed=seed)
    assert torch.equal(y, expected)
    assert not torch.equal(y, x)
    (found,) = torch.autograd.grad(y.square().sum(), x)
    assert torch.equal(found, torch.autograd.grad(expected.square().sum(), x)[0])
    kept = torch.from_numpy(dk.random.mask(coins or shape, 0.3, seed=seed, site="1"))
    value = math.fsum((alpha(0.3)[0] * VALUE, alpha(0.3)[1])) if "alpha" in variant else 0.0
    changed = y == torch.tensor(value, dtype=y.dtype)
    assert torch.equal(changed, (~kept).expand(shape))
    assert model.eval()(x) is x


@pytest.mark.parametrize(("cls", "shape", "variant", "coins"), MODULES)
@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_rates_zero_and_one(cls, shape, variant, coins, rate):
    x = torch.randn(shape)
    with dk.accelerate(model := cls(rate)):
        y = model(x)
    assert torch.equal(y, model(x))
    assert torch.equal(y, x * (1 - rate))


@pytest.mark.parametrize(("cls", "shape", "variant", "coins"), MODULES)
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_the_rate_is_the_one_asked_for(cls, shape, variant, coins, rate, rng):
    torch.manual_seed(int(torch.randint(2**31, (), generator=rng)))
    model = cls(rate)
    with dk.accelerate(model):
        y = model(torch.full((400, *shape[1:]), math.inf))
    dropped = y.isfinite().view(400 * shape[1], -1)
    assert torch.equal(dropped.any(1), dropped.all(1)) or coins is None
    assert_frequency(dropped if coins is None else dropped[:, 0], rate)


FUNCTIONS = [
    (lambda x: F.dropout(x, 0.3), "dropout", ops.dropout, None),
    (lambda x: F.dropout(input=x, p=0.3, training=True), "dropout", ops.dropout, None),
    (lambda x: F.dropout(x, 0.3, True, False), "dropout", ops.dropout, None),
    (lambda x: torch.dropout(x, 0.3, True), "dropout", ops.dropout, None),
    (lambda x: torch.dropout(x, p=0.3, train=True), "dropout", ops.dropout, None),
    (lambda x: F.dropout1d(x, 0.3), "dropout1d", None, (40, 6, 1)),
    (lambda x: F.dropout2d(x[..., None], 0.3)[..., 0], "dropout2d", None, (40, 6, 1)),
    (lambda x: F.dropout3d(x[..., None, None], 0.3)[..., 0, 0], "dropout3d", None, (40, 6, 1)),
    (lambda x: torch.feature_dropout(x, 0.3, True), "feature_dropout", None, (40, 6, 1)),
    (lambda x: F.alpha_dropout(x, 0.3, True), "alpha_dropout", ops.alpha_dropout, None),
    (lambda x: torch.alpha_dropout(x, 0.3, True), "alpha_dropout", ops.alpha_dropout, None),
    (
        lambda x: F.feature_alpha_dropout(x, 0.3, True),
        "feature_alpha_dropout",
        ops.feature_alpha_dropout,
        None,
    ),
    (
        lambda x: torch.feature_alpha_dropout(x, 0.3, True),
        "feature_alpha_dropout",
        ops.feature_alpha_dropout,
        None,
    ),
]


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize(("function", "name", "op", "coins"), FUNCTIONS)
def test_each_function_does_what_its_twin_does(function, name, op, coins, rng):
    x = torch.randn(40, 6, 3, generator=rng)
    model = Calls(function)
    applied = dk.accelerate(model)
    assert applied.sites == ()  # not called yet
    y = streamed(model, x)
    (site,) = applied.sites
    assert (site.id, site.rate, site.function, site.type) == (f":{name}#0", 0.3, name, "Calls")
    if op is None:
        expected = streamed(drop, x, 0.3, coins, generator=None, site=site.id)
    else:
        expected = streamed(op, x, 0.3, training=True, site=site.id)
    assert torch.equal(y, expected)
    assert not torch.equal(y, x)


IN_PLACE = [
    (lambda x: F.dropout(x, 0.3, inplace=True), (40, 6)),
    (lambda x: F.dropout(x, 0.3, True, True), (40, 6)),
    (lambda x: torch.dropout_(x, 0.3, True), (40, 6)),
    (lambda x: torch.alpha_dropout_(x, 0.3, True), (40, 6)),
    (lambda x: torch.feature_dropout_(x, 0.3, True), (40, 6, 3)),
    (lambda x: torch.feature_alpha_dropout_(x, 0.3, True), (40, 6, 3)),
    (lambda x: F.alpha_dropout(x, 0.3, True, inplace=True), (40, 6)),
    (nn.Dropout(0.3, inplace=True), (40, 6)),
    (nn.Dropout1d(0.3, inplace=True), (40, 6, 3)),
    (nn.Dropout1d(0.3, inplace=True), (40, 6)),
    (nn.Dropout2d(0.3, inplace=True), (40, 6, 3, 1)),
    (nn.Dropout3d(0.3, inplace=True), (40, 6, 3, 1)),
]


@pytest.mark.parametrize(("function", "shape"), IN_PLACE)
def test_in_place_is_in_place_and_differentiable(function, shape, rng):
    class Statement(nn.Module):
        def __init__(self):
            super().__init__()
            self.function = function

        def forward(self, x):
            h = x * 2.0
            result = self.function(h)
            assert result is h
            return h

    model, x = Statement(), torch.randn(shape, generator=rng).requires_grad_()
    with dk.accelerate(model):
        y = streamed(model, x)
    assert not torch.equal(y, x * 2)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    names = function.__code__.co_names if isinstance(function, FunctionType) else ()
    a, b = alpha(0.3) if any("alpha" in name for name in names) else (1 / 0.7, 0.0)
    dropped = y == torch.tensor(math.fsum((a * VALUE, b)) if b else 0.0)
    slope = torch.where(dropped, 0.0, 2 * a)
    assert 0 < dropped.sum() < y.numel()
    torch.testing.assert_close(gradient, slope)


def test_in_place_on_a_leaf_is_refused_as_torch_does():
    model, x = nn.Dropout(0.3, inplace=True), torch.ones(4, requires_grad=True)
    with dk.accelerate(model), pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        model(x)


def test_modules_that_do_not_heed_inplace_still_do_not():
    model, x = nn.AlphaDropout(0.3, inplace=True), torch.ones(50)
    with dk.accelerate(model):
        assert model(x) is not x
    assert x.all()


@pytest.mark.parametrize(
    ("module", "shape", "coins"),
    [
        (nn.Dropout1d(0.5), (40, 6), (40, 1)),  # a batch of one
        (nn.Dropout2d(0.5), (40, 6), (40, 6)),
        (nn.Dropout2d(0.5), (40, 6, 3), (40, 6, 1)),
        (nn.Dropout3d(0.5), (40, 6, 3, 2), (40, 1, 1, 1)),
        (nn.Dropout3d(0.5), (40, 6, 3), (40, 1, 1)),
    ],
)
def test_unusual_ranks_drop_the_same_axes_and_say_the_same(module, shape, coins):
    x = torch.ones(shape)

    def run():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            return module(x), [str(w.message) for w in caught]

    theirs, said = run()
    with dk.accelerate(module):
        ours, says = run()
    assert says == said
    axes = [axis for axis, n in enumerate(coins) if n == 1]
    for y in (theirs, ours):
        first = y.narrow(axes[0], 0, 1) if axes else y
        assert torch.equal(first.expand_as(y), y)
        assert 0 < (y == 0).sum() < y.numel()


@pytest.mark.parametrize(
    ("module", "x", "text"),
    [
        (nn.Dropout1d(0.5), torch.ones(2, 3, 4, 5), "dropout1d: Expected 2D or 3D input"),
        (nn.FeatureAlphaDropout(0.5), torch.ones(2), "at least 2 dimensions"),
        (Calls(lambda x: torch.feature_dropout(x, 0.5, True)), torch.ones(2), "at least 2 dimensions"),
    ],
)
def test_what_torch_refuses_is_still_refused(module, x, text):
    with dk.accelerate(module), pytest.raises(RuntimeError, match=text):
        module(x)


# A whole model ------------------------------------------------------------------------------------------------


def test_a_model_equals_the_same_written_with_dropkit(rng):
    model, x = Mixed(), torch.randn(64, 6, generator=rng)
    applied = dk.accelerate(model)
    for training in (True, False):
        model.train(training)
        found, expected = [], []
        with dk.random.stream(3) as stream:
            for _ in range(3):
                found.append(model(x))
                stream.advance()
        with dk.random.stream(3) as stream:
            for _ in range(3):
                expected.append(by_hand(model, x))
                stream.advance()
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
        assert not torch.equal(found[0], found[1])  # in eval mode too: one call heeds no flag
    assert [site.id for site in applied.sites] == ["drop", ":dropout#0", "inner:dropout#0", ":dropout#1"]
    assert applied.skipped == ()


def test_without_a_stream_the_seed_decides_and_nothing_else_draws(rng):
    model, x = Mixed(), torch.randn(64, 6, generator=rng)
    with dk.accelerate(model):
        torch.manual_seed(5)
        first = model(x)
        state = torch.get_rng_state()
        torch.manual_seed(5)
        assert torch.equal(model(x), first)
        assert not torch.equal(model(x), first)
        torch.manual_seed(5)
        by_hand(model, x)
        assert torch.equal(torch.get_rng_state(), state)


def test_reverting_restores_everything_bit_for_bit(rng):
    model, x = Mixed(), torch.randn(64, 6, generator=rng)
    model.drop.register_forward_hook(hook := lambda module, args, output: None)

    def outcome():
        torch.manual_seed(3)
        y = model(x)
        return [y, *torch.autograd.grad(y.sum(), list(model.parameters()))]

    before, first, keys = snapshot(model), outcome(), list(model.state_dict())
    applied = dk.accelerate(model)
    assert isinstance(applied, dk.Applied)
    assert applied.model is model
    assert applied.active
    assert list(model.state_dict()) == keys
    assert list(model.drop._forward_hooks.values()) == [hook]
    assert not torch.equal(outcome()[0], first[0])
    applied.revert()
    assert not applied.active
    applied.revert()
    assert_same(before, snapshot(model))
    assert all(torch.equal(a, b) for a, b in zip(outcome(), first, strict=True))


def test_the_context_manager_reverts_even_after_an_error():
    model = Mixed()
    before = snapshot(model)
    with pytest.raises(ZeroDivisionError), dk.accelerate(model) as applied:
        raise ZeroDivisionError
    assert not applied.active
    assert_same(before, snapshot(model))
    assert str(applied).startswith("accelerated: reverted")


def test_rates_flags_and_in_place_are_read_at_every_call():
    model, x = nn.Sequential(nn.Dropout(0.5)), torch.ones(2000)
    with dk.accelerate(model) as applied:
        model[0].p = 0.9
        assert_frequency(model(x) == 0, 0.9)
        assert applied.sites[0].rate == 0.9
        model[0].p = 0
        assert model(x) is x
        model[0].p, model[0].inplace = 1, True
        assert model(y := x * 1) is y
        assert not y.any()
        model[0].eval()
        assert model(x) is x
        model[0].train()
        model[0].p = 1.5
        with pytest.raises(ValueError, match=r"\[0, 1\]"):
            model(x)


def test_a_module_under_two_names_or_called_twice_is_one_site(rng):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Dropout(0.5)
            self.second = self.first
            self.block = Inner(0.5)

        def forward(self, x):
            return self.block(self.second(self.block(self.first(x))))

    model, x = Twice(), torch.randn(50, 6, generator=rng)
    applied = dk.accelerate(model)
    y = streamed(model, x)
    assert [site.id for site in applied.sites] == ["first", "block:dropout#0"]

    def expected(x):
        for _ in range(2):
            x = ops.dropout(x, 0.5, training=True, site="first")
            x = ops.dropout(x, 0.5, training=True, site="block:dropout#0") + 1
        return x

    assert torch.equal(y, streamed(expected, x))


def test_a_subclass_that_keeps_the_forward_is_a_module_and_another_is_watched(rng):
    class Kept(nn.Dropout):
        pass

    class Other(nn.Dropout):
        def forward(self, x):
            return super().forward(x) * 2

    x = torch.ones(50)
    model = nn.Sequential(Kept(0.5), Other(0.5))
    with dk.accelerate(model) as applied:
        y = streamed(model, x)
        assert [(site.id, site.type) for site in applied.sites] == [("0", "Kept"), ("1:dropout#0", "Other")]
    expected = streamed(ops.dropout, x, 0.5, training=True, site="0")
    assert torch.equal(y, 2 * streamed(ops.dropout, expected, 0.5, training=True, site="1:dropout#0"))


def test_the_root_itself_may_be_the_dropout():
    model, x = nn.Dropout(0.5), torch.ones(50)
    with dk.accelerate(model) as applied:
        assert [site.id for site in applied.sites] == [":output"]
        assert torch.equal(streamed(model, x), streamed(ops.dropout, x, 0.5, training=True, site=":output"))


def test_dropout_in_modules_that_are_not_registered_is_reached():
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = [nn.Dropout(0.5)]
            self.drop = nn.Dropout(0.1)

        def forward(self, x):
            return self.layers[0](x)

    model, x = Hidden(), torch.ones(50)
    with dk.accelerate(model) as applied:
        y = streamed(model, x)
    assert [site.id for site in applied.sites] == ["drop", ":dropout#0"]
    assert torch.equal(y, streamed(ops.dropout, x, 0.5, training=True, site=":dropout#0"))


def test_functions_that_hooks_call_are_reached_in_models_of_torch_only():
    model, x = nn.Sequential(nn.Identity(), nn.Dropout(0.0)), torch.ones(50)
    model[0].register_forward_hook(lambda module, args, output: F.dropout(output, 0.5))
    with dk.accelerate(model) as applied:
        y = streamed(model, x)
    assert [site.id for site in applied.sites] == ["1", ":dropout#0"]
    assert torch.equal(y, streamed(ops.dropout, x, 0.5, training=True, site=":dropout#0"))


def test_dropkits_own_modules_are_left_alone(rng):
    model = nn.Sequential(dk.nn.Dropout(0.5, site="a"), nn.Dropout(0.5))
    before = snapshot(model[0])
    with dk.accelerate(model) as applied:
        assert [site.id for site in applied.sites] == ["1"]
        assert_same(before, snapshot(model[0]))


@pytest.mark.parametrize("flag", [True, False])
def test_each_module_follows_its_own_training_flag(flag, rng):
    model, x = Mixed(), torch.randn(20, 6, generator=rng)
    with dk.accelerate(model):
        model.eval()
        model.inner.train(flag)
        y = streamed(model, x)

    def expected():
        h = ops.dropout(model.one(x), 0.3, training=flag, site="inner:dropout#0") + 1
        return ops.dropout(torch.tanh(h), 0.3, training=True, site=":dropout#1")

    assert torch.equal(y, streamed(expected))


# What is known of torch ---------------------------------------------------------------------------------------


def test_of_torchs_own_modules_those_that_call_a_function_that_drops_are_known():
    """Else a model made of them would drop where no mode looks."""
    found = set()
    for name in dir(nn):
        cls = getattr(nn, name)
        if isinstance(cls, type) and issubclass(cls, nn.Module) and "forward" in vars(cls):
            names = set(cls.forward.__code__.co_names)
            if names & {function.__name__ for function in CALLS}:
                found.add(name)
    dropouts = {cls.__name__ for cls, *_ in MODULES}
    assert dropouts < found
    others = {"MultiheadAttention", "LSTM", "GRU", "RNN", "Transformer", "TransformerDecoderLayer"}
    assert found - dropouts <= others | {"TransformerEncoderLayer"}, "a new module of torch's drops"
    for module in (nn.MultiheadAttention(2, 1), nn.LSTM(2, 2), nn.GRU(2, 2), nn.RNN(2, 2)):
        assert built_in(module)
        assert own_function(module) in {function.__name__ for function in CALLS}


@pytest.mark.parametrize(
    ("model", "expected"),
    [(Mixed(), True), (Inner(0.1), True), (MLP(), False), (CNN(), False), (DropPath(0.1), False)],
)
def test_what_code_mentions(model, expected):
    assert Mentions().dropout(model) is expected
