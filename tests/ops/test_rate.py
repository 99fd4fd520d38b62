"""Rates as tensors: the masks of the floats they hold, on every path."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch._dynamo.testing import CompileCounter
from torch.func import vmap

import dropkit as dk
from dropkit.core import RateError, ShapeError
from dropkit.ops.rate import resolve_rate

OPS = [dk.ops.dropout, dk.ops.alpha_dropout, dk.ops.gaussian_dropout]
RATES = st.floats(0.0, 1.0, exclude_max=True)


def under(seed, op, x, rate, **options):
    with dk.random.stream(seed):
        return op(x, rate, training=True, site="a", **options)


@pytest.mark.parametrize("op", OPS)
@given(rate=RATES, seed=st.integers(0, 2**32))
def test_a_tensor_of_equal_rates_is_that_rate(op, rate, seed):
    x = torch.linspace(-2, 2, 300, dtype=torch.float64).view(20, 15)
    expected = under(seed, op, x, rate)
    per_unit = under(seed, op, x, torch.full((15,), rate, dtype=torch.float64))
    assert torch.equal(per_unit == 0, expected == 0)
    assert torch.allclose(per_unit, expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(under(seed, op, x, torch.tensor(rate, dtype=torch.float64)), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_unit_has_its_own_rate(dtype, seed):
    rates = torch.tensor([0.0, 0.2, 0.7, 1.0], dtype=torch.float64)
    x = torch.linspace(-2, 2, 4000).view(1000, 4).to(dtype)
    y = under(seed, dk.ops.dropout, x, rates)
    assert y.dtype is dtype
    for unit, rate in enumerate(rates.tolist()):
        assert torch.equal(y[:, unit], under(seed, dk.ops.dropout, x, rate)[:, unit])
    y = under(seed, dk.ops.dropout, x, rates, scaling="test")
    assert torch.equal(y[:, 0], x[:, 0])
    assert torch.equal(dk.ops.dropout(x, rates, training=False, scaling="test")[:, 3], torch.zeros(1000))


def test_maps_with_a_rate_each(seed):
    x = torch.ones(50, 3, 4, 4)
    rates = torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1)
    y = under(seed, dk.ops.spatial_dropout2d, x, rates)
    assert torch.equal(y[:, 0], x[:, 0])
    assert int((y[:, 2] != 0).sum()) == 0
    assert torch.equal(y[:, 1], under(seed, dk.ops.spatial_dropout2d, x, 0.5)[:, 1])
    with pytest.raises(ShapeError, match=r"broadcast to the mask's shape \(50, 3, 1, 1\), got shape \(4,\)"):
        under(seed, dk.ops.spatial_dropout2d, x, torch.zeros(4))


def test_a_changed_tensor_compiles_nothing_again(seed):
    torch.compiler.reset()
    counter, x = CompileCounter(), torch.ones(30, 30)
    layer = dk.nn.Dropout(torch.tensor(0.1), site="a")
    compiled = torch.compile(layer, backend=counter, fullgraph=True)
    for rate in (0.1, 0.25, 0.5, 0.75):
        layer.rate.fill_(rate)
        with dk.random.stream(seed):
            got = compiled(x)
        with dk.random.stream(seed):
            assert torch.equal(got, layer(x))
        assert 0 < int((got == 0).sum()) < 900
    assert counter.frame_count == 1


def test_a_parameter_moves_and_saves_with_its_module(seed):
    layer = dk.nn.Dropout(nn.Parameter(torch.tensor(0.25)))
    assert list(layer.state_dict()) == ["rate"]
    assert [name for name, _ in layer.named_parameters()] == ["rate"]
    x = torch.ones(20, 20, requires_grad=True)
    with dk.random.stream(seed):
        layer(x).sum().backward()
    assert layer.rate.grad is None
    assert int((x.grad == 0).sum()) > 0
    layer.rate = 0.5
    assert list(layer.state_dict()) == []
    assert layer.rate == 0.5


def test_a_rate_a_member_under_vmap(seed):
    x, rates = torch.ones(10, 50), torch.tensor([0.0, 0.3, 0.9])
    with dk.random.stream(seed):
        y = vmap(lambda r: dk.ops.dropout(x, r, training=True, site="a"))(rates)
    for got, rate in zip(y, rates, strict=True):
        assert torch.equal(got, under(seed, dk.ops.dropout, x, rate))


@pytest.mark.parametrize("bad", [[-0.1], [0.5, 1.5], [float("nan")]])
def test_values_outside_are_refused(bad):
    x = torch.ones(3, 1)
    with pytest.raises(RateError, match=r"rate must be in \[0, 1\], got a tensor with"):
        dk.ops.dropout(x, torch.tensor(bad), training=True)
    with pytest.raises(RateError, match=r"rate must be in \[0, 1\], got a tensor with"):
        dk.nn.Dropout(torch.tensor(bad))


def test_whole_numbers_are_no_rates():
    with pytest.raises(RateError, match=r"floating-point tensor, got one of torch\.int64"):
        resolve_rate(torch.tensor(1))
