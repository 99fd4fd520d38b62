"""Laws of dropkit.nn.ExcitationDropout."""

import pytest
import torch
from torch import nn

import dropkit as dk
from dropkit.core import ModuleError
from dropkit.nn.plastic.evidence import evidence


def test_it_drops_what_the_target_was_read_from(seed):
    head = nn.Linear(4, 2, bias=False)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]))
    module, x = dk.nn.ExcitationDropout(head, 0.5), torch.ones(100, 4)
    target = torch.arange(100) % 2
    with dk.random.stream(seed):
        scores = module(x, target)
    assert not scores.gather(1, target.unsqueeze(1)).any()  # all its evidence lies on one unit
    assert scores.gather(1, 1 - target.unsqueeze(1)).all()


def test_it_is_the_op_before_the_head(seed):
    head = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    x, target = torch.rand(20, 6), torch.arange(20) % 3
    module = dk.nn.ExcitationDropout(head, 0.4, site="a")
    with dk.random.stream(seed):
        got = module(x, target)
    with dk.random.stream(seed):
        y = dk.ops.excitation_dropout(x, 0.4, evidence(head, x, target), training=True, site="a")
    torch.testing.assert_close(got, head(y))
    assert 0 < int((y == 0).sum()) < 120
    assert torch.equal(module.eval()(x), head(x))


def test_evidence_leaves_no_gradient_behind():
    head = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    evidence(head, torch.rand(4, 6, requires_grad=True))
    assert all(parameter.grad is None for parameter in head.parameters())


def test_a_head_that_evidence_cannot_pass_is_refused_at_once():
    with pytest.raises(ModuleError, match="got MultiheadAttention"):
        dk.nn.ExcitationDropout(nn.MultiheadAttention(4, 2))
