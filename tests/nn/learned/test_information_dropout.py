"""Laws of dropkit.nn.InformationDropout."""

import copy

import pytest
import torch
from scipy import stats
from torch import nn
from torch.distributions import Normal, kl_divergence

import dropkit as dk
from dropkit.core import OptionError, ShapeError
from dropkit.nn.learned.penalised import PenaltyError
from tests.laws import FALSE_ALARM


class Fixed(nn.Module):
    """Returns the same logits for every sample."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, x):
        return self.logits.expand(len(x), -1)


def test_alpha_is_computed_from_the_features_and_bounded(seed):
    module = dk.nn.InformationDropout(2, network=Fixed([-20.0, 20.0]), max_alpha=0.5)
    with dk.random.stream(seed):
        y = module(torch.ones(50_000, 2)).detach().double()
    assert (y[:, 0].log().abs() < 0.01).all()
    assert stats.kstest(y[:, 1].log() / 0.501, "norm").pvalue > FALSE_ALARM


def test_the_penalty_of_relu_features():
    module = dk.nn.InformationDropout(2, network=Fixed([0.0, 2.0]), max_alpha=0.7)
    module(torch.tensor([[0.5, 0.0], [3.0, 1.0]]))
    alpha = 0.001 + 0.7 * torch.sigmoid(torch.tensor([0.0, 2.0]))
    torch.testing.assert_close(module.penalty(), -(alpha / 0.701).log().sum())
    module.penalty().backward()
    assert (module.network.logits.grad < 0).all()  # more noise, less information


def test_the_penalty_of_softplus_features():
    module = dk.nn.InformationDropout(2, network=Fixed([0.0, 2.0]), activation="softplus")
    with torch.no_grad():
        module.prior_mean.fill_(0.3)
        module.log_prior_deviation.fill_(-0.2)
    x = torch.tensor([[0.5, 2.0], [3.0, 1.0]])
    module(x)
    alpha = 0.001 + 0.7 * torch.sigmoid(torch.tensor([0.0, 2.0])).expand(2, 2)
    expected = kl_divergence(Normal(x.log(), alpha), Normal(0.3, torch.tensor(-0.2).exp())).sum() / 2
    torch.testing.assert_close(module.penalty(), expected)


def test_the_default_network_acts_on_units_at_every_position(seed):
    module = dk.nn.InformationDropout(3)
    x = torch.rand(4, 3, 5, 2) + 0.1
    with dk.random.stream(seed):
        y = module(x)
    module.penalty().backward()
    assert y.shape == x.shape
    assert (y != x).any()
    assert module.network.weight.grad.abs().sum() > 0
    assert torch.equal(module.eval()(x), x)


def test_copies_leave_the_graph_of_a_forward_pass_behind():
    module = dk.nn.InformationDropout(3)
    module(torch.ones(4, 3))
    module.penalty()
    twin = copy.deepcopy(module)
    with pytest.raises(PenaltyError, match="call the module in training mode first"):
        twin.penalty()


def test_a_prediction_leaves_the_penalty_of_training_alone():
    module = dk.nn.InformationDropout(3)
    module(torch.ones(4, 3))
    before = module.penalty()
    with torch.inference_mode():
        module(torch.zeros(4, 3))
    torch.vmap(module, randomness="different")(torch.zeros(2, 4, 3))
    assert module.penalty() is before


def test_it_refuses_what_it_cannot_use():
    with pytest.raises(OptionError, match="activation must be 'relu' or 'softplus', got 'tanh'"):
        dk.nn.InformationDropout(3, activation="tanh")
    with pytest.raises(OptionError, match="max_alpha must be positive and finite, got 0"):
        dk.nn.InformationDropout(3, max_alpha=0.0)
    with pytest.raises(ShapeError, match=r"has 3 units along axis 1, got an input of shape \(2, 4\)"):
        dk.nn.InformationDropout(3)(torch.ones(2, 4))
