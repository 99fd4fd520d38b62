"""Gaussian noise on the native kernels: the reference's bits, outputs within 2 ulp, derivatives."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import forward_ad

import dropkit as dk
from dropkit.ops import kernels, reference
from dropkit.ops.kernels import noise
from dropkit.random import Key

KERNELS = [name for name in kernels.status().supported if name != "reference"]
pytestmark = pytest.mark.skipif(not KERNELS, reason=kernels.status().reason)

NARROW = [torch.float32, torch.bfloat16, torch.float16]


@pytest.fixture(autouse=True)
def restored():
    before = kernels.status().active
    yield
    kernels.use(before)


def ulps(a, b):
    """Number of representable values between two tensors, element by element."""

    def ordered(x):
        i = x.view({2: torch.int16, 4: torch.int32}[x.element_size()]).long()
        return torch.where(i < 0, -(i & (2 ** (8 * x.element_size() - 1) - 1)), i)

    return (ordered(a) - ordered(b)).abs()


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("dtype", NARROW)
@settings(max_examples=40, deadline=None)
@given(
    key=st.tuples(*[st.integers(0, 2**32 - 1)] * 4),
    shape=st.lists(st.integers(1, 70), min_size=1, max_size=3).filter(lambda s: math.prod(s) < 20_000),
    sample=st.integers(0, 1000),
    deviation=st.floats(1e-3, 30.0),
)
def test_outputs_are_within_2_ulp(name, dtype, key, shape, sample, deviation):
    kernels.use(name)
    x = torch.full(shape, 1.3, dtype=dtype)
    got = noise.multiplied(x, deviation, Key(key, sample))
    expected = reference.multiply_noise(x, deviation, Key(key, sample))
    assert int(ulps(got, expected).max()) <= 2


@pytest.mark.parametrize("name", KERNELS)
def test_a_million_outputs_are_within_2_ulp_and_all_kernels_agree(name, seed):
    x, key = torch.ones(1_000_003), Key((seed, 1, 2, 3))
    kernels.use(name)
    got = noise.multiplied(x, 1.0, key)
    assert int(ulps(got, reference.multiply_noise(x, 1.0, key)).max()) <= 2
    kernels.use(KERNELS[-1])
    assert torch.equal(got, noise.multiplied(x, 1.0, key))


def test_the_number_of_threads_changes_nothing(seed):
    x, before, results = torch.randn(50_001), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            results.append(noise.multiplied(x, 1.0, Key((seed, 1, 2, 3), 7)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(y, results[0]) for y in results)


def test_derivatives_are_the_factor(seed, rng):
    x = torch.randn(40, 9, generator=rng).requires_grad_()
    tangent = torch.randn(40, 9, generator=rng)
    key = Key((seed, 1, 2, 3))
    factor = noise.multiplied(torch.ones(40, 9), 0.7, key)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        y = noise.multiplied(x, 0.7, key)
    assert kept == []
    weights = tangent.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(y, x, weights, create_graph=True)
    assert torch.equal(gradient, weights * factor)
    (second,) = torch.autograd.grad(gradient.sum(), weights)
    assert torch.equal(second, factor)
    (expanded,) = torch.autograd.grad(noise.multiplied(x, 0.7, key).sum(), x)
    assert torch.equal(expanded, factor)
    with forward_ad.dual_level():
        dual = noise.multiplied(forward_ad.make_dual(x.detach(), tangent), 0.7, key)
        assert torch.equal(forward_ad.unpack_dual(dual).tangent, tangent * factor)


def test_rows_with_their_own_sample_and_other_layouts_use_the_reference(seed):
    x = torch.randn(6, 8, requires_grad=True)
    outputs = []
    for name in ("auto", "reference"):
        kernels.use(name)
        with dk.random.stream(seed, sample=torch.arange(6).flip(0)):
            y = dk.ops.gaussian_dropout(x, 0.5, training=True, site="a")
        with dk.random.stream(seed):
            z = dk.ops.gaussian_dropout(x.t(), 0.5, training=True, site="a")
        outputs.append((y, z))
    assert torch.equal(outputs[0][0], outputs[1][0])
    assert torch.equal(outputs[0][1], outputs[1][1])
