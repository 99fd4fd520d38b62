"""Ensembles: every network once and of equal weight, whatever kind of model it comes from."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import dropkit as dk
from dropkit.core import ConfigError, DataError, NoMatchError, PlanError
from dropkit.random import child_seed, stream


def net(rate=0.5):
    return nn.Sequential(
        nn.Linear(4, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(rate), nn.Linear(64, 3)
    ).double()


def plain():
    return nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 3)).double()


def masked(members=4):
    return nn.Sequential(
        nn.Linear(4, 8), dk.nn.Masksembles(8, members, 2.0, seed=1), nn.Linear(8, 3)
    ).double()


def plan_of_another():
    return dk.plan(nn.Sequential(nn.Tanh()), [dk.Rule(at="0", rate=0.1)])


@pytest.fixture
def x(rng):
    return torch.randn(7, 4, generator=rng, dtype=torch.float64)


def outputs_of(models, x):
    with torch.no_grad():
        return torch.stack([copy.deepcopy(model).eval()(x) for model in models])


def test_models_as_they_are(x):
    models = [net().train() for _ in range(3)]
    before = [copy.deepcopy(model.state_dict()) for model in models]
    got = dk.ensemble(models).predict(x, keep_members=True)
    expected = outputs_of(models, x)
    torch.testing.assert_close(got.members, expected, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(got.mean, expected.mean(0), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(got.variance, expected.var(0), rtol=1e-9, atol=1e-14)
    torch.testing.assert_close(got.standard_error, (expected.var(0) / 3).sqrt(), rtol=1e-9, atol=1e-14)
    assert got.n_members == 3
    for model, state in zip(models, before, strict=True):
        assert model.training
        assert all(torch.equal(model.state_dict()[key], value) for key, value in state.items())


def test_classes(x):
    models = [net() for _ in range(3)]
    got = dk.ensemble(models).predict(x, task="classification")
    p = outputs_of(models, x).softmax(-1)
    mean, entropies = p.mean(0), -(p * p.log()).sum(-1)
    torch.testing.assert_close(got.mean, mean, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(got.entropy, -(mean * mean.log()).sum(-1), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(got.expected_entropy, entropies.mean(0), rtol=1e-12, atol=1e-14)
    ready = dk.ensemble([nn.Sequential(model, nn.Softmax(-1)) for model in models])
    other = ready.predict(x, task="classification", outputs="probabilities")
    torch.testing.assert_close(other.mutual_information, got.mutual_information)


def test_a_loader_is_its_concatenation(x):
    models = [net() for _ in range(2)]
    whole = dk.ensemble(models).predict(x, task="classification", keep_members=True)
    loader = DataLoader(TensorDataset(x, torch.arange(7)), batch_size=3)
    parts = dk.ensemble(models).predict(loader, task="classification", keep_members=True)
    for name in ("members", "mean", "variance", "mutual_information"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["masksembles", "batch ensemble", "both"])
def test_members_inside_a_model_are_members(kind, x):
    model = {
        "masksembles": masked,
        "batch ensemble": lambda: nn.Sequential(dk.nn.BatchEnsemble(nn.Linear(4, 3), 4, "normal")).double(),
        "both": lambda: nn.Sequential(masked(2), dk.nn.BatchEnsemble(nn.Linear(3, 3), 3, "normal")).double(),
    }[kind]()
    inside = {"both": 6}.get(kind, 4)
    got = dk.ensemble([model, plain()]).predict(x, keep_members=True)
    assert got.n_members == inside + 1
    with torch.no_grad():
        expected = []
        for member in range(inside):
            with stream(0, rank=0, member=member, shared_axis=(0, 7)):
                expected.append(model.eval()(x))
        # the layout that the layers document: each input once a member, side by side
        rows = model(x.repeat_interleave(inside, 0)).unflatten(0, (-1, inside)).transpose(0, 1)
    torch.testing.assert_close(got.members[:inside], torch.stack(expected), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(got.members[:inside], rows, rtol=1e-12, atol=1e-14)
    assert len({tuple(member.flatten().tolist()) for member in got.members[:inside]}) == inside


def test_thinned_networks_of_every_model(x, seed):
    models = [net(0.4), net(0.6)]
    ensemble = dk.ensemble(models)
    got = ensemble.predict(x, members=5, seed=seed, keep_members=True)
    assert got.n_members == 10
    for index, model in enumerate(models):
        alone = dk.predict(model, x, members=5, seed=child_seed(seed, f"model {index}"), keep_members=True)
        torch.testing.assert_close(
            got.members[5 * index : 5 * index + 5], alone.members, rtol=1e-9, atol=1e-12
        )
    again = dk.predict(ensemble, x, members=5, seed=seed, keep_members=True)
    assert torch.equal(again.members, got.members)
    assert not torch.equal(ensemble.predict(x, members=5, seed=seed + 1).mean, got.mean)


def test_a_model_that_does_not_drop_is_as_many_equal_networks(x, seed):
    fixed = plain()
    got = dk.ensemble([fixed, net()]).predict(x, members=4, seed=seed, keep_members=True)
    assert got.n_members == 8
    expected = outputs_of([fixed], x)[0]
    torch.testing.assert_close(got.members[:4], expected.expand(4, 7, 3), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(got.mean, got.members.mean(0))
    torch.testing.assert_close(got.variance, got.members.var(0))


def test_members_inside_a_model_are_gone_through_again_where_more_are_asked_for(x, seed):
    model = masked(4)
    got = dk.ensemble([model, net()]).predict(x, members=6, seed=seed, keep_members=True)
    assert got.n_members == 12
    inside = dk.ensemble([model]).predict(x, keep_members=True).members
    torch.testing.assert_close(got.members[:6], inside[[0, 1, 2, 3, 0, 1]], rtol=1e-9, atol=1e-12)


def test_one_model_with_several_patterns_of_dropout(x, seed):
    model = plain()
    plans = [
        dk.plan(model, [dk.Rule(at="hidden", rate=rate, variant=variant)])
        for rate, variant in ((0.2, "dropout"), (0.7, "dropout"), (0.3, "gaussian_dropout"))
    ]
    ensemble = dk.ensemble([(model, plan) for plan in plans])
    got = ensemble.predict(x, members=1, seed=seed, keep_members=True)
    for index, plan in enumerate(plans):
        other = copy.deepcopy(model)
        plan.apply(other)
        alone = dk.predict(other, x, members=1, seed=child_seed(seed, f"model {index}"), keep_members=True)
        torch.testing.assert_close(got.members[index], alone.members[0], rtol=1e-9, atol=1e-12)
    assert not dk.surgery.attached(model)
    with pytest.raises(
        NoMatchError, match=r"outputs of all 3 networks are equal: .* give members= and seed="
    ):
        ensemble.predict(x)
    plans[0].apply(model)  # a plan that is attached already is not attached again
    torch.testing.assert_close(
        dk.ensemble([(model, plans[0])]).predict(x, members=3, seed=seed).mean,
        dk.predict(model, x, members=3, seed=child_seed(seed, "model 0")).mean,
    )


def test_predict_takes_an_ensemble_that_does_not_drop(x, seed):
    models = [plain() for _ in range(3)]
    got = dk.predict(dk.ensemble(models), x, seed=seed, task="classification")
    assert got.n_members == 3
    torch.testing.assert_close(got.mean, dk.ensemble(models).predict(x, task="classification").mean)
    with pytest.raises(ConfigError, match="equally many members; leave out tolerance"):
        dk.predict(dk.ensemble(models), x, seed=seed, tolerance=0.1)
    with pytest.raises(ConfigError, match="task must be"):
        dk.predict(dk.ensemble(models), x, seed=seed, task="ranking")


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("mode", ["auto", "vmap", "expand", "loop"])
def test_options_are_of_each_model(mode, share, x, seed):
    models = [net(0.4), net(0.6)]
    options = {"share_masks": share, "mode": mode, "memory": 10**6, "keep_members": True, "members": 5}
    got = dk.predict(dk.ensemble(models), x, seed=seed, **options)
    alone = [dk.predict(m, x, seed=child_seed(seed, f"model {k}"), **options) for k, m in enumerate(models)]
    expected = torch.cat([prediction.members for prediction in alone])
    torch.testing.assert_close(got.members, expected, rtol=1e-9, atol=1e-12)
    assert mode == "auto" or got.mode == mode
    loader = DataLoader(x, batch_size=3)
    parts = dk.predict(dk.ensemble(models), loader, seed=seed, progress=False, **options)
    torch.testing.assert_close(parts.members, got.members, rtol=1e-9, atol=1e-12)
    with pytest.raises(ConfigError, match="one member needs about"):
        dk.predict(dk.ensemble(models), x, seed=seed, memory=10)


def test_logits_that_are_called_probabilities(x, seed):
    ensemble = dk.ensemble([net(), net()])
    for options in ({}, {"members": 2, "seed": seed}):
        with pytest.raises(DataError, match=r"outputs='probabilities' must be in \[0, 1\]"):
            ensemble.predict(100 * x, task="classification", outputs="probabilities", **options)


def test_regression_and_dicts(x):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 2), nn.Linear(4, 1)

        def forward(self, x, *, scale):
            return {"a": self.a(x) * scale, "b": self.b(x)}

    models = [Two().double() for _ in range(3)]
    got = dk.ensemble(models).predict(x, scale=2.0, task="regression", keep_members=True)
    assert set(got) == {"a", "b"}
    expected = torch.stack([model(x, scale=2.0)["a"] for model in models])
    torch.testing.assert_close(got["a"].members, expected)
    target = torch.zeros(7, 2, dtype=torch.float64)
    density = torch.distributions.Normal(expected, math.sqrt(0.5)).log_prob(target).sum(-1).exp().mean(0)
    torch.testing.assert_close(got["a"].log_likelihood(target, noise=0.5), density.log())


@pytest.mark.parametrize(
    ("make", "options", "error", "text"),
    [
        (list, {}, ConfigError, "at least one model, got none"),
        (
            lambda: [plain(), 3],
            {},
            ConfigError,
            "member 1 of an ensemble must be a model or a pair .*, got int",
        ),
        (lambda: [(plain(), "plan")], {}, ConfigError, "member 0 of an ensemble must be"),
        (
            lambda: [plain(), plain()],
            {"members": 3, "seed": 1},
            NoMatchError,
            "no model of the ensemble drops",
        ),
        (lambda: [plain()], {"members": 3}, ConfigError, "members and seed belong together"),
        (lambda: [plain()], {"seed": 3}, ConfigError, "members and seed belong together"),
        (lambda: [net()], {"members": 0, "seed": 1}, ConfigError, "members must be a whole number"),
        (lambda: [plain()], {"task": "ranking"}, ConfigError, "task must be"),
        (lambda: [plain()], {"outputs": "logit"}, ConfigError, "outputs must be"),
        (lambda: [plain()], {"batch_dim": 4}, DataError, "no axis 4"),
        (
            lambda: [plain(), nn.Linear(4, 2).double()],
            {},
            DataError,
            r"\(7, 2\) from model 1 and .*\(7, 3\)",
        ),
        (lambda: [plain()] * 2, {}, NoMatchError, "outputs of all 2 networks are equal"),
        (
            lambda: [(net(), dk.plan(nn.Sequential(nn.Tanh()), [dk.Rule(at="0", rate=0.1)]))],
            {},
            PlanError,
            "planned for",
        ),
    ],
)
def test_bad_input(make, options, error, text, x):
    with pytest.raises(error, match=text):
        dk.ensemble(make()).predict(x, **options)


@pytest.mark.parametrize("members", [None, 3, plain()])
def test_an_ensemble_is_made_of_several(members):
    with pytest.raises(ConfigError, match="is made of a list of models, got a"):
        dk.ensemble(members)


def test_other_lists_and_pairs_without_a_plan(x):
    models = [plain() for _ in range(3)]
    expected = dk.ensemble(models).predict(x).mean
    for given in (nn.ModuleList(models), (model for model in models), dk.ensemble(models).parts):
        assert torch.equal(dk.ensemble(given).predict(x).mean, expected)
    with pytest.raises(DataError, match=r"the inputs hold no sample, got shape \(0, 4\)"):
        dk.ensemble(models).predict(x[:0])
    with pytest.raises(DataError, match="outputs are NaN or infinite for all samples"):
        dk.ensemble(models).predict(x * torch.nan)


def test_an_empty_loader():
    loader = DataLoader(torch.zeros(0, 4))
    with pytest.raises(DataError, match="the DataLoader is empty"):
        dk.ensemble([plain()]).predict(loader)
