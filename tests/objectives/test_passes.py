"""Second passes inside a loop: which masks they draw, what they add, and that they leave the model alone."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

import dropkit as dk
from dropkit.core import OptionError
from dropkit.objectives import EvalPass, ExpectationLinear, FraternalDropout, RDrop, SecondPass, r_drop
from dropkit.random import stream
from dropkit.train import TrainConfig, fit


def problem(rng):
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), dk.nn.Dropout(0.5, site="a"), nn.Linear(16, 3))
    return model, torch.randn(8, 4, generator=rng), torch.randint(3, (8,), generator=rng)


def two_passes(model, x, seed):
    with stream(seed):
        return model(x), model(x)


def test_the_second_pass_has_masks_of_its_own(rng, seed):
    model, x, y = problem(rng)
    first, second = two_passes(model, x, seed)
    assert not torch.equal(first, second)
    with stream(seed):
        added = SecondPass(RDrop(2.0))(model, x, y, model(x))
    torch.testing.assert_close(added, 2 * r_drop(first, second))
    assert added > 0


def test_the_total_is_the_papers_loss(rng, seed):
    model, x, y = problem(rng)
    first, second = two_passes(model, x, seed)
    p, q = first.log_softmax(1), second.log_softmax(1)
    likelihood = F.nll_loss(p, y) + F.nll_loss(q, y)
    divergence = ((p.exp() - q.exp()) * (p - q)).sum(1).mean()
    with stream(seed):
        outputs = model(x)
        total = F.cross_entropy(outputs, y) + SecondPass(RDrop(4.0), F.cross_entropy)(model, x, y, outputs)
    torch.testing.assert_close(total, likelihood + 4.0 * 0.5 * divergence)


def test_the_mean_of_both_losses(rng, seed):
    model, x, y = problem(rng)
    first, second = two_passes(model, x, seed)
    wanted = (F.cross_entropy(first, y) + F.cross_entropy(second, y)) / 2
    wanted = wanted + 0.3 * (first - second).square().mean()
    extra = SecondPass(FraternalDropout(0.3), F.cross_entropy, reduce="mean")
    with stream(seed):
        outputs = model(x)
        total = F.cross_entropy(outputs, y) + extra(model, x, y, outputs)
    torch.testing.assert_close(total, wanted)


def test_a_model_that_draws_nothing_pays_nothing(rng):
    model, x, y = problem(rng)
    model[2].rate = 0.0
    assert SecondPass(RDrop(2.0))(model, x, y, model(x)) == 0
    assert EvalPass(ExpectationLinear())(model, x, y, model(x)) == 0


def test_the_eval_pass_is_the_model_without_dropout(rng, seed):
    model, x, y = problem(rng)
    model.append(nn.BatchNorm1d(3))
    model[0].eval()
    flags = [module.training for module in model.modules()]
    with stream(seed):
        outputs = model(x)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    added = EvalPass(ExpectationLinear(3.0))(model, x, y, outputs)
    assert [module.training for module in model.modules()] == flags
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    model.eval()
    torch.testing.assert_close(added, 3.0 * (outputs - model(x)).square().sum(1).mean())


def test_flags_survive_an_error(rng):
    model, x, y = problem(rng)
    with pytest.raises(RuntimeError):
        EvalPass(ExpectationLinear())(model, x[:, :2], y, torch.ones(8, 3))
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize(
    "extra",
    [
        SecondPass(RDrop(1.0), F.cross_entropy),
        SecondPass(FraternalDropout(0.1), F.cross_entropy, reduce="mean"),
        EvalPass(ExpectationLinear(0.1)),
    ],
    ids=repr,
)
def test_a_run_takes_it_and_repeats(extra, rng, seed):
    start, x, y = problem(rng)
    data = TensorDataset(torch.cat([x] * 4), torch.cat([y] * 4))
    config = TrainConfig(optimizer="sgd", lr=0.05, epochs=2, batch=8)
    weights = []
    for term in (extra, extra, None):
        model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), dk.nn.Dropout(0.5, site="a"), nn.Linear(16, 3))
        model.load_state_dict(start.state_dict())
        result = fit(model, data, data, config, task="classification", seed=seed, extra_loss=term)
        assert result.status == "ok"
        weights.append(model[0].weight.detach())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_way_of_reducing_is_checked():
    with pytest.raises(OptionError, match="reduce must be 'sum' or 'mean', got 'max'"):
        SecondPass(RDrop(), reduce="max")
    assert repr(SecondPass(RDrop(2), F.mse_loss)) == "SecondPass(RDrop(alpha=2), mse_loss, reduce='sum')"
    assert repr(EvalPass(ExpectationLinear())) == "EvalPass(ExpectationLinear(weight=1))"
