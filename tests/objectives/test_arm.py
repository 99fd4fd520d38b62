"""Laws of dropkit.objectives.arm: its gradient against the exact one, by enumeration of all masks."""

import itertools
import math

import pytest
import torch
from torch import nn

import dropkit as dk
from dropkit.core import NoMatchError, ShapeError, StreamError
from dropkit.ops.draws import draw_uniform
from tests.laws import FALSE_ALARM

RATES = torch.tensor([0.2, 0.7], dtype=torch.float64)
TRIALS = 400_000


def rough(y):
    """Return a value of two units that no sum of functions of one unit is, and that is bounded for any mask."""
    first, second = (y > 0).unbind(1)
    return torch.where(first & second, 1.0, torch.where(first, -2.0, torch.where(second, 3.0, 0.5))).double()


def smooth(y):
    return (y[:, 0] * 0.7 - y[:, 1] * 0.4 + 0.3).square()


def exact_gradient(function, logit):
    """Return the gradient of the expected value by the logits, summed over the masks."""
    leaf = logit.clone().requires_grad_()
    rate = torch.sigmoid(leaf)
    total = 0.0
    for mask in itertools.product((0.0, 1.0), repeat=2):
        z = torch.tensor(mask, dtype=torch.float64)
        chance = (z * (1 - rate) + (1 - z) * rate).prod()
        total = total + chance * function((z / (1 - rate)).unsqueeze(0))[0]
    total.backward()
    return leaf.grad


@pytest.mark.parametrize("function", [rough, smooth])
def test_the_gradient_has_no_bias(function, seed):
    module = dk.nn.LearnableBernoulli(0.5, features=2).double()
    module.rate = RATES
    x = torch.ones(TRIALS, 2, dtype=torch.float64)
    with dk.random.stream(seed):
        dk.objectives.arm(module, lambda: function(module(x))).backward()
    expected = exact_gradient(function, module.logit.detach())
    values = torch.stack(
        [
            function(torch.tensor([m], dtype=torch.float64) / (1 - RATES))
            for m in itertools.product((0, 1), repeat=2)
        ]
    )
    # One trial's estimate lies within half the range of the values, plus what the factor 1 / (1 - rate) adds.
    reach = (values.max() - values.min()).item() / 2 + (0 if function is rough else 6.0)
    tolerance = 2 * reach * math.sqrt(math.log(2 / FALSE_ALARM) / (2 * TRIALS))
    assert (expected.abs() > 2 * tolerance).all()  # else zero would pass
    assert ((module.logit.grad - expected).abs() < tolerance).all()


def test_the_estimate_is_the_difference_times_the_uniform_numbers(seed):
    x, weights = torch.randn(6, 3), torch.randn(3)

    def gradients(reduce):
        module, seen = dk.nn.LearnableBernoulli(0.5, features=3, site="a"), []
        module.rate = torch.tensor([0.2, 0.5, 0.6])

        def loss():
            each = (module(x) != 0).float() @ weights  # no gradient through the factor
            seen.append(each)
            return reduce(each)

        with dk.random.stream(seed):
            dk.objectives.arm(module, loss).backward()
        with dk.random.stream(seed):
            u = draw_uniform((6, 3), x.device, generator=None, site="a").float()
        return module.logit.grad, seen[1] - seen[0], u - 0.5

    got, difference, u = gradients(lambda each: each)
    torch.testing.assert_close(got, (difference.unsqueeze(1) * u).mean(0))
    got, difference, u = gradients(torch.sum)
    torch.testing.assert_close(got, difference.sum() * u.sum(0))
    assert difference.abs().sum() > 0


def test_the_passes_are_opposite_and_the_second_an_ordinary_one(seed):
    module, x, seen = dk.nn.LearnableBernoulli(0.3), torch.ones(200, 50), []

    def loss():
        y = module(x)
        seen.append(y.detach() != 0)
        return y.mean()

    with dk.random.stream(seed):
        value = dk.objectives.arm(module, loss)
    first, second = seen
    assert (first | second).all()  # opposite coins never drop the same where the rate is below 1/2
    assert not torch.equal(first, second)
    torch.testing.assert_close(value.item(), (second.float() / 0.7).mean().item())


def test_other_parameters_get_the_gradient_of_the_second_pass(seed):
    module, linear = dk.nn.LearnableBernoulli(0.3), nn.Linear(3, 1)
    x, seen = torch.randn(20, 3), []

    def loss():
        y = module(x)
        seen.append(y.detach())
        return linear(y).mean()

    with dk.random.stream(seed):
        dk.objectives.arm(nn.ModuleList([module, linear]), loss).backward()
    torch.testing.assert_close(linear.weight.grad, seen[1].mean(0, keepdim=True))


def test_it_learns_to_drop_what_harms(seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        x = torch.randn(256, 4)
        y = x[:, 0]
        model = nn.Sequential(dk.nn.LearnableBernoulli(0.5, features=4), nn.Linear(4, 1, bias=False))
        with torch.no_grad():
            model[1].weight.copy_(torch.tensor([[1.0, 1.0, 1.0, 1.0]]))
        optimizer = torch.optim.Adam([model[0].logit], lr=0.05)
        with dk.random.stream(seed):
            for _ in range(200):
                optimizer.zero_grad()
                dk.objectives.arm(model, lambda: (model(x).squeeze(1) - y).square()).backward()
                optimizer.step()
                dk.step()
    assert model[0].rate[0] < 0.1


def test_it_refuses_what_it_cannot_use():
    model = nn.Sequential(dk.nn.LearnableBernoulli(0.5), nn.Linear(3, 1))
    x = torch.ones(4, 3)
    with pytest.raises(NoMatchError, match="Sequential has no LearnableBernoulli in training mode"):
        dk.objectives.arm(model.eval(), lambda: model(x).mean())
    model.train()
    with pytest.raises(NoMatchError, match="does not use a LearnableBernoulli"):
        dk.objectives.arm(model, lambda: model[1](x).mean())
    with pytest.raises(ShapeError, match=r"needs a loss of shape \(\) or \(N,\), got \(4, 1\)"):
        dk.objectives.arm(model, lambda: model(x))
    with pytest.raises(ShapeError, match="a loss a sample needs 4 values for this batch, got 2"):
        dk.objectives.arm(model, lambda: model(x)[:2, 0])


@pytest.mark.parametrize(
    ("calls", "text"), [((1, 2), "that the first did not"), ((2, 1), "that the second does not")]
)
def test_passes_that_differ_are_refused(calls, text):
    module, counts = dk.nn.LearnableBernoulli(0.5), iter(calls)
    with pytest.raises(StreamError, match=text):
        dk.objectives.arm(module, lambda: sum(module(torch.ones(4, 3)).mean() for _ in range(next(counts))))
    assert module(torch.ones(4, 3)).shape == (4, 3)  # and what failed is over
