"""dropkit.nn.BatchEnsemble."""

import pytest
import torch
from scipy import stats
from torch import nn

import dropkit as dk
from dropkit.core import ModuleError, OptionError, ShapeError
from dropkit.random import stream
from tests.laws import FALSE_ALARM

LAYERS = [
    (nn.Linear(5, 3), (7, 5)),
    (nn.Linear(5, 3, bias=False), (7, 2, 5)),
    (nn.Conv1d(2, 3, 3, padding=1), (7, 2, 6)),
    (nn.Conv2d(2, 3, 3, stride=2, padding=1, padding_mode="reflect"), (7, 2, 6, 6)),
    (nn.Conv3d(2, 3, 2, bias=False), (7, 2, 3, 3, 3)),
]


@pytest.mark.parametrize("init", ["signs", "normal"])
@pytest.mark.parametrize(
    ("layer", "shape"), LAYERS, ids=lambda v: type(v).__name__ if isinstance(v, nn.Module) else ""
)
def test_it_equals_a_loop_over_members_with_their_own_weights(layer, shape, init, rng):
    ensemble = dk.nn.BatchEnsemble(layer, 3, init).double()
    x = torch.randn(*shape, generator=rng, dtype=torch.float64)
    if ensemble.bias is not None:
        nn.init.normal_(ensemble.bias, generator=rng)
    got = ensemble(x)
    for i in range(7):
        m = i % 3
        outer = torch.outer(ensemble.outputs[m], ensemble.inputs[m])
        values = {"weight": layer.weight * outer.view(*outer.shape, *[1] * (layer.weight.ndim - 2))}
        if layer.bias is not None:
            values["bias"] = layer.bias + ensemble.bias[m]
        expected = torch.func.functional_call(layer, values, (x[i : i + 1],))
        torch.testing.assert_close(got[i : i + 1], expected)
    layer.float()


def test_members_differ_and_gradients_reach_every_part(rng):
    layer = nn.Linear(20, 4)
    ensemble = dk.nn.BatchEnsemble(layer, 3)
    y = ensemble(torch.ones(3, 20))
    assert not torch.equal(y[0], y[1])
    y.square().sum().backward()
    for parameter in ensemble.parameters():
        assert parameter.grad is not None
        assert parameter.grad.flatten(1).any(1).all() if parameter.ndim > 1 else parameter.grad.any()


def test_the_factors_start_as_the_paper_says():
    layer = nn.Linear(1000, 1)
    signs = dk.nn.BatchEnsemble(layer, 20).inputs
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    assert stats.binomtest(int((signs > 0).sum()), 20_000, 0.5).pvalue > FALSE_ALARM
    normal = dk.nn.BatchEnsemble(layer, 20, "normal").inputs
    assert stats.kstest(normal.detach().flatten().numpy(), stats.norm(1, 0.5).cdf).pvalue > FALSE_ALARM
    assert not dk.nn.BatchEnsemble(layer, 20).bias.any()
    assert dk.nn.BatchEnsemble(nn.Linear(2, 2, bias=False), 2).bias is None


def test_one_member_of_ones_is_the_layer():
    layer = nn.Conv2d(2, 3, 3)
    ensemble = dk.nn.BatchEnsemble(layer, 1)
    with torch.no_grad():
        ensemble.inputs.fill_(1.0)
        ensemble.outputs.fill_(1.0)
    x = torch.linspace(-1, 1, 64).view(2, 2, 4, 4)
    torch.testing.assert_close(ensemble(x), layer(x))


def test_the_layer_stays_and_a_stream_says_the_member(seed):
    layer = nn.Linear(5, 3)
    ensemble = dk.nn.BatchEnsemble(layer, 3).eval()
    assert ensemble.layer is layer
    assert list(layer.state_dict()) == ["weight", "bias"]
    assert ensemble.members == 3
    x = torch.linspace(-1, 1, 10).view(2, 5)
    rows = ensemble(x.repeat_interleave(3, 0)).unflatten(0, (2, 3))
    for member in range(3):
        with stream(seed, member=member, shared_axis=(0, 2)):
            torch.testing.assert_close(ensemble(x), rows[:, member])


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: dk.nn.BatchEnsemble(nn.ReLU(), 2), ModuleError, "needs Linear or Conv1d/2d/3d, got ReLU"),
        (
            lambda: dk.nn.BatchEnsemble(nn.Conv2d(2, 2, 1, groups=2), 2),
            ModuleError,
            "without groups, got groups=2",
        ),
        (lambda: dk.nn.BatchEnsemble(nn.Linear(2, 2), 0), OptionError, "members must be a whole number"),
        (
            lambda: dk.nn.BatchEnsemble(nn.Linear(2, 2), 2, "ones"),
            OptionError,
            "'signs' or 'normal', got 'ones'",
        ),
        (
            lambda: dk.nn.BatchEnsemble(nn.Linear(2, 2), 2)(torch.ones(2)),
            ShapeError,
            r"\(N, \*, in\), got \(2,\)",
        ),
        (
            lambda: dk.nn.BatchEnsemble(nn.Conv2d(2, 2, 1), 2)(torch.ones(2, 4, 4)),
            ShapeError,
            r"\(N, in, \*\) with 4 axes, got \(2, 4, 4\)",
        ),
    ],
)
def test_bad_arguments_are_named(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_it_prints_its_arguments():
    assert "members=3, site='a'" in repr(dk.nn.BatchEnsemble(nn.Linear(2, 2), 3, site="a"))
