"""What every module with a learned rate keeps."""

import pytest
import torch
from torch import nn

import dropkit as dk
from dropkit.core import RateError
from dropkit.random import Schedule

MADE = [
    pytest.param(lambda: dk.nn.ConcreteDropout(0.3), 1.0, id="concrete"),
    pytest.param(lambda: dk.nn.LearnableBernoulli(0.3), 1.0, id="bernoulli"),
    pytest.param(lambda: dk.nn.VariationalDropout(0.3), 0.5, id="variational"),
    pytest.param(lambda: dk.nn.VariationalWeights(nn.Linear(3, 2), 0.3), 0.5, id="weights"),
]


class Ramp(Schedule):
    def at(self, step):
        return step / 8


@pytest.mark.parametrize(("make", "highest"), MADE)
def test_the_rate_is_a_function_of_a_logit(make, highest):
    module = make()
    assert module.rate.item() == pytest.approx(0.3)
    module.rate = 0.4
    assert module.rate.item() == pytest.approx(0.4)
    with torch.no_grad():
        module.logit.fill_(1.5)
    assert module.rate.item() == pytest.approx(highest * torch.sigmoid(torch.tensor(1.5)).item())
    module.rate.backward()
    assert module.logit.grad > 0
    assert "logit" in dict(module.named_parameters())


@pytest.mark.parametrize(("make", "highest"), MADE)
def test_it_starts_inside_its_interval(make, highest):
    module = make()
    for bad in (0.0, highest, 1.0):
        with pytest.raises(RateError, match=rf"needs a start inside \(0, {highest:g}\), got"):
            module.rate = bad
    for bad in (Ramp(), nn.Parameter(torch.tensor(0.2))):
        with pytest.raises(RateError, match="learns its rate; give a number to start from"):
            module.rate = bad
    with pytest.raises(RateError, match=r"learns rates of shape \(\), got \(3,\)"):
        module.rate = torch.full((3,), 0.2)
    assert module.rate.item() == pytest.approx(0.3)


def test_each_unit_may_learn_its_own():
    module = dk.nn.LearnableBernoulli(0.3, features=3)
    torch.testing.assert_close(module.rate, torch.full((3,), 0.3))
    module.rate = torch.tensor([0.1, 0.2, 0.9])
    torch.testing.assert_close(module.rate, torch.tensor([0.1, 0.2, 0.9]))
    assert "features=3" in repr(module)
