"""Laws of dropkit.objectives.penalty."""

import pytest
import torch
from torch import nn

import dropkit as dk
from dropkit.core import NoMatchError


def test_it_is_the_sum_over_the_model_and_counts_a_shared_module_once():
    concrete, sparse = dk.nn.ConcreteDropout(0.1, rate_penalty=1.0), dk.nn.SparseVariational(nn.Linear(3, 3))
    model = nn.Sequential(concrete, sparse, nn.ReLU(), concrete)
    model(torch.ones(2, 3))
    torch.testing.assert_close(dk.objectives.penalty(model), concrete.penalty() + sparse.penalty())
    dk.objectives.penalty(model).backward()
    assert concrete.logit.grad != 0
    assert sparse.log_variance.grad.abs().sum() > 0
    assert dk.objectives.penalty(sparse).item() == sparse.penalty().item()


def test_a_model_without_any_is_refused():
    with pytest.raises(NoMatchError, match="Sequential has no module with a penalty, such as"):
        dk.objectives.penalty(nn.Sequential(nn.Linear(2, 2), dk.nn.Dropout(0.5)))
