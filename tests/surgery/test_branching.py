"""Residual branches: found by following tensors, dropped by the sample, the same as written by hand."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import dropkit as dk
from dropkit.core import NoMatchError, PlanError
from dropkit.ops import drop_path, swapout

from .models import MLP, assert_same, snapshot, streamed
from .test_training import train

WIDTH = 6


class Basic(nn.Module):
    """A block of ResNet, with a projection where shapes differ; adds in place."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    block = Basic

    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(self.block(2, 2), self.block(2, 4), self.block(4, 4))
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.blocks(x).mean((2, 3)))


class HandBasic(Basic):
    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out = drop_path(out, 0.5, training=self.training, site=f"{self.name}.bn2:branch") + identity
        return self.relu(out)


class HandResNet(ResNet):
    block = HandBasic

    def __init__(self):
        super().__init__()
        for number, block in enumerate(self.blocks):
            block.name = f"blocks.{number}"


class Scaled(nn.Module):
    """Branches that are no module's output: scaled, through a function, the branch first, in place, two at once."""

    def __init__(self):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((WIDTH,), 0.5))
        self.one, self.two, self.three, self.four, self.five = (nn.Linear(WIDTH, WIDTH) for _ in range(5))
        self.head = nn.Linear(WIDTH, 3)

    def end(self, branch, k):
        return branch

    def forward(self, x):
        x = x + self.end(self.gamma * self.one(x), 0)
        x = self.end(F.gelu(self.two(x)), 1) + x
        h = F.hardtanh(self.three(x)) * 2
        h = self.end(h, 2)
        h += x
        h = h.add(self.end(-self.four(h), 3), alpha=0.5)
        return self.head(h + self.end(self.five(h) * 2, 4))


class HandScaled(Scaled):
    def end(self, branch, k):
        return drop_path(branch, 0.5, training=self.training, site=f":add#{k}:branch")


class Swapped(Scaled):
    def forward(self, x):
        def sum(x, branch, k):
            return swapout(x, 0.5, branch=branch, training=self.training, site=f":add#{k}:branch")

        x = sum(x, self.gamma * self.one(x), 0)
        x = sum(x, F.gelu(self.two(x)), 1)
        h = sum(x, F.hardtanh(self.three(x)) * 2, 2)
        h = sum(h, -self.four(h) * 0.5, 3)
        return self.head(sum(h, self.five(h) * 2, 4))


def residual(model, x, variant="drop_path", rate=0.5, **rule):
    return dk.plan(model, [dk.Rule(at="residual", variant=variant, rate=rate, **rule)], example_inputs=x[:1])


def ids(plan):
    return [site.id for site in plan.sites]


@pytest.mark.parametrize(
    ("cls", "hand", "shape", "variant"),
    [
        (ResNet, HandResNet, (16, 2, 5, 5), "drop_path"),
        (ResNet, HandResNet, (16, 2, 5, 5), "stochastic_depth"),
        (Scaled, HandScaled, (16, WIDTH), "drop_path"),
        (Scaled, Swapped, (16, WIDTH), "swapout"),
    ],
)
def test_a_plan_equals_branches_dropped_by_hand(cls, hand, shape, variant, rng):
    x, y = torch.randn(shape, generator=rng), torch.randint(3, (16,), generator=rng)
    model, by_hand, plain = cls(), hand(), cls()
    by_hand.load_state_dict(model.state_dict())
    plain.load_state_dict(model.state_dict())
    residual(model, x, variant).apply(model)
    found, expected = train(model, x, y, seed=7), train(by_hand, x, y, seed=7)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert not torch.equal(found[0], train(plain, x, y, seed=7)[0])


def test_a_sample_whose_branch_is_dropped_takes_the_skip_path(rng):
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.mlp = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH))

        def forward(self, x):
            return x + self.mlp(x)

    model, x = Block(), torch.randn(64, 5, WIDTH, generator=rng)
    plan = residual(model, x, rate=0.25)
    assert ids(plan) == ["mlp:branch"]
    with plan.apply(model):
        y = streamed(model, x)
    kept = torch.from_numpy(dk.random.mask((64, 1, 1), 0.25, seed=1, site="mlp:branch"))
    torch.testing.assert_close(y, x + model.mlp(x) / 0.75 * kept)
    assert torch.equal(y[~kept.flatten()], x[~kept.flatten()])
    assert kept.any()


class Parallel(nn.Module):
    def __init__(self, order):
        super().__init__()
        self.norm, self.attn, self.mlp = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH), MLP6()
        self.order = order

    def forward(self, x):
        h = self.norm(x)
        if self.order == "chain":
            return x + self.attn(h) + self.mlp(h)
        return self.attn(h) + self.mlp(h) + x


class MLP6(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        h = self.up(x)
        # no branches: an activation written by hand, and a gate
        h = 0.5 * h * (1.0 + torch.tanh(h + 0.044715 * torch.pow(h, 3.0)))
        return self.down(h)


class Shared(nn.Module):
    """One dropout module for two purposes: only one of its outputs is a branch."""

    def __init__(self):
        super().__init__()
        self.drop, self.one = nn.Dropout(0.0), nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        x = self.drop(torch.tanh(x))
        return x + self.drop(self.one(x))


class Gated(nn.Module):
    """Sums that are no residual ones: of two branches alike, of a gate, with a bias, with a table of positions."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.bias = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x):
        x = x + self.bias
        x = x + torch.arange(x.shape[0]).unsqueeze(1).expand_as(x) / 10.0
        return torch.sigmoid(self.one(x) + self.two(x)) + 1


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Parallel("chain"), ["attn:branch", "mlp:branch"]),
        (lambda: Parallel("sum"), [":add#1:branch"]),
        (Shared, [":add#0:branch"]),
        (MLP6, None),
        (Gated, None),
        (MLP, None),
        (nn.Identity, None),
    ],
)
def test_what_counts_as_a_branch(make, expected, rng):
    model, x = make(), torch.randn(4, WIDTH, generator=rng)
    if expected is None:
        with pytest.raises(NoMatchError, match="the model has no residual connection"):
            residual(model, x)
        return
    plan = residual(model, x, rate=1.0)
    assert ids(plan) == expected
    with plan.apply(model):
        skipped = torch.tanh(x) if make is Shared else x
        torch.testing.assert_close(model(x), skipped)


def test_without_an_example_the_error_names_the_argument():
    for rule in (
        {"at": "residual"},
        {"at": "blocks.*:branch"},
        {"at": "blocks.0", "variant": "swapout", "on": "branch"},
    ):
        with pytest.raises(NoMatchError, match="pass example_inputs="):
            dk.plan(ResNet(), [dk.Rule(rate=0.1, **rule)])


def test_a_branch_may_be_named(rng):
    model, x = ResNet(), torch.randn(4, 2, 5, 5, generator=rng)
    rules = [dk.Rule(at=f"blocks.{i}.bn2", on="branch", variant="drop_path", rate=0.5) for i in range(3)]
    named, found = dk.plan(model, rules), residual(model, x)
    assert ids(named) == ids(found) == [f"blocks.{i}.bn2:branch" for i in range(3)]
    outputs = []
    for plan in (named, found):
        with plan.apply(model):
            outputs.append(streamed(model, x))
    assert torch.equal(*outputs)
    some = dk.plan(model, [dk.Rule(at="blocks.[12]*:branch", rate=0.1)], example_inputs=x)
    assert ids(some) == ids(found)[1:]
    assert ids(residual(model, x, except_=["blocks.1.bn2"])) == [ids(found)[0], ids(found)[2]]


def test_rates_grow_with_depth(rng):
    model, x = ResNet(), torch.randn(4, 2, 5, 5, generator=rng)
    plan = residual(model, x, rate=dk.nn.LinearByDepth(0.3))
    assert [site.rate for site in plan.sites] == pytest.approx([0.1, 0.2, 0.3])


@pytest.mark.parametrize("variant", ["drop_path", "swapout", "patch_dropout"])
def test_reverting_leaves_nothing(variant, rng):
    model, x = Scaled(), torch.randn(4, 3, WIDTH, generator=rng)
    before = snapshot(model)
    plan = residual(model, x, variant, rate=0.4)
    assert dk.surgery.Plan.from_json(plan.to_json()) == plan
    applied = plan.apply(model)
    with pytest.raises(PlanError, match="already applied"):
        plan.apply(model)
    if variant != "patch_dropout":
        assert not torch.equal(streamed(model, x), streamed(model, x, seed=2))
    applied.revert()
    assert_same(before, snapshot(model))
    assert torch.equal(model(x), model.eval()(x))


@pytest.mark.parametrize(
    ("cls", "variant", "shape"),
    [
        (ResNet, "drop_path", (8, 2, 5, 5)),
        (Scaled, "drop_path", (8, WIDTH)),
        (Scaled, "swapout", (8, WIDTH)),
    ],
)
def test_attached_after_compiling(cls, variant, shape, rng):
    model, x = cls(), torch.randn(shape, generator=rng)
    plan = residual(model, x, variant)
    with plan.apply(model):
        expected = streamed(model, x)
    compiled = torch.compile(model, backend="eager")
    before = streamed(compiled, x)
    with plan.apply(model):
        torch.testing.assert_close(streamed(compiled, x), expected)
    torch.testing.assert_close(streamed(compiled, x), before)
    assert not torch.equal(before, expected)


def test_a_variant_of_sums_needs_a_sum():
    with pytest.raises(PlanError, match="acts on both terms of a residual sum; use at='residual'"):
        dk.Rule(at="hidden", variant="swapout", rate=0.1)
    assert dk.Rule(at="residual", variant="swapout", options={"branch_rate": 0.2}).options == {
        "branch_rate": 0.2
    }
    with pytest.raises(PlanError, match="leave out on='input'"):
        dk.plan(
            ResNet(), [dk.Rule(at="residual", rate=0.1, on="input")], example_inputs=torch.ones(1, 2, 5, 5)
        )


class DropPath(nn.Module):
    """As timm writes it."""

    def __init__(self, drop_prob):
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x):
        return x * 1.0


class Timm(nn.Module):
    def __init__(self, rate):
        super().__init__()
        self.mlp, self.drop_path = nn.Linear(WIDTH, WIDTH), DropPath(rate)

    def forward(self, x):
        return x + self.drop_path(self.mlp(x))


def test_the_plan_notes_what_a_reader_has_to_know():
    x = torch.ones(2, WIDTH)
    assert residual(Timm(0.0), x).notes == ()
    assert residual(Timm(0.2), x).notes == (
        "site 'drop_path:branch': the model drops that branch itself, at rate 0.2",
    )
    for batch_first in (True, False):
        layer = nn.TransformerEncoderLayer(WIDTH, 2, 8, batch_first=batch_first)
        notes = residual(layer, torch.ones(3, 2, WIDTH)).notes
        assert any("has the sequence on its first axis" in note for note in notes) is not batch_first


def test_branches_that_end_in_a_normalisation_are_seen_and_sampled(rng):
    model, x = ResNet(), torch.randn(6, 2, 5, 5, generator=rng)
    with residual(model, x).apply(model):
        sites = {site.id: site.active_in_eval for site in dk.audit(model, x).sites}
        assert sites == {f"blocks.{i}.bn2:branch": False for i in range(3)}
        assert dk.predict(model.eval(), x, members=8, seed=1).variance.sum() > 0
        assert torch.equal(model(x), model(x))


class Adapted(nn.Module):
    """As adapters are put around layers: with a sum of its own."""

    def __init__(self, base):
        super().__init__()
        self.base, self.extra = base, nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        return self.base(x) + self.extra(x)


def test_modules_that_come_after_the_plan_are_noticed(rng):
    model, x = Scaled(), torch.randn(6, WIDTH, generator=rng)
    with residual(model, x).apply(model):
        one, model.one = model.one, Adapted(model.one)
        for call in (model, torch.compile(model, backend="eager")):
            with pytest.raises(
                PlanError, match="':add#0:branch' counts the sums of a forward in which modules"
            ):
                call(x)
        model.one = one
        model(x)
    model.one = Adapted(model.one)
    plan = residual(model, x)
    with plan.apply(model):
        assert not torch.equal(streamed(model, x), model.eval()(x))


@pytest.mark.parametrize("variant", ["drop_path", "dropout", "swapout"])
def test_batch_norm_counts_its_batches_and_that_is_no_sum(variant):
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.linear = nn.BatchNorm1d(6), nn.Linear(6, 6)

        def forward(self, x):
            return x + F.relu(self.linear(self.norm(x)))

    model, x = nn.Sequential(Block(), Block()), torch.randn(40, 6)
    plan = dk.plan(model, [dk.Rule(at="residual", variant=variant, rate=0.5)], example_inputs=x)
    assert [site.id for site in plan.sites] == ["0:add#0:branch", "1:add#0:branch"]
    with dk.random.stream(1):
        plain = model(x)
    with plan.apply(model), dk.random.stream(1):
        assert not torch.equal(model(x), plain)
    assert int(model[0].norm.num_batches_tracked) == 2
