"""Laws of dropkit.ops.additive_gaussian_noise."""

import pytest
import torch
from scipy import stats

import dropkit as dk
from dropkit.core import DtypeError, ShapeError
from dropkit.ops import DeviationError, additive_gaussian_noise
from dropkit.random import Key, next_key, normal, stream
from tests.laws import FALSE_ALARM


@pytest.mark.parametrize("deviation", [0.1, 2.0])
def test_the_noise_is_normal_with_mean_zero_and_the_deviation(deviation, rng):
    y = additive_gaussian_noise(torch.full((200_000,), 3.0), deviation, training=True, generator=rng)
    assert stats.kstest((y.double() - 3) / deviation, "norm").pvalue > FALSE_ALARM


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("kernels", ["auto", "reference"])
def test_the_sum_is_taken_in_fp64_and_rounded(dtype, kernels, seed, rng):
    x = torch.randn(50, 40, generator=rng).to(dtype)
    before = dk.ops.kernels.status().active
    dk.ops.kernels.use(kernels)
    try:
        with stream(seed):
            y = additive_gaussian_noise(x, 0.3, training=True, site="a")
    finally:
        dk.ops.kernels.use(before)
    with stream(seed):
        exact = x.double() + 0.3 * normal(x.shape, next_key("a", None, x.device), x.device)
    assert torch.equal(y, exact if dtype == torch.float64 else exact.float().to(dtype))


def test_the_noise_does_not_depend_on_the_input_and_rows_are_independent(seed):
    with stream(seed) as s:
        a = additive_gaussian_noise(torch.zeros(300, 300, dtype=torch.float64), 1.0, training=True, site="a")
        s.advance(0)
        b = additive_gaussian_noise(torch.ones(300, 300, dtype=torch.float64), 1.0, training=True, site="a")
    torch.testing.assert_close(a, b - 1, rtol=0, atol=1e-14)
    correlation = stats.pearsonr(a[1:].flatten(), a[:-1].flatten())
    assert correlation.pvalue > FALSE_ALARM


def test_the_gradient_passes_and_a_deviation_gets_its_variate(seed):
    x = torch.zeros(100, dtype=torch.float64, requires_grad=True)
    deviation = torch.full((100,), 0.5, dtype=torch.float64, requires_grad=True)
    with stream(seed):
        y = additive_gaussian_noise(x, deviation, training=True)
    y.sum().backward()
    assert torch.equal(x.grad, torch.ones(100, dtype=torch.float64))
    torch.testing.assert_close(deviation.grad, (y / 0.5).detach())
    with stream(seed):
        assert torch.equal(y, additive_gaussian_noise(x, 0.5, training=True))


def test_no_deviation_is_the_identity_and_still_counts(seed):
    x = torch.full((1000,), float("nan"))
    with stream(seed):
        assert additive_gaussian_noise(x, 0.0, training=True) is x
        after = dk.ops.dropout(torch.ones(1000), 0.5, training=True)
    with stream(seed):
        additive_gaussian_noise(x, 1.0, training=True)
        assert torch.equal(after, dk.ops.dropout(torch.ones(1000), 0.5, training=True))
    assert additive_gaussian_noise(x, 1.0, training=False) is x
    assert additive_gaussian_noise(x[:0], 1.0, training=True).shape == (0,)


@pytest.mark.parametrize(
    "bad", [-0.1, float("nan"), float("inf"), "1", True, torch.ones((), dtype=torch.int64)]
)
@pytest.mark.parametrize("training", [True, False])
def test_a_bad_deviation_is_named(bad, training):
    with pytest.raises(DeviationError, match="deviation must be a"):
        additive_gaussian_noise(torch.ones(2), bad, training=training)


def test_bad_tensors_are_named():
    with pytest.raises(DtypeError, match=r"floating-point tensor, got torch\.int64"):
        additive_gaussian_noise(torch.ones(2, dtype=torch.int64), 1.0, training=True)
    with pytest.raises(ShapeError, match=r"shape of x, \(2,\), got shape \(3, 1\)"):
        additive_gaussian_noise(torch.ones(2), torch.ones(3, 1), training=True)


def test_reference_and_native_agree_on_special_numbers(seed):
    x = torch.tensor([0.0, -0.0, float("inf"), float("-inf"), 1e-40, 3e38]).repeat(50)
    key = Key((seed, 1, 2, 3))
    assert torch.equal(dk.ops.kernels.noise.added(x, 0.5, key), dk.ops.reference.add_noise(x, 0.5, key))
