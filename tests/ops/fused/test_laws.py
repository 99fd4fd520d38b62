"""What every fused op gives: the activation or sum, with the mask of dropout, at every edge."""

import pytest
import torch

import dropkit as dk
from dropkit.core import DtypeError, RateError, ShapeError
from dropkit.ops import fused
from dropkit.ops.fused.gelu_dropout import ApproximateError
from dropkit.random import Schedule, mask, stream
from tests.laws import assert_frequency
from tests.ops.fused.forms import CASES, ulps

every = pytest.mark.parametrize("case", CASES, ids=str)
FLOATS = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
SHAPE = (5, 7, 130)


@every
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_the_output_is_that_of_the_formula_under_the_public_mask(case, dtype, rate, seed):
    operands = case.operands(SHAPE, dtype, seed)
    with stream(seed, step=2):
        got = case.call(operands, rate, training=True, site="a")
    kept = torch.from_numpy(mask(SHAPE, rate, seed=seed, step=2, site="a"))
    expected = case.expected(operands, kept, 1 / (1 - rate))
    assert 0 < kept.sum() < kept.numel()
    assert got.dtype is dtype
    if case.equal:
        assert torch.equal(got, expected)
    elif dtype == torch.float64:
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=0)
    else:
        assert int(ulps(got, expected).max()) <= 2


@every
def test_the_mask_is_that_of_dropout(case, seed):
    ones = [torch.ones(SHAPE), torch.zeros(SHAPE[-1:]), torch.zeros(SHAPE)]
    operands = {1: ones[:1], 2: ones[::2], 3: ones}[case.count]
    with stream(seed):
        _, dropped = dk.ops.dropout(ones[0], 0.4, training=True), case.call(operands, 0.4, training=True) == 0
    with stream(seed):
        _, plain = dk.ops.dropout(ones[0], 0.4, training=True), dk.ops.dropout(ones[0], 0.4, training=True)
    assert torch.equal(dropped, plain == 0)


@every
def test_frequency(case, rng):
    ones = [torch.ones(400, 500), torch.zeros(500), torch.zeros(400, 500)]
    operands = {1: ones[:1], 2: ones[::2], 3: ones}[case.count]
    assert_frequency(case.call(operands, 0.3, training=True, generator=rng) == 0, 0.3)


@every
@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_eval_is_the_same_without_dropout_and_draws_nothing(case, rate, seed):
    operands = case.operands(SHAPE, torch.float32, seed)
    before = torch.get_rng_state()
    got = case.call(operands, rate, training=False)
    assert torch.equal(torch.get_rng_state(), before)
    if case.count == 1:
        assert torch.equal(got, case.act(operands[0]))
    else:
        assert torch.equal(got, case.expected(operands, torch.ones(SHAPE, dtype=torch.bool), 1.0))


@every
def test_rate_zero_is_eval_and_still_counts_the_call(case, seed):
    operands, x = case.operands(SHAPE, torch.float32, seed), torch.ones(1000)
    with stream(seed):
        assert torch.equal(case.call(operands, 0.0, training=True), case.call(operands, 0.0, training=False))
        after = dk.ops.dropout(x, 0.5, training=True)
    with stream(seed):
        dk.ops.dropout(x, 0.5, training=True)
        assert torch.equal(after, dk.ops.dropout(x, 0.5, training=True))


@every
def test_rate_one_leaves_the_residual_alone(case):
    operands = case.operands(SHAPE, torch.float32, 1)
    operands[0][0] = float("inf")
    leaves = [o.requires_grad_() for o in operands]
    y = case.call(leaves, 1.0, training=True)
    y.sum().backward()
    assert torch.equal(y, torch.zeros(SHAPE) if case.count == 1 else leaves[-1])
    for leaf, expected in zip(leaves, [0.0, 0.0, 1.0] if case.count == 3 else [0.0, 1.0], strict=False):
        assert torch.equal(leaf.grad, torch.full_like(leaf, expected))


@every
@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("kernels", ["auto", "reference"])
def test_dropped_is_exact_zero_with_zero_gradient_whatever_stood_there(case, value, kernels, seed):
    before = dk.ops.kernels.status().active
    dk.ops.kernels.use(kernels)
    try:
        operands = [torch.full((40, 50), value), torch.zeros(50), torch.zeros(40, 50)]
        operands = {1: operands[:1], 2: operands[::2], 3: operands}[case.count]
        x = operands[0].requires_grad_()
        with stream(seed):
            y = case.call(operands, 0.5, training=True, site="a")
        y.sum().backward()
    finally:
        dk.ops.kernels.use(before)
    dropped = torch.from_numpy(~mask((40, 50), 0.5, seed=seed, site="a"))
    assert 0 < dropped.sum() < dropped.numel()
    assert torch.equal(y[dropped], torch.zeros(int(dropped.sum())))
    assert torch.equal(x.grad[dropped], torch.zeros(int(dropped.sum())))
    if value > 0:
        assert bool((y[~dropped] == value).all())


@every
def test_a_generator_alone_decides(case, rng, seed):
    operands = case.operands(SHAPE, torch.float32, seed)
    start = rng.get_state()
    first = case.call(operands, 0.5, training=True, generator=rng)
    assert not torch.equal(case.call(operands, 0.5, training=True, generator=rng), first)
    rng.set_state(start)
    assert torch.equal(case.call(operands, 0.5, training=True, generator=rng), first)


@every
def test_the_batch_may_come_in_chunks(case, seed):
    operands = case.operands((6, 130), torch.float32, seed)

    def part(rows, sample):
        chosen = [o if o.ndim == 1 else o[rows] for o in operands]
        with stream(seed, sample=sample):
            return case.call(chosen, 0.5, training=True, site="a")

    whole = part(slice(None), 0)
    assert torch.equal(part(slice(2, None), 2), whole[2:])
    order = torch.arange(6).flip(0)
    assert torch.equal(part(order, order), whole[order])


class Constant(Schedule):
    def at(self, step):
        return 0.3


@every
def test_a_tensor_of_rates_and_a_schedule(case, seed):
    operands = case.operands((4, 130), torch.float32, seed)
    rates = torch.tensor([0.01, 0.3, 0.7, 1.0]).view(4, 1)
    with stream(seed):
        got = case.call(operands, rates, training=True, site="a")
    assert got.shape == (4, 130)
    for row, rate in enumerate(rates.flatten().tolist()):
        with stream(seed):
            one = case.call(operands, rate, training=True, site="a")[row]
        torch.testing.assert_close(got[row], one, rtol=3e-7, atol=0)
    with stream(seed):
        scheduled = case.call(operands, Constant(), training=True, site="a")
    with stream(seed):
        assert torch.equal(scheduled, case.call(operands, 0.3, training=True, site="a"))


@every
def test_inputs_are_not_modified_and_empty_ones_are_fine(case, seed):
    operands = case.operands(SHAPE, torch.float32, seed)
    before = [o.clone() for o in operands]
    case.call(operands, 0.5, training=True)
    assert all(torch.equal(a, b) for a, b in zip(operands, before, strict=True))
    assert case.call(case.operands((0, 3), torch.float32, seed), 0.5, training=True).shape == (0, 3)


@every
@pytest.mark.parametrize("training", [True, False])
def test_bad_arguments_are_named(case, training):
    operands = case.operands(SHAPE, torch.float32, 1)
    with pytest.raises(RateError, match=r"rate must be in \[0, 1\], got 1\.7"):
        case.call(operands, 1.7, training=training)
    whole = [torch.ones(o.shape, dtype=torch.int64) for o in operands]
    with pytest.raises(DtypeError, match=r"floating-point tensor, got torch\.int64"):
        case.call(whole, 0.5, training=training)
    for i in range(1, case.count):
        with pytest.raises(DtypeError, match=r"floating-point (residual|bias), got torch\.int64"):
            case.call([*operands[:i], whole[i], *operands[i + 1 :]], 0.5, training=training)
        with pytest.raises(ShapeError, match=r"needs a (residual|bias) of .*, got \(1,\)"):
            case.call([*operands[:i], torch.ones(1), *operands[i + 1 :]], 0.5, training=training)


def test_a_bias_needs_an_axis():
    with pytest.raises(ShapeError, match="bias of shape"):
        fused.bias_dropout_add(torch.tensor(1.0), torch.tensor(1.0), torch.tensor(1.0), 0.5, training=True)


def test_an_unknown_approximation_is_named():
    with pytest.raises(ApproximateError, match="approximate must be 'none' or 'tanh', got 'erf'"):
        fused.gelu_dropout(torch.ones(2), 0.5, approximate="erf", training=True)


@pytest.mark.parametrize(
    ("x", "residual", "output"),
    [(torch.bfloat16, torch.float32, torch.float32), (torch.float32, torch.float64, torch.float64)],
)
def test_a_residual_of_another_dtype_is_promoted(x, residual, output, seed):
    a, b = torch.randn(9, 13).to(x), torch.randn(9, 13).to(residual)
    with stream(seed):
        y = fused.dropout_add(a, b, 0.5, training=True, site="a")
    kept = torch.from_numpy(mask((9, 13), 0.5, seed=seed, site="a"))
    assert y.dtype is output
    assert torch.equal(y, torch.where(kept, a.to(output) * 2, 0) + b.to(output))
