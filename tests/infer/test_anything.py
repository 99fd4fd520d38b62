"""Models that the code of torch makes hard to look into."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import dropkit as dk

X = torch.linspace(-1, 1, 24).view(4, 6)


def scripted(*layers):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that TorchScript is deprecated
        return torch.jit.script(nn.Sequential(*layers))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("mode", ["auto", "loop", "expand"])
def test_torchscript_without_dropout_is_sampled_through(mode, training, seed):
    inner = scripted(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Tanh()).train(training)
    model = nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.5), inner, nn.Linear(6, 3)).train(training)
    plain = nn.Sequential(*model[:2], nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Tanh(), model[3])
    plain[2].load_state_dict(inner[0].state_dict())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found, expected = (dk.predict(m, X, seed=seed, members=40, mode=mode) for m in (model, plain))
    torch.testing.assert_close(found.mean, expected.mean)
    torch.testing.assert_close(found.variance, expected.variance)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
    assert all(module.training == training for module in inner.modules())


def test_a_plan_leaves_the_mode_of_torchscript_alone():
    inner = scripted(nn.Linear(6, 6), nn.BatchNorm1d(6))
    model = nn.Sequential(inner, nn.ReLU(), nn.Linear(6, 3)).train()
    inner.eval()
    before = inner[1].running_mean.clone()
    dk.plan(model, [dk.Rule(at="hidden")], example_inputs=X)
    assert not any(module.training for module in inner.modules())
    assert torch.equal(inner[1].running_mean, before)


@pytest.mark.parametrize("error", [AssertionError, IndexError, RuntimeError])
def test_a_model_that_knows_its_batch_runs_as_it_can(error, seed):
    class Exact(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.drop, self.out = nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 3)

        def forward(self, x):
            if len(x) != 4:
                raise error("four samples are wanted")
            return self.out(self.drop(self.fc(x)) * (float(x.detach().sum()) if x.ndim > 2 else 1.0))

    model = Exact().eval()
    options = {"seed": seed, "members": 40, "keep_members": True}
    loop = dk.predict(model, X, mode="loop", **options)
    torch.testing.assert_close(dk.predict(model, X, **options).members, loop.members)
    with pytest.raises(dk.ConfigError, match="'expand': four samples are wanted; use mode='auto'"):
        dk.predict(model, X, mode="expand", **options)


class Expert(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.fc, self.drop, self.how = nn.Linear(6, 6), nn.Dropout(0.5), how

    def forward(self, x):
        x = self.fc(x)
        if self.how == "module":
            return self.drop(x)
        if self.how == "call":
            return F.dropout(x, 0.5, self.training)
        return F.dropout(x, 0.5) if self.training else x


class Routed(nn.Module):
    """Sends each sample to the expert that it names."""

    def __init__(self, how):
        super().__init__()
        self.experts = nn.ModuleList(Expert(how) for _ in range(3))

    def forward(self, x):
        y = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            rows = (x[:, 0].long() == i).nonzero()[:, 0]
            if len(rows):
                y = y.index_add(0, rows, expert(x[rows]))
        return y


class Crowded(nn.Module):
    """Drops where there are many samples."""

    def __init__(self):
        super().__init__()
        self.fc, self.drop = nn.Linear(6, 6), nn.Dropout(0.5)

    def forward(self, x):
        x = self.fc(x)
        return F.dropout(self.drop(x) if len(x) > 3 else x, 0.5 if len(x) > 3 else 0.0, self.training)


@pytest.mark.parametrize("how", ["module", "call", "branch"])
def test_every_expert_drops_though_few_samples_are_looked_at(how, seed):
    x = torch.cat([torch.tensor([[0.0], [0.0], [1.0], [1.0], [2.0]]), torch.linspace(1, 2, 25).view(5, 5)], 1)
    model = Routed(how).eval()
    options = {"members": 60, "share_masks": False, "keep_members": True, "seed": seed}
    whole = dk.predict(model, x, **options)
    assert (whole.variance > 0).any(1).all()
    parts = torch.utils.data.DataLoader(x, batch_size=2)
    assert (dk.predict(model, parts, **options).variance > 0).any(1).all()


def test_what_only_many_samples_lead_to_drops(seed):
    model = Crowded().eval()
    found = dk.predict(model, X, seed=seed, members=4000, share_masks=False)
    expected = model.fc(X).detach().square() * 3
    torch.testing.assert_close(found.variance, expected, rtol=0.6, atol=0.0)


def test_what_chance_leads_to_is_refused(seed):
    class Wandering(nn.Module):
        calls = 0

        def __init__(self):
            super().__init__()
            self.drop, self.experts = nn.Dropout(0.5), nn.ModuleList([Expert("call"), Expert("call")])

        def forward(self, x):
            Wandering.calls += 1
            return self.experts[Wandering.calls % 2](self.drop(x))

    with pytest.raises(dk.PlanError, match=r"did not come to 'experts\.\d.*depend on the inputs alone"):
        dk.predict(Wandering().eval(), X, seed=seed, members=8, mode="loop")


class Descending(nn.Module):
    """Takes a step against the gradient of an energy, in its forward."""

    def __init__(self):
        super().__init__()
        self.fc, self.drop, self.out = nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 1)

    def forward(self, x):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            energy = self.out(torch.tanh(self.drop(self.fc(x)))).sum()
            (gradient,) = torch.autograd.grad(energy, x)
        return x - gradient


@pytest.mark.parametrize("share_masks", [True, False])
def test_gradients_of_the_forward_s_own_are_computed(share_masks, seed):
    model = Descending().eval()
    options = {"seed": seed, "members": 4000, "share_masks": share_masks}
    found = dk.predict(model, X, **options)
    assert not found.mean.requires_grad
    assert (found.variance > 0).any()
    plain = torch.stack([model.train()(X).detach() for _ in range(4000)])
    error = ((plain.var(0) + found.variance) / 4000).sqrt()
    assert ((plain.mean(0) - found.mean).abs() <= 7 * error).all()


class Helper(nn.Module):
    """Drops at the rate that it is given."""

    def __init__(self, how):
        super().__init__()
        self.how = how

    def forward(self, x, rate):
        if self.how == "flag":
            return F.dropout(x, rate, self.training)
        if self.how == "rate":
            return F.dropout(x, rate if self.training else 0.0)
        return F.dropout(x, rate) if self.training else x


class Helped(nn.Module):
    """Calls one helper with several rates."""

    def __init__(self, how, rates):
        super().__init__()
        self.helper, self.rates = Helper(how), rates

    def forward(self, x):
        return torch.stack([self.helper(x, rate) for rate in self.rates], 1)


@pytest.mark.parametrize("how", ["flag", "rate", "branch"])
@pytest.mark.parametrize("rates", [(0.1, 0.8), (0.0, 0.5, 0.0), (0.3, 0.3)])
def test_every_call_of_a_helper_has_its_own_rate(how, rates, seed):
    found = dk.predict(
        Helped(how, rates).eval(), X + 3, seed=seed, members=2000, share_masks=False, keep_members=True
    )
    dropped = (found.members == 0).flatten(3).float().mean((0, 1, 3))
    wanted = torch.tensor(rates)
    error = (wanted * (1 - wanted) / (2000 * X.numel())).sqrt()
    assert ((dropped - wanted).abs() <= 5.2 * error).all()


def test_a_rate_that_the_batch_decides_is_that_of_the_batch(seed):
    class Heated(nn.Module):
        def forward(self, x):
            return F.dropout(x, float(x.max()), self.training)

    x = torch.tensor([0.1, 0.1, 0.1, 0.9]).view(4, 1).expand(4, 500)
    found = dk.predict(Heated().eval(), x, seed=seed, members=8, keep_members=True)
    dropped = (found.members == 0).float().mean()
    assert abs(dropped - 0.9) <= 5.2 * (0.9 * 0.1 / 4000) ** 0.5
