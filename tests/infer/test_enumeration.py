"""Exact averages over all masks: against masks written out by hand, against theory, and against Monte Carlo."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import nn

import dropkit as dk
from dropkit.core import ConfigError, DataError, NoMatchError, StreamError
from tests.laws import FALSE_ALARM


@pytest.fixture
def x(rng):
    return torch.randn(5, 4, generator=rng, dtype=torch.float64)


def two_sites():
    return nn.Sequential(
        nn.Linear(4, 3), nn.Dropout(0.3), nn.Tanh(), dk.nn.Dropout(0.6), nn.Linear(3, 3)
    ).double()


def by_hand(model, x):
    """Return outputs and probabilities over the masks of two sites of 3 units each."""
    outputs, weights = [], []
    for bits in itertools.product((0.0, 1.0), repeat=6):
        first, second = torch.tensor(bits[:3]).double(), torch.tensor(bits[3:]).double()
        with torch.no_grad():
            outputs.append(model[4](torch.tanh(model[0](x) * first / 0.7) * second / 0.4))
        kept, later = int(first.sum()), int(second.sum())
        weights.append(0.7**kept * 0.3 ** (3 - kept) * 0.4**later * 0.6 ** (3 - later))
    return torch.stack(outputs), torch.tensor(weights, dtype=torch.float64)


def test_it_is_the_average_over_masks_written_out(x):
    model = two_sites()
    outputs, weights = by_hand(model, x)
    w = weights[:, None, None]
    raw = dk.infer.enumerate_masks(model, x)
    mean = (w * outputs).sum(0)
    torch.testing.assert_close(raw.mean, mean, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(raw.variance, (w * (outputs - mean) ** 2).sum(0), rtol=1e-10, atol=1e-14)
    assert raw.units == {"1": 3, "3": 3}
    assert raw.n_masks == 64
    got = dk.infer.enumerate_masks(model, x, task="classification")
    p = outputs.softmax(-1)
    mean = (w * p).sum(0)
    entropies = -(p * p.log()).sum(-1)
    torch.testing.assert_close(got.mean, mean, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(got.entropy, -(mean * mean.log()).sum(-1), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(
        got.expected_entropy, (weights[:, None] * entropies).sum(0), rtol=1e-12, atol=1e-14
    )
    torch.testing.assert_close(got.mutual_information, got.entropy - got.expected_entropy)
    geometric = (p**w).prod(0)
    torch.testing.assert_close(
        got.geometric_mean, geometric / geometric.sum(-1, keepdim=True), rtol=1e-10, atol=0
    )
    torch.testing.assert_close(
        got.geometric_mean, dk.infer.geometric_mean(p, 7 * weights), rtol=1e-12, atol=0
    )


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("scaling", ["train", "test"])
def test_for_one_softmax_layer_the_geometric_mean_is_weight_scaling(rate, scaling, x):
    model = nn.Sequential(dk.nn.Dropout(rate, scaling=scaling), nn.Linear(4, 3)).double().eval()
    got = dk.infer.enumerate_masks(model, x, task="classification")
    with torch.no_grad():
        scaled = model(x).softmax(-1)
    torch.testing.assert_close(got.geometric_mean, scaled, rtol=1e-12, atol=0)
    assert (got.mean - scaled).abs().max() > 1e-6  # the arithmetic mean is another one


def test_through_a_nonlinearity_it_is_only_near(x):
    model = two_sites().eval()
    got = dk.infer.enumerate_masks(model, x, task="classification")
    with torch.no_grad():
        assert (got.geometric_mean - model(x).softmax(-1)).abs().max() > 1e-6


def test_for_a_linear_network_weight_scaling_is_the_mean(x):
    model = nn.Sequential(nn.Dropout(0.2), nn.Linear(4, 3), nn.Dropout(0.7), nn.Linear(3, 2)).double().eval()
    with torch.no_grad():
        torch.testing.assert_close(dk.infer.enumerate_masks(model, x).mean, model(x), rtol=1e-12, atol=1e-14)


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 5), nn.Linear(5, 2)

    def forward(self, x):
        return self.b(F.dropout(torch.relu(self.a(x)), 0.3, self.training))


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.drop = nn.Linear(4, 4), nn.Dropout(0.4)

    def forward(self, x):
        return self.drop(self.a(self.drop(x)))


class Looks(nn.Module):
    """Cannot run under vmap."""

    def __init__(self):
        super().__init__()
        self.a, self.drop = nn.Linear(4, 3), nn.Dropout(0.4)

    def forward(self, x):
        h = self.drop(self.a(x))
        return h if h.sum().item() > 0 else -h


class Branch(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.path = nn.Linear(4, 4), dk.nn.DropPath(0.3)

    def forward(self, x):
        return x + self.path(self.a(x))


def planned():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    dk.plan(model, [dk.Rule(at="hidden", rate=0.25)]).apply(model)
    return model


MODELS = {
    "functional": (Functional, {"dropout#0": 5}),
    "twice": (Twice, {"drop": 8}),
    "looks": (Looks, {"drop": 3}),
    "paths": (lambda: nn.Sequential(Branch(), Branch(), nn.Linear(4, 2)), {"0.path": 1, "1.path": 1}),
    "plan": (planned, {"1": 6}),
    "channels": (
        lambda: nn.Sequential(
            nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 5, 1), nn.Dropout2d(0.3), nn.Flatten()
        ),
        {"2": 5},
    ),
    "weights": (lambda: nn.Sequential(dk.nn.DropConnect(nn.Linear(4, 2), 0.3), nn.Tanh()), {"0": 8}),
}


@pytest.mark.parametrize("name", MODELS)
def test_many_kinds_of_model_agree_with_monte_carlo(name, x, seed):
    make, units = MODELS[name]
    model = make().double().eval()
    got = dk.infer.enumerate_masks(model, x)
    assert {site.lstrip(":"): count for site, count in got.units.items()} == units
    members = 600
    drawn = dk.predict(model, x, members=members, seed=seed, keep_members=True)
    values = drawn.members
    # Bernstein's inequality, which needs only a bound on a member's distance from the mean
    reach = (values - got.mean).abs().amax() * 3
    log = math.log(2 * got.mean.numel() / FALSE_ALARM)
    bound = (2 * got.variance * log / members).sqrt() + reach * log / members
    assert ((drawn.mean - got.mean).abs() <= bound).all()
    assert (bound < 3 * got.variance.max().sqrt()).all()
    assert (got.variance > 0).any()


def test_the_model_is_as_it_was_and_vmap_changes_nothing(x):
    model = two_sites().train()
    before = torch.get_rng_state()
    got = dk.infer.enumerate_masks(model, x)
    assert model.training
    assert model[1].training
    assert "forward" not in vars(model[1])
    assert torch.equal(torch.get_rng_state(), before)

    class Slow(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, x):
            y = self.inner(x)
            y.sum().item()  # which vmap cannot do
            return y

    slow = dk.infer.enumerate_masks(Slow(), x)
    torch.testing.assert_close(slow.mean, got.mean, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(slow.variance, got.variance, rtol=1e-12, atol=1e-14)


def test_monte_carlo_agrees_with_the_exact_average_over_ten_units(x, seed):
    model = nn.Sequential(nn.Linear(4, 10), nn.Tanh(), nn.Dropout(0.3), nn.Linear(10, 3)).double()
    exact = dk.infer.enumerate_masks(model, x, task="classification")
    assert exact.n_masks == 2**10
    members = 4000
    drawn = dk.predict(model, x, members=members, seed=seed, task="classification")
    # Hoeffding's inequality: a probability and its square are in [0, 1], an entropy in [0, log 3]
    near = math.sqrt(math.log(2 / (FALSE_ALARM / 30)) / (2 * members))
    assert ((drawn.mean - exact.mean).abs() < near).all()
    assert ((drawn.variance * (members - 1) / members - exact.variance).abs() < 3 * near).all()
    assert ((drawn.expected_entropy - exact.expected_entropy).abs() < math.log(3) * near).all()
    # and within the Monte-Carlo standard errors, which are far smaller
    z = ((drawn.mean - exact.mean) / drawn.standard_error).abs().max()
    assert z < stats.norm.isf(FALSE_ALARM / 30)
    change = (drawn.mean - exact.mean).abs().sum(-1)
    assert (
        (drawn.entropy - exact.entropy).abs() <= change * (1 + math.log(3) - change.clamp(1e-12).log()) + 1e-9
    ).all()


@pytest.mark.parametrize(
    ("make", "options", "error", "text"),
    [
        (lambda: nn.Linear(4, 2), {}, NoMatchError, "the model is not random"),
        (
            lambda: nn.Sequential(nn.Linear(4, 30), nn.Dropout(0.5)),
            {},
            ConfigError,
            r"30 units that are dropped \('1': 30\), more than max_units=20; use dropkit.predict",
        ),
        (two_sites, {"max_units": 5}, ConfigError, "6 units that are dropped"),
        (two_sites, {"max_units": 0}, ConfigError, "max_units must be a whole number of at least 1"),
        (two_sites, {"max_units": "many"}, ConfigError, "max_units must be a whole number of at least 1"),
        (two_sites, {"task": "ranking"}, ConfigError, "task must be"),
        (two_sites, {"batch_dim": 3}, DataError, "no axis 3"),
        (
            lambda: nn.Sequential(dk.nn.GaussianDropout(0.5)),
            {},
            StreamError,
            "site '0' draws more than a mask of",
        ),
        (lambda: nn.LSTM(4, 3, 2, dropout=0.5), {}, DataError, "one floating-point tensor, got a tuple"),
    ],
)
def test_what_cannot_be_enumerated_is_refused(make, options, error, text, x):
    with pytest.raises(error, match=text):
        dk.infer.enumerate_masks(make().double(), x, **options)


def test_classes_must_be_asked_for(x):
    got = dk.infer.enumerate_masks(two_sites(), x)
    for name in ("entropy", "expected_entropy", "mutual_information", "geometric_mean"):
        with pytest.raises(ConfigError, match="task='classification'"):
            getattr(got, name)


def test_given_probabilities(x):
    model = two_sites()
    ready = nn.Sequential(model, nn.Softmax(-1))
    got = dk.infer.enumerate_masks(ready, x, task="classification", outputs="probabilities")
    other = dk.infer.enumerate_masks(model, x, task="classification")
    torch.testing.assert_close(got.geometric_mean, other.geometric_mean)
    torch.testing.assert_close(got.mean, other.mean)


class Gated(nn.Module):
    """One of two sites is hidden by eval mode; the input is in a dict that the forward empties."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Dropout(0.5), nn.Dropout(0.25)

    def forward(self, given):
        x = given.pop("x")
        x.add_(1.0)
        if self.training:
            x = self.first(x)
        return self.second(x)


def test_sites_that_eval_mode_hides_are_enumerated_and_inputs_stay_as_they_are():
    x = torch.arange(6.0, dtype=torch.float64).view(2, 3)
    given, before = {"x": x}, x.clone()
    got = dk.infer.enumerate_masks(Gated(), given)
    assert given["x"] is x
    assert torch.equal(x, before)
    torch.testing.assert_close(got.mean, before + 1)
    # both kept with probability 3 / 8, and then scaled by 8 / 3
    torch.testing.assert_close(got.variance, (before + 1) ** 2 * (8 / 3 - 1))
