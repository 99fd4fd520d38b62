"""dropkit.nn.TargetedWeightDropout and TargetedUnitDropout in training."""

import pytest
import torch
from torch import nn

import dropkit as dk
from dropkit.core import RateError


@pytest.mark.parametrize("wrapper", [dk.nn.TargetedWeightDropout, dk.nn.TargetedUnitDropout])
def test_candidates_are_chosen_anew_as_the_weights_change(wrapper):
    layer = nn.Linear(2, 2, bias=False)
    wrapped = wrapper(layer, 1.0, 0.5)
    for small in (0, 1):
        weight = torch.ones(2, 2)
        if wrapper is dk.nn.TargetedUnitDropout:
            weight[small] = 0.1
            expected = torch.ones(2, 2)
            expected[small] = 0.0
        else:
            weight[:, small] = 0.1
            expected = torch.ones(2, 2)
            expected[:, small] = 0.0
        with torch.no_grad():
            layer.weight.copy_(weight)
        assert torch.equal(wrapped(torch.eye(2)), expected.T)


def test_a_share_outside_its_range_is_refused():
    with pytest.raises(RateError, match=r"share must be in \[0, 1\], got -1"):
        dk.nn.TargetedUnitDropout(nn.Linear(2, 2), 0.5, -1)
