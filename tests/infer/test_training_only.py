"""Sites that eval mode hides, inputs that the model writes to, and whatever else must not fool a prediction."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import dropkit as dk
from dropkit.core import ConfigError, DataError, NoMatchError, PlanError

MODES = ("auto", "vmap", "expand", "loop")


class Branch(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.norm, self.c = nn.Linear(6, 64), nn.BatchNorm1d(64), nn.Linear(64, 3)
        self.often, self.always = nn.Dropout(0.5), nn.Dropout(0.1)

    def forward(self, x):
        h = self.norm(self.a(x))
        if self.training:
            h = self.often(F.dropout(h, 0.4))
        return self.c(self.always(h))


@pytest.mark.parametrize("mode", MODES)
def test_a_site_that_only_training_mode_comes_to_is_sampled(mode, seed):
    model, x = Branch().double(), torch.linspace(-1, 1, 42, dtype=torch.float64).view(7, 6)
    kept = dk.predict(model, x, seed=seed, members=600, mode=mode, keep_members=True).members
    h = model.eval().norm(model.a(x))
    share = 0.6 * 0.5 * 0.9  # of the units that all three keep
    second = (h**2 / share - h**2) @ (model.c.weight**2).T
    assert torch.allclose(
        kept.var(0), second, rtol=0.5
    )  # a chi-square of 599 degrees of freedom: 8 of its sd
    assert int(model.norm.num_batches_tracked) == 0


def test_a_site_that_cannot_be_reached_is_named(seed):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.d, self.switch = nn.Dropout(0.5), nn.Identity()

        def forward(self, x):
            return self.d(x) if self.switch.training else x

    with pytest.raises(PlanError, match="site 'd' drops in training mode, and cannot be made to"):
        dk.predict(Net(), torch.ones(5, 3), seed=seed)


def test_a_site_that_stays_in_eval_mode_is_not_told_to_raise_its_rate(seed):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(3, 3)
            self.hidden = [nn.Dropout(0.5).eval()]

        def forward(self, x):
            return self.hidden[0](self.first(x))

    with pytest.raises(NoMatchError, match=r"do not drop: .* \(rate 0.5\); .* let the flag `training`"):
        dk.predict(Net(), torch.ones(5, 3), seed=seed)


class Numbered(nn.Module):
    """One site is hidden by eval mode; another has a name that begins with its name."""

    def __init__(self, functional):
        super().__init__()
        self.drop, self.drop2 = nn.Dropout(0.5), nn.Dropout(0.1)
        self.functional = functional

    def forward(self, x):
        if self.functional:
            for number in range(11):
                if self.training or number != 1:
                    x = F.dropout(x, 0.5 if number == 1 else 0.01, training=True)
            return x
        return self.drop2(self.drop(x) if self.training else x)


@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_a_site_whose_name_begins_another_is_not_taken_for_it(functional, mode, seed):
    x = torch.ones(3, 200)
    got = dk.predict(Numbered(functional), x, seed=seed, members=40, mode=mode, keep_members=True)
    kept = (got.members != 0).double().mean().item()
    assert kept < 0.65  # 0.45 of 8,000 units; 0.9 without the hidden site


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("first", [nn.Dropout(0.5, inplace=True), nn.ReLU(inplace=True)])
def test_inputs_stay_as_they_are_though_the_model_writes_to_them(mode, first, seed):
    model = nn.Sequential(first, nn.Dropout(0.5), nn.Linear(6, 3)).double()
    x = torch.linspace(-1, 1, 42, dtype=torch.float64).view(7, 6)
    before = x.clone()
    try:
        got = dk.predict(model, x, seed=seed, members=8, mode=mode, keep_members=True)
    except ConfigError:
        assert mode == "vmap"  # which knows no writing
    else:
        clean = dk.predict(model, x.clone(), seed=seed, members=8, mode="loop", keep_members=True)
        torch.testing.assert_close(got.members, clean.members)
    assert torch.equal(x, before)


class Floats(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x).double()


def sampled():
    return [v for v in dk.catalogue() if v.samples and v.module is not None and v.kind == "module"]


@pytest.mark.parametrize("entry", sampled(), ids=lambda entry: entry.name)
def test_modules_that_may_stay_random_are_sampled(entry, seed):
    module, given = entry.example()
    if isinstance(given, torch.Tensor):
        with torch.no_grad():
            module.train()
            scheduled = isinstance(getattr(module, "rate", None), dk.random.Schedule)
            if (
                given.is_floating_point()
                and not scheduled
                and len({module(given).double().sum().item() for _ in range(20)}) == 1
            ):
                pytest.skip("its example is not random")
        with dk.random.stream(0, step=50):  # where a schedule is asked
            got = dk.predict(Floats(module), given, seed=seed, members=40, share_masks=False, mode="loop")
        assert (got.variance > 0).any()


@pytest.mark.parametrize("weights", [True, False])
def test_attention_has_its_batch_first_wherever_the_model_has_it(weights, seed):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.m = nn.MultiheadAttention(6, 2, dropout=0.5)

        def forward(self, x):
            return self.m(x, x, x, need_weights=weights)[0]

    for samples in (2, 4):  # as many as heads, or not
        same = torch.randn(5, 1, 6).repeat(1, samples, 1)
        got = dk.predict(Net(), same, seed=seed, members=4, batch_dim=1, keep_members=True).members
        torch.testing.assert_close(got, got[:, :, :1].expand_as(got))
        assert (got.var(0) > 0).any()


@pytest.mark.parametrize("shape", [(7,), (7, 1)])
def test_a_classification_has_a_column_for_each_class(shape, seed):
    model = nn.Sequential(
        nn.Dropout(0.5), nn.Linear(6, 1), nn.Flatten(0) if len(shape) == 1 else nn.Identity()
    )
    with pytest.raises(DataError, match=r"has shape .* needs a column for each class"):
        dk.predict(model, torch.ones(7, 6), seed=seed, task="classification")
