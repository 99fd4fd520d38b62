"""dropkit.nn.Mixout: what it falls back to."""

import pytest
import torch
from torch import nn

import dropkit as dk
from dropkit.core import ShapeError


def test_the_target_is_the_weight_at_the_time_of_wrapping():
    layer = nn.Linear(4, 3)
    start = layer.weight.detach().clone()
    wrapped = dk.nn.Mixout(layer, 1.0)
    x = torch.ones(2, 4)
    expected = layer(x)
    with torch.no_grad():
        layer.weight.add_(1.0)
    assert torch.equal(wrapped.target, start)
    torch.testing.assert_close(wrapped(x), expected)
    assert not torch.equal(wrapped.eval()(x), expected)


def test_the_target_is_saved_with_the_wrapper():
    saved = dk.nn.Mixout(nn.Linear(4, 3), 0.5, torch.full((3, 4), 7.0)).state_dict()
    assert list(saved) == ["target", "layer.weight", "layer.bias"]
    other = dk.nn.Mixout(nn.Linear(4, 3), 0.5)
    other.load_state_dict(saved)
    assert torch.equal(other.target, torch.full((3, 4), 7.0))


def test_a_target_of_another_shape_is_refused():
    with pytest.raises(ShapeError, match=r"target of shape \(3, 4\), as the weight has, got \(4,\)"):
        dk.nn.Mixout(nn.Linear(4, 3), 0.5, torch.ones(4))
