"""Stochastic depth is told from what merely has its name."""

import pytest
import torch
from torch import nn

import dropkit as dk
from dropkit.surgery.row_dropping import drops_rows
from tests.cases.paths import DropPath, StochasticDepth

X = torch.linspace(-1, 1, 24).view(4, 6)


class DropPathKeep(nn.Module):
    """Has the probability of keeping."""

    def __init__(self):
        super().__init__()
        self.p = 0.9

    def forward(self, x):
        return x * x.new_empty(len(x), 1).bernoulli_(self.p) / self.p if self.training else x


class StochasticDepthBlock(nn.Module):
    """Skips a layer of its own."""

    def __init__(self):
        super().__init__()
        self.p, self.fc = 0.4, nn.Linear(6, 6)

    def forward(self, x):
        return x + (
            x.new_empty(len(x), 1).bernoulli_(1 - self.p) * self.fc(x) if self.training else self.fc(x)
        )


class DropPathAdd(nn.Module):
    """Takes the sum along."""

    def __init__(self):
        super().__init__()
        self.drop_prob = 0.4

    def forward(self, x, residual=None):
        if not self.training:
            return x + residual
        return x * x.new_empty(len(x), 1).bernoulli_(0.6) / 0.6 + residual


class DropPathSquare(nn.Module):
    """Does something else besides."""

    def __init__(self):
        super().__init__()
        self.drop_prob = 0.4

    def forward(self, x):
        return (x * x.new_empty(len(x), 1).bernoulli_(0.6) / 0.6).mean(1) if self.training else x.mean(1)


class Residual(nn.Module):
    def __init__(self, path):
        super().__init__()
        self.fc, self.path = nn.Linear(6, 6), path

    def forward(self, x):
        y = torch.tanh(self.fc(x))
        return self.path(y, x) if isinstance(self.path, DropPathAdd) else self.path(y)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("ndim", [2, 3, 4])
def test_stochastic_depth_is_known(rate, ndim, rng):
    state = torch.get_rng_state()
    for module in (DropPath(rate), StochasticDepth(rate, "row"), StochasticDepth(rate, "batch")):
        assert drops_rows(module, rate, ndim)
    assert torch.equal(torch.get_rng_state(), state)


OTHERS = [DropPathKeep(), StochasticDepthBlock(), DropPathAdd(), DropPathSquare(), DropPath(0.4, False)]


@pytest.mark.parametrize("path", OTHERS, ids=[type(path).__name__ for path in OTHERS])
def test_what_has_its_name_alone_is_refused(path, seed):
    with pytest.raises(dk.PlanError, match=r"site 'path:.*#0' draws random numbers by hand"):
        dk.predict(Residual(path).eval(), X, seed=seed, members=3)
