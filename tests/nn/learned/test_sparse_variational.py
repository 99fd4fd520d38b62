"""Laws of dropkit.nn.SparseVariational."""

import math

import pytest
import torch
from scipy import stats
from torch import nn

import dropkit as dk
from dropkit.core import ModuleError, OptionError
from dropkit.ops.learned.divergence import sparse_noise
from tests.laws import FALSE_ALARM


def fixed():
    """Return a module of two weights with log alpha 1 and 4."""
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[2.0, -0.5]]))
        layer.bias.fill_(0.25)
    module = dk.nn.SparseVariational(layer)
    with torch.no_grad():
        module.log_variance.copy_(torch.tensor([[1.0, 4.0]]) + layer.weight.square().log())
    return module


def test_log_alpha_is_noise_over_weight_and_clipped():
    module = fixed()
    torch.testing.assert_close(module.log_alpha(), torch.tensor([[1.0, 4.0]]))
    with torch.no_grad():
        module.log_variance.copy_(torch.tensor([[100.0, -100.0]]))
    assert torch.equal(module.log_alpha(), torch.tensor([[8.0, -8.0]]))
    with torch.no_grad():
        module.layer.weight.zero_()
    assert torch.equal(module.log_alpha()[:, 0], torch.tensor([8.0]))


def test_outputs_are_normal_with_the_variance_of_the_weights(seed):
    module, x = fixed(), torch.tensor([[1.0, 3.0]]).expand(50_000, 2)
    with dk.random.stream(seed), torch.no_grad():
        y = module(x)
    variance = math.exp(1.0) * 4.0 + math.exp(4.0) * 0.25 * 9.0
    noise = (y.double().flatten() - (2.0 - 1.5 + 0.25)) / math.sqrt(variance)
    assert stats.kstest(noise, "norm").pvalue > FALSE_ALARM


def test_eval_mode_and_pruning_take_the_weights_below_the_threshold():
    module, x = fixed(), torch.tensor([[1.0, 3.0]])
    assert module.keeps().tolist() == [[True, False]]
    assert module.sparsity == 0.5
    assert module.eval()(x).item() == pytest.approx(2.25)
    pruned = module.prune()
    assert type(pruned) is nn.Linear
    assert pruned.weight.tolist() == [[2.0, 0.0]]
    assert module.layer.weight.tolist() == [[2.0, -0.5]]
    module.threshold = 5.0
    assert module(x).item() == pytest.approx(0.75)


def test_the_penalty_is_summed_over_the_weights():
    module = fixed()
    expected = sparse_noise(torch.tensor(1.0)) + sparse_noise(torch.tensor(4.0))
    assert module.penalty().item() == pytest.approx(expected.item(), rel=1e-5)


def test_it_prunes_the_inputs_that_do_not_matter(seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        x, relevant = torch.randn(100, 10), torch.tensor([2.0, -1.5, 1.0])
        noise = torch.randn(100)
        noise -= x @ torch.linalg.lstsq(x, noise.unsqueeze(1)).solution.squeeze(
            1
        )  # so that no other input helps
        y = (x[:, :3] @ relevant + noise).repeat(20)
        module = dk.nn.SparseVariational(nn.Linear(10, 1), start=-5.0, threshold=0.0)
        optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
        anneal = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / 1000)
        with dk.random.stream(seed):
            for step in range(1000):
                optimizer.zero_grad()
                error = (module(x.repeat(20, 1)).squeeze(1) - y).square().sum() / 2 / 20
                (error + min(step / 500, 1.0) * dk.objectives.penalty(module)).backward()
                optimizer.step()
                anneal.step()
                dk.step()
    assert module.keeps().tolist() == [[True] * 3 + [False] * 7]
    assert module.log_alpha()[0, 3:].mean() > 2.0
    assert module.log_alpha()[0, :3].max() < -2.0
    torch.testing.assert_close(module.prune().weight[0, :3], relevant, rtol=0, atol=0.6)


def test_convolutions_are_taken_too(seed):
    layer = nn.Conv2d(2, 3, 3, padding=1)
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(0.1, 0.3, layer.weight.numel()).view_as(layer.weight))
    module, x = dk.nn.SparseVariational(layer), torch.randn(4, 2, 5, 5)
    with dk.random.stream(seed):
        y = module(x)
    torch.testing.assert_close(y, layer(x), rtol=0, atol=0.5)
    assert not torch.equal(y, layer(x))
    assert torch.equal(module.eval()(x), layer(x))


def test_it_refuses_what_it_cannot_use():
    with pytest.raises(
        ModuleError, match=r"SparseVariational needs an nn\.Linear or nn\.Conv1d/2d/3d, got ReLU"
    ):
        dk.nn.SparseVariational(nn.ReLU())
    with pytest.raises(OptionError, match="threshold must be a number, got nan"):
        dk.nn.SparseVariational(nn.Linear(1, 1), threshold=float("nan"))
