"""Monte-Carlo prediction on models that somebody else wrote."""

import copy
import itertools
import math
import threading

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import dropkit as dk
from dropkit.core import ConfigError, DataError, NoMatchError, PlanError, StreamError
from tests.surgery.auditing import models


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.bn, self.b = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)

    def forward(self, x):
        return self.b(F.dropout(torch.relu(self.bn(self.a(x))), 0.4, self.training))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 8)

    def forward(self, x):
        h = self.fc(x)[:, None].expand(-1, 4, -1) + torch.arange(4.0)[:, None]
        rate = 0.3 if self.training else 0.0
        return F.scaled_dot_product_attention(h, h, h.sin(), dropout_p=rate).mean(1)


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 8)
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.2, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, x):
        return self.encoder(
            self.fc(x)[:, None].expand(-1, 3, -1) * torch.tensor([1.0, 2.0, 3.0])[:, None]
        ).sum(1)


class Recurrent(nn.Module):
    def __init__(self, kind=nn.LSTM):
        super().__init__()
        self.rnn = kind(6, 8, 2, dropout=0.3, batch_first=True)

    def forward(self, x):
        return self.rnn(x[:, None].expand(-1, 3, -1))[0][:, -1]


class Ours(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.drop = nn.Linear(6, 8), dk.nn.Dropout(0.3)

    def forward(self, x):
        return dk.ops.dropout(self.drop(self.fc(x)), 0.2, training=self.training)


def modules():
    return nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3), nn.AlphaDropout(0.1)
    )


def conv():
    return nn.Sequential(
        nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 4, 1), nn.Dropout2d(0.3), nn.Flatten(), nn.Linear(24, 2)
    )


class Branch(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.path = nn.Linear(6, 6), models.DropPath(0.4)

    def forward(self, x):
        return x + self.path(self.fc(x))


def path():
    return nn.Sequential(*(Branch() for _ in range(8)))  # so that members hardly ever agree by chance


def planned():
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    dk.plan(model, [dk.Rule(at="hidden", rate=0.4)]).apply(model)
    return model


def accelerated():
    model = modules()
    dk.accelerate(model)
    return model


SAMPLED = [
    modules, conv, path, planned, accelerated, Functional, Attention, Encoder, Ours, Recurrent,
    lambda: Recurrent(nn.GRU), lambda: Recurrent(nn.RNN), lambda: torch.compile(modules()),
]  # fmt: skip
ALL = pytest.mark.parametrize("make", SAMPLED)
VMAPPED = pytest.mark.parametrize(
    "make", [modules, conv, path, planned, Functional, Attention, Encoder, Ours]
)


@pytest.fixture
def x(rng):
    return torch.randn(7, 6, generator=rng, dtype=torch.float64)  # so that rounding hides nothing


def predicted(model, x, seed, **options):
    return dk.predict(model, x, seed=seed, members=options.pop("members", 6), keep_members=True, **options)


@ALL
def test_a_member_is_one_network_whatever_the_batch_order_and_chunks(make, x, seed):
    model = make().double().eval()
    whole = predicted(model, x, seed)
    assert (whole.variance > 0).any()
    order = torch.arange(7).flip(0)
    for other, rows in ((x[:3], slice(3)), (x[order], order)):
        torch.testing.assert_close(
            predicted(model, other, seed).members, whole.members[:, rows], rtol=1e-9, atol=1e-12
        )
    torch.testing.assert_close(
        predicted(model, x, seed, mode="loop").members, whole.members, rtol=1e-9, atol=1e-12
    )
    again = predicted(model, x, seed, mode="loop", members=4)
    torch.testing.assert_close(again.members, whole.members[:4], rtol=1e-9, atol=1e-12)
    assert not torch.equal(predicted(model, x, seed + 1, mode="loop").members, whole.members)


@VMAPPED
@pytest.mark.parametrize("share", [True, False])
def test_every_mode_gives_the_same_members(make, share, x, seed):
    model = make().double().eval()
    loop = predicted(model, x, seed, mode="loop", share_masks=share)
    assert loop.mode == "loop"
    for mode in ("vmap", "expand"):
        other = predicted(model, x, seed, mode=mode, share_masks=share)
        assert other.mode == mode
        torch.testing.assert_close(other.members, loop.members, rtol=1e-9, atol=1e-12)


@ALL
def test_the_model_is_as_it_was(make, x, seed):
    model = make().double()
    model.train(seed % 2 == 0)
    before = copy.deepcopy(model.state_dict()), [m.training for m in model.modules()]
    held = {name: dict(vars(m)) for name, m in model.named_modules()}
    random = torch.get_rng_state()
    predicted(model, x, seed)
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before[0].items())
    assert [m.training for m in model.modules()] == before[1]
    for name, module in model.named_modules():
        assert {k: id(v) for k, v in vars(module).items()} == {k: id(v) for k, v in held[name].items()}
    assert torch.equal(torch.get_rng_state(), random)


def test_samples_share_masks_or_do_not(seed):
    model = nn.Sequential(nn.Dropout(0.5), nn.Flatten())
    ones = torch.ones(40, 30)
    shared = predicted(model, ones, seed).members
    assert torch.equal(shared, shared[:, :1].expand_as(shared))
    fresh = predicted(model, ones, seed, share_masks=False).members
    assert not torch.equal(fresh, fresh[:, :1].expand_as(fresh))
    for chunk in (fresh, shared):
        assert set(chunk.unique().tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("mode", ["auto", "vmap", "expand", "loop"])
@pytest.mark.parametrize("share", [True, False])
def test_a_data_loader_is_its_concatenation(mode, share, x, seed):
    model = modules().double().eval()
    whole = predicted(model, x, seed, share_masks=share, task="classification", mode="loop")
    loader = DataLoader(TensorDataset(x, torch.arange(7)), batch_size=3)
    parts = predicted(model, loader, seed, share_masks=share, task="classification", mode=mode)
    for name in ("members", "mean", "variance", "entropy", "mutual_information"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name), rtol=1e-9, atol=1e-12)


def test_ten_units_agree_with_the_exact_average(seed):
    x = torch.linspace(-1, 1, 4 * 3, dtype=torch.float64).view(4, 3)
    torch.manual_seed(seed % 2**31)
    model = nn.Sequential(nn.Linear(3, 10), nn.Tanh(), nn.Dropout(0.3), nn.Linear(10, 3)).double()
    with torch.no_grad():
        hidden = torch.tanh(model[0](x))
        probabilities, weights = [], []
        for bits in itertools.product((0.0, 1.0), repeat=10):
            keep = torch.tensor(bits, dtype=torch.float64)
            probabilities.append(model[3](hidden * keep / 0.7).softmax(-1))
            weights.append(0.7 ** sum(bits) * 0.3 ** (10 - sum(bits)))
        p, w = torch.stack(probabilities), torch.tensor(weights, dtype=torch.float64)
        mean = (p * w[:, None, None]).sum(0)
        variance = ((p - mean) ** 2 * w[:, None, None]).sum(0)
        spread4 = ((p - mean) ** 4 * w[:, None, None]).sum(0)
        expected_entropy = (torch.special.entr(p).sum(-1) * w[:, None]).sum(0)
    got = dk.predict(model, x, members=4000, seed=seed, task="classification")
    assert ((got.mean - mean).abs() < 6 * (variance / 4000).sqrt()).all()
    assert ((got.variance - variance).abs() < 6 * ((spread4 - variance**2) / 4000).sqrt() + 1e-9).all()
    assert ((got.expected_entropy - expected_entropy).abs() < 6 * math.log(3) / 2 / math.sqrt(4000)).all()
    torch.testing.assert_close(got.standard_error, (got.variance / 4000).sqrt())


def test_mean_and_variance_are_those_of_the_members(x, seed):
    got = predicted(modules().double(), x, seed, members=9)
    torch.testing.assert_close(got.mean, got.members.mean(0), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(got.variance, got.members.var(0, correction=1), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(got.standard_error, (got.variance / 9).sqrt(), rtol=1e-9, atol=1e-12)


def test_logits_and_probabilities(x, seed):
    model = modules().double().eval()
    logits = predicted(model, x, seed, mode="loop")
    probabilities = predicted(model, x, seed, mode="loop", task="classification")
    torch.testing.assert_close(probabilities.members, logits.members.softmax(-1))
    ready = nn.Sequential(model, nn.Softmax(-1))
    given = predicted(ready, x, seed, mode="loop", task="classification", outputs="probabilities")
    torch.testing.assert_close(given.mean.sum(-1), torch.ones(7, dtype=torch.float64))


def test_it_stops_when_the_error_is_small_enough(x, seed):
    model = modules().double().eval()
    got = dk.predict(model, x, seed=seed, members=100_000, tolerance=0.5, mode="loop")
    assert got.standard_error.max() <= 0.5
    assert 2 <= got.n_members < 100_000


def test_members_run_in_chunks_that_fit_the_memory(x, seed):
    model = modules().double().eval()
    with pytest.raises(ConfigError, match=r"one member needs about [\d,]+ bytes, more than memory=10"):
        dk.predict(model, x, seed=seed, memory=10)
    free = predicted(model, x, seed, members=9, mode="vmap")
    tight = predicted(model, x, seed, members=9, mode="vmap", memory=5_000)
    torch.testing.assert_close(free.members, tight.members, rtol=1e-9, atol=1e-12)


def test_dicts_and_keywords(x, seed):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop = nn.Dropout(0.5)

        def forward(self, x, *, scale):
            return {"a": self.drop(x) * scale, "b": x, "none": None}

    got = dk.predict(Net(), x, scale=torch.tensor(3.0), seed=seed, members=20)
    assert set(got) == {"a", "b"}
    assert (got["a"].variance > 0).any()
    assert not got["b"].variance.any()


def test_two_threads_and_a_plain_call_do_not_disturb_each_other(x, seed):
    model = modules().double().eval()
    with torch.no_grad():
        plain = model(x)
    alone = {s: predicted(model, x, s, members=20, mode="loop").members for s in (seed, seed + 1)}
    failures: list[str] = []

    def predict(s):
        for _ in range(3):
            if not torch.equal(predicted(model, x, s, members=20, mode="loop").members, alone[s]):
                failures.append("members")

    def call():
        for _ in range(100):
            with torch.no_grad():
                if not torch.equal(model(x), plain):
                    failures.append("plain")

    threads = [threading.Thread(target=predict, args=(s,)) for s in alone] + [threading.Thread(target=call)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_an_exception_leaves_the_model_alone(x, seed):
    class Fails(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop, self.calls = nn.Dropout(0.5), [0]

        def forward(self, x):
            self.calls[0] += 1
            if self.calls[0] > 2:
                raise ValueError("third call")
            return self.drop(x)

    model = Fails().train()
    with pytest.raises(ValueError, match="third call"):
        dk.predict(model, x, seed=seed, mode="loop")
    assert model.training
    assert model.drop.training
    assert "forward" not in vars(model.drop)
    assert model.calls == [0]


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: nn.Linear(6, 3).double(), NoMatchError, "the model is not random"),
        (lambda: nn.Sequential(nn.Dropout(0.0)), NoMatchError, r"its sites do not drop: '0' \(rate 0\)"),
        (
            lambda: nn.Sequential(nn.Linear(6, 3).double(), models.ByHand()),
            PlanError,
            r"site '1:rand#0' draws .* by hand",
        ),
        (lambda: nn.Sequential(models.DropBlock2d(0.3)), PlanError, "site '0:rand_like#0' draws"),
        (
            lambda: nn.Sequential(models.Host()),
            PlanError,
            "module '0' uses Python's or NumPy's random numbers",
        ),
        (models.Graph, PlanError, "dropout_edge#0"),
    ],
)
def test_what_cannot_be_sampled_is_refused_by_name(make, error, text, x, seed):
    with pytest.raises(error, match=text):
        dk.predict(make(), x, seed=seed)


def test_what_does_not_reach_the_output_is_named(x, seed):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop = nn.Dropout(0.5)

        def forward(self, x):
            self.drop(x)
            return x * 1

    with pytest.raises(
        NoMatchError, match=r"outputs of all members are equal, though sites were active: 'drop'"
    ):
        dk.predict(Net(), x, seed=seed)


def test_a_site_without_the_batch_is_refused_by_name_under_shared_masks(seed):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop = nn.Dropout(0.5)

        def forward(self, x):
            return x + self.drop(x.mean(0))

    with pytest.raises(StreamError, match=r"site 'drop' draws a mask of shape \(6,\)"):
        dk.predict(Net(), torch.ones(7, 6), seed=seed, mode="loop")


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"members": 0}, ConfigError, "members must be a whole number of at least 1, got 0"),
        ({"task": "ranking"}, ConfigError, "task must be one of"),
        ({"mode": "fast"}, ConfigError, "mode must be one of"),
        ({"batch_dim": 5}, DataError, "no axis 5"),
        ({"tolerance": -1.0}, ConfigError, "tolerance must be a number above 0"),
        ({"seed": "a"}, StreamError, "seed must be"),
    ],
)
def test_bad_arguments(options, error, text, x):
    with pytest.raises(error, match=text):
        dk.predict(modules(), x, **{"seed": 1, **options})


def test_outputs_that_are_no_tensors_are_refused(x, seed):
    class Net(nn.Module):
        def forward(self, x):
            return [F.dropout(x, 0.5)]

    with pytest.raises(DataError, match="must return a tensor or a dict of tensors, got a list"):
        dk.predict(Net(), x, seed=seed)
    with pytest.raises(DataError, match="inputs are on meta and the model is on cpu"):
        dk.predict(modules(), x.to("meta"), seed=seed)


def test_no_samples_are_refused(seed):
    with pytest.raises(DataError, match=r"the inputs hold no sample, got shape \(0, 6\)"):
        dk.predict(modules(), torch.ones(0, 6), seed=seed)


@pytest.mark.parametrize("mode", ["auto", "vmap", "expand", "loop"])
def test_what_comes_before_the_first_site_is_computed_once(mode, seed):
    class Counted(nn.Module):
        rows = 0

        def forward(self, x):
            Counted.rows += len(x)
            return x

    body = nn.Linear(6, 512), nn.Linear(512, 512)
    model = nn.Sequential(*body, Counted(), nn.Dropout(0.5), nn.Linear(512, 2))
    dk.predict(model, torch.randn(40, 6), seed=seed, members=20, mode=mode)
    look = 2  # samples are enough to see where the model is random
    again = 4 * 2 if mode == "expand" else 0  # two samples of four members, to see that samples do not mix
    assert Counted.rows == look + 40 * (1 if mode in ("auto", "vmap") else 20) + again


@pytest.mark.parametrize("length", [5, 6])
def test_an_axis_as_long_as_the_batch_by_chance_is_not_taken_for_it(length, seed):
    class Positions(nn.Module):
        def __init__(self):
            super().__init__()
            self.at, self.drop = nn.Parameter(torch.randn(6, 3)), nn.Dropout(0.5)

        def forward(self, x):
            return x + self.drop(self.at)

    x = torch.randn(length, 6, 3)
    with pytest.raises(StreamError, match=r"'drop' draws a mask of shape \(6, 3\), .*use share_masks=False"):
        dk.predict(Positions(), x, seed=seed, members=3)
    assert dk.predict(Positions(), x, seed=seed, members=40, share_masks=False).variance.any()


def test_sites_are_looked_for_on_the_whole_batch_where_a_few_samples_will_not_do(seed):
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop, self.mix = nn.Dropout(0.5), nn.Parameter(torch.ones(9, 9))

        def forward(self, x):
            return self.mix @ self.drop(x)

    got = dk.predict(Whole(), torch.ones(9, 4), seed=seed, members=40)
    assert (got.variance > 0).all()


def test_a_mode_that_the_model_does_not_allow_is_an_error_where_it_was_asked_for(x, seed):
    model = Recurrent().double()
    with pytest.raises(ConfigError, match=r"the model does not run in mode 'vmap': .*; use mode='auto'"):
        dk.predict(model, x, seed=seed, mode="vmap")
    assert dk.predict(model, x, seed=seed).mode in ("loop", "expand")


def test_logits_that_are_called_probabilities_are_refused():
    model = nn.Sequential(nn.Linear(4, 64), nn.Dropout(0.5), nn.Linear(64, 3))
    nn.init.constant_(model[2].bias, -5.0)
    with pytest.raises(DataError, match=r"outputs='probabilities' must be in \[0, 1\], got -"):
        dk.predict(
            model, torch.zeros(2, 4), members=4, seed=0, task="classification", outputs="probabilities"
        )
