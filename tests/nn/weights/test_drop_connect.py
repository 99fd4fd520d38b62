"""dropkit.nn.DropConnect, and what the wrappers of weights have in common."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

import dropkit as dk
from dropkit.core import ModuleError, ShapeError
from dropkit.random import stream

WRAPPERS = [dk.nn.DropConnect, dk.nn.Mixout, dk.nn.TargetedWeightDropout, dk.nn.TargetedUnitDropout]
LAYERS = [
    (nn.Linear(6, 5), (4, 6)),
    (nn.Linear(6, 5, bias=False), (4, 3, 6)),
    (nn.Conv1d(4, 6, 3, padding=1, groups=2), (3, 4, 9)),
    (nn.Conv2d(4, 6, 3, stride=2, padding="valid", bias=False), (3, 4, 9, 9)),
    (nn.Conv2d(2, 6, 3, padding="same", dilation=2, padding_mode="reflect", groups=2), (3, 2, 7, 8)),
    (nn.Conv2d(2, 6, (3, 1), padding=(2, 1), padding_mode="circular"), (3, 2, 7, 8)),
    (nn.Conv3d(2, 3, 2, stride=(1, 2, 1)), (2, 2, 4, 5, 4)),
]


def with_weight(layer, weight, x):
    return torch.func.functional_call(layer, {"weight": weight}, x)


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize(
    ("layer", "shape"),
    [*LAYERS, (nn.ConvTranspose2d(2, 3, 3), (2, 2, 5, 5))],
    ids=lambda v: type(v).__name__ if isinstance(v, nn.Module) else "",
)
def test_the_layer_computes_with_the_drawn_weight(wrapper, layer, shape, seed, rng):
    x = torch.randn(*shape, generator=rng)
    options = {"target": torch.zeros_like(layer.weight)} if wrapper is dk.nn.Mixout else {}
    wrapped = wrapper(layer, 0.5, site="a", **options)
    changed = 0
    for step in range(40):  # a layer of three units keeps them all now and then
        with stream(seed, step=step):
            got = wrapped(x)
        with stream(seed, step=step):
            weight = wrapped.drawn()
        assert torch.equal(got, with_weight(layer, weight, x))
        changed += not torch.equal(weight, layer.weight)
    assert changed > 0
    assert torch.equal(wrapped.eval()(x), layer(x))


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_the_layer_stays_bit_for_bit(wrapper, seed):
    layer = nn.Linear(5, 3)
    before = {name: (value, value.clone()) for name, value in layer.state_dict(keep_vars=True).items()}
    seen = []
    layer.register_forward_hook(lambda *_: seen.append("hook"))
    wrapped = wrapper(layer, 0.5)
    wrapped(torch.ones(2, 5)).sum().backward()
    assert seen == ["hook"]
    assert wrapped.layer is layer
    assert list(layer.state_dict()) == ["weight", "bias"]
    for name, value in layer.state_dict(keep_vars=True).items():
        assert value is before[name][0]
        assert torch.equal(value, before[name][1])
    assert layer.weight.grad is not None


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_what_cannot_be_wrapped_is_named(wrapper):
    with pytest.raises(ModuleError, match=r"needs a layer with a weight \(Linear, .*\), got ReLU"):
        wrapper(nn.ReLU(), 0.5)
    with pytest.raises(ModuleError, match="weight is its own parameter"):
        wrapper(weight_norm(nn.Linear(2, 2)), 0.5)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_swapped_parameters_are_the_ones_that_get_dropped(wrapper, rng):
    wrapped = wrapper(nn.Linear(5, 3, bias=False), 0.0)
    weight = torch.randn(3, 5, generator=rng)
    x = torch.randn(2, 5, generator=rng)
    got = torch.func.functional_call(wrapped, {"layer.weight": weight}, x)
    torch.testing.assert_close(got, x @ weight.T)


def test_dropped_weights_get_no_gradient(seed):
    layer = nn.Linear(8, 8)
    wrapped = dk.nn.DropConnect(layer, 0.5, site="a")
    x = torch.ones(3, 8)
    with stream(seed):
        wrapped(x).sum().backward()
    with stream(seed):
        kept = wrapped.drawn() != 0
    assert 0 < int(kept.sum()) < 64
    assert torch.equal(layer.weight.grad, torch.where(kept, 2.0 * 3.0, 0.0))


@pytest.mark.parametrize(
    ("layer", "shape"), LAYERS, ids=lambda v: type(v).__name__ if isinstance(v, nn.Module) else ""
)
def test_per_sample_masks_equal_a_loop_over_samples(layer, shape, seed, rng):
    layer, x = layer.double(), torch.randn(*shape, generator=rng, dtype=torch.float64)
    wrapped = dk.nn.DropConnect(layer, 0.4, per_sample=True, site="a")
    with stream(seed):
        got = wrapped(x)
    with stream(seed):
        weights = dk.ops.drop_connect(layer.weight, 0.4, training=True, copies=len(x), site="a")
    loop = torch.cat([with_weight(layer, w, row[None]) for w, row in zip(weights, x, strict=True)])
    torch.testing.assert_close(got, loop)
    assert not torch.equal(weights[0], weights[1])
    with stream(seed, sample=1):
        torch.testing.assert_close(wrapped(x[1:]), loop[1:])
    assert torch.equal(wrapped.eval()(x), layer(x))
    layer.float()


@pytest.mark.parametrize("layer", [nn.Linear(3, 2), nn.Conv2d(3, 2, 2)])
def test_per_sample_masks_on_an_empty_batch(layer):
    x = torch.ones(0, 3) if isinstance(layer, nn.Linear) else torch.ones(0, 3, 4, 4)
    assert dk.nn.DropConnect(layer, 0.5, per_sample=True)(x).shape == layer(x).shape


def test_per_sample_masks_need_a_batch_and_a_layer_that_can():
    with pytest.raises(
        ModuleError, match=r"per_sample=True needs Linear or Conv1d/2d/3d, got ConvTranspose2d"
    ):
        dk.nn.DropConnect(nn.ConvTranspose2d(1, 1, 1), 0.5, per_sample=True)
    with pytest.raises(ShapeError, match=r"shape \(N, \*, in\), got \(3,\)"):
        dk.nn.DropConnect(nn.Linear(3, 2), 0.5, per_sample=True)(torch.ones(3))
    with pytest.raises(ShapeError, match=r"with 4 axes, got \(3, 4, 4\)"):
        dk.nn.DropConnect(nn.Conv2d(3, 2, 2), 0.5, per_sample=True)(torch.ones(3, 4, 4))


def test_it_prints_its_options():
    assert "rate=0.25, per_sample=True" in repr(dk.nn.DropConnect(nn.Linear(1, 1), 0.25, per_sample=True))
    assert "rate=0.25, share=0.3" in repr(dk.nn.TargetedUnitDropout(nn.Linear(1, 1), 0.25, 0.3))
