"""Laws of dropkit.ops.shake_shake and shake_drop: values and gradients use different numbers."""

import pytest
import torch
from scipy import stats

from dropkit.core import DtypeError, OptionError, ShapeError
from dropkit.ops import shake_drop, shake_shake
from dropkit.random import mask, stream
from tests.laws import FALSE_ALARM, assert_frequency


def factors(seed, n=400, **options):
    """Return each sample's forward and backward factor of the first branch."""
    x, other = torch.ones(n, 2, requires_grad=True), torch.zeros(n, 2, requires_grad=True)
    with stream(seed):
        y = shake_shake(x, other, training=True, site="a", **options)
    y.sum().backward()
    torch.testing.assert_close(x.grad + other.grad, torch.ones(n, 2))
    assert torch.equal(y[:, 0], y[:, 1])
    assert torch.equal(x.grad[:, 0], x.grad[:, 1])
    return y[:, 0].detach(), x.grad[:, 0]


def test_shake_shake_mixes_by_a_number_a_sample(seed, rng):
    a, _ = factors(seed)
    x, other = torch.randn(400, 3, generator=rng), torch.randn(400, 3, generator=rng)
    with stream(seed):
        y = shake_shake(x, other, training=True, site="a")
    torch.testing.assert_close(y, a[:, None] * x + (1 - a[:, None]) * other)


def test_forward_and_backward_factors_are_uniform_and_independent(seed):
    a, b = factors(seed, 20_000)
    for factor in (a, b):
        assert stats.kstest(factor.numpy(), "uniform").pvalue > FALSE_ALARM
    assert stats.pearsonr(a.numpy(), b.numpy()).pvalue > FALSE_ALARM
    assert not torch.isclose(a, b).all()


def test_backward_may_be_even_or_keep(seed):
    a, b = factors(seed, backward="even")
    assert torch.equal(b, torch.full_like(b, 0.5))
    assert a.std() > 0
    a, b = factors(seed, backward="keep")
    assert torch.equal(a, b)


def test_shake_shake_in_eval_is_the_mean():
    x, other = torch.ones(3, 2), torch.full((3, 2), 4.0)
    assert torch.equal(shake_shake(x, other, training=False), torch.full((3, 2), 2.5))
    assert shake_shake(x[:0], other[:0], training=True).shape == (0, 2)


def test_shake_shake_does_not_depend_on_chunks(seed):
    x, other = torch.ones(10, 2), torch.zeros(10, 2)
    with stream(seed):
        whole = shake_shake(x, other, training=True, site="a")
    with stream(seed, sample=4):
        assert torch.equal(shake_shake(x[4:], other[4:], training=True, site="a"), whole[4:])


def disturbed(seed, rate, n=4000, **options):
    x = torch.ones(n, 2, requires_grad=True)
    with stream(seed):
        y = shake_drop(x, rate, training=True, site="a", **options)
    y.sum().backward()
    assert torch.equal(y[:, 0], y[:, 1])
    return y[:, 0].detach(), x.grad[:, 0]


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
def test_shake_drop_leaves_a_sample_alone_or_scales_value_and_gradient_apart(rate, seed):
    value, slope = disturbed(seed, rate)
    alone = torch.from_numpy(mask(4000, rate, seed=seed, site="a"))
    assert torch.equal(value[alone], torch.ones(int(alone.sum())))
    assert torch.equal(slope[alone], torch.ones(int(alone.sum())))
    assert_frequency(value != 1, rate)
    for factor, low in ((value[~alone], -1.0), (slope[~alone], 0.0)):
        assert stats.kstest(factor.numpy(), stats.uniform(low, 1 - low).cdf).pvalue > FALSE_ALARM
    assert stats.pearsonr(value[~alone].numpy(), slope[~alone].numpy()).pvalue > FALSE_ALARM


def test_shake_drop_with_an_interval_of_one_number(seed):
    value, slope = disturbed(seed, 0.5, alpha=(0.0, 0.0), beta=(0.5, 0.5))
    assert set(value.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(slope, torch.where(value == 0, 0.5, 1.0))


@pytest.mark.parametrize(("alpha", "factor"), [((-1.0, 1.0), 0.7), ((0.0, 1.0), 0.85), ((0.0, 0.0), 0.7)])
def test_shake_drop_in_eval_is_the_mean_factor(alpha, factor):
    x = torch.linspace(-2, 2, 6, dtype=torch.float64).view(3, 2)
    torch.testing.assert_close(shake_drop(x, 0.3, alpha=alpha, training=False), x * factor)


def test_mean_and_variance_of_shake_drop(seed):
    value, _ = disturbed(seed, 0.6, n=200_000)
    mean, variance = 0.4, 0.6 * (1 / 3 + 0.4)
    deviation = variance**0.5 / 200_000**0.5
    assert abs(value.double().mean() - mean) < 5.1 * deviation
    squares = (value.double() - mean) ** 2
    assert abs(squares.mean() - variance) < 5.1 * squares.std() / 200_000**0.5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_once(dtype, seed):
    x = torch.linspace(1, 2, 64).view(32, 2).to(dtype)
    with stream(seed):
        got = shake_drop(x, 0.9, training=True, site="a")
    with stream(seed):
        wide = shake_drop(x.float(), 0.9, training=True, site="a")
    assert torch.equal(got, wide.to(dtype))


def test_forward_mode_raises_since_there_is_no_derivative():
    x = torch.ones(3, 2)
    with pytest.raises(NotImplementedError, match="jvp"):
        torch.func.jvp(lambda v: shake_drop(v, 0.5, training=True), (x,), (x,))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: shake_shake(torch.ones(2), torch.ones(3), training=True),
            ShapeError,
            r"got \(2,\) and \(3,\)",
        ),
        (lambda: shake_shake(torch.tensor(1.0), torch.tensor(1.0), training=True), ShapeError, r"\(N, \*\)"),
        (lambda: shake_shake(torch.ones(2), torch.ones(2).double(), training=True), DtypeError, "one dtype"),
        (
            lambda: shake_shake(torch.ones(2).long(), torch.ones(2).long(), training=True),
            DtypeError,
            "floating",
        ),
        (
            lambda: shake_shake(torch.ones(2), torch.ones(2), training=True, backward="odd"),
            OptionError,
            "'shake', 'even' or 'keep', got 'odd'",
        ),
        (lambda: shake_drop(torch.ones(2).long(), 0.5, training=True), DtypeError, "floating-point tensor"),
        (lambda: shake_drop(torch.tensor(1.0), 0.5, training=True), ShapeError, "0-d"),
        (lambda: shake_drop(torch.ones(2), 0.5, training=True, alpha=(1, -1)), OptionError, "low <= high"),
        (
            lambda: shake_drop(torch.ones(2), 0.5, training=True, beta=0.5),
            OptionError,
            "beta must be two numbers",
        ),
        (
            lambda: shake_drop(torch.ones(2), 0.5, training=True, beta=(0, float("nan"))),
            OptionError,
            "finite",
        ),
    ],
)
def test_bad_arguments_are_named(call, error, text):
    with pytest.raises(error, match=text):
        call()
