"""Where nothing can drop, nothing is done: counted, not timed (benchmarks/plan_cost.py times it)."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import _get_current_function_mode_stack

import dropkit as dk


class Calls(nn.Module):
    """Calls an activation function, and notes how many function modes there are."""

    modes = 0

    def forward(self, x):
        self.modes = len(_get_current_function_mode_stack())
        return F.relu(x)


@pytest.mark.parametrize(("rate", "training", "modes"), [(0.0, True, 0), (0.5, False, 0), (0.5, True, 1)])
def test_no_function_mode_is_entered_where_no_site_can_drop(rate, training, modes):
    model, x = Calls().train(training), torch.ones(4, 5)
    plan = dk.plan(model, [dk.Rule(at=":relu#0", rate=rate)], example_inputs=x)
    with plan.apply(model):
        model(x)
        assert model.modes == modes
        audited = dk.audit(model, x)
        assert [site.rate for site in audited.sites] == [rate]
    model(x)
    assert model.modes == 0
    assert "forward" not in vars(model)
