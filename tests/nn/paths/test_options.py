"""Options of the modules for depth and paths."""

import pytest
import torch

import dropkit as dk
from dropkit.core import OptionError, RateError
from dropkit.random import stream


@pytest.mark.parametrize(
    ("module", "shown"),
    [
        (dk.nn.StochasticDepth(0.25, "batch"), "rate=0.25, mode='batch'"),
        (dk.nn.Swapout(0.25, 0.5), "rate=0.25, branch_rate=0.5"),
        (dk.nn.ShakeShake("even", site="a"), "backward='even', site='a'"),
        (dk.nn.ShakeDrop(0.25, (0, 1)), "rate=0.25, alpha=(0.0, 1.0), beta=(0.0, 1.0)"),
    ],
)
def test_options_are_printed(module, shown):
    assert shown in repr(module)


def test_options_are_checked_when_given():
    with pytest.raises(OptionError, match="mode must be"):
        dk.nn.StochasticDepth(0.5, "rows")
    with pytest.raises(OptionError, match="backward must be"):
        dk.nn.ShakeShake("odd")
    with pytest.raises(OptionError, match="alpha must be"):
        dk.nn.ShakeDrop(0.5, (1, 0))
    with pytest.raises(RateError, match="got 2"):
        dk.nn.Swapout(0.5, 2)


def test_options_reach_the_op(seed):
    x, f = torch.ones(50, 2), torch.full((50, 2), 10.0)
    cases = [
        (dk.nn.StochasticDepth(0.5, "batch", site="a"), dk.ops.stochastic_depth, (x, 0.5), {"mode": "batch"}),
        (dk.nn.Swapout(0.5, 1.0, site="a"), dk.ops.swapout, (x, 0.5), {"branch": f, "branch_rate": 1.0}),
        (dk.nn.ShakeDrop(0.5, (2, 3), site="a"), dk.ops.shake_drop, (x, 0.5), {"alpha": (2, 3)}),
        (dk.nn.ShakeShake("keep", site="a"), dk.ops.shake_shake, (x, f), {"backward": "keep"}),
    ]
    for module, op, given, options in cases:
        inputs = (x, f) if type(module) in (dk.nn.Swapout, dk.nn.ShakeShake) else (x,)
        with stream(seed):
            got = module(*inputs)
        with stream(seed):
            assert torch.equal(got, op(*given, training=True, site="a", **options))
