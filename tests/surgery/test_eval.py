"""In eval mode an attached variant does what its op does there."""

import pytest
import torch
from torch import nn

import dropkit as dk
from dropkit.surgery.forms import acts_on_a_tensor, is_held


@pytest.mark.parametrize(
    "entry", [pytest.param(v, id=v.name) for v in dk.catalogue() if acts_on_a_tensor(v) and not is_held(v)]
)
@pytest.mark.parametrize("on", ["output", "input"])
def test_an_attached_variant_is_its_op_in_eval_mode(entry, on):
    x = entry.example()[1]
    expected = entry.op(x, 0.3, training=False)
    assert (expected is x) is not entry.acts_in_eval
    model = nn.Sequential(nn.Identity())
    with dk.plan(model, [dk.Rule(at="0", variant=entry.name, rate=0.3, on=on)]).apply(model):
        torch.testing.assert_close(model.eval()(x), expected, rtol=0, atol=0)


def test_a_variant_that_acts_in_eval_mode_acts_in_a_function_called_there():
    class Net(nn.Module):
        def forward(self, x):
            return torch.relu(x)

    model, x = Net(), torch.ones(4, 3)
    plan = dk.plan(model, [dk.Rule(at="hidden", variant="shake_drop", rate=0.3)], example_inputs=x)
    with plan.apply(model):
        torch.testing.assert_close(model.eval()(x), torch.full((4, 3), 0.7))
    assert torch.equal(model(x), x)
