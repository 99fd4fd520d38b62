"""Attention: PyTorch's own but for the coins, which are those of the reference mask."""

import contextlib

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.utils.checkpoint import checkpoint

import dropkit as dk
from dropkit.core import DtypeError, RateError, ShapeError
from tests.laws import assert_frequency

NEGATIVE = float("-inf")


def made(rng, *shapes, dtype=torch.float32):
    return tuple(torch.randn(s, generator=rng, dtype=torch.float64).to(dtype) for s in shapes)


def expected(q, k, v, rate, seed, mask=None, scale=None, **key):
    """The law itself, in fp64, under the mask that NumPy draws."""
    q, k, v = (x.double() for x in (q, k, v))
    scores = q @ k.mT * (q.shape[-1] ** -0.5 if scale is None else scale)
    if mask is not None:
        scores = scores.masked_fill(~mask, NEGATIVE) if mask.dtype == torch.bool else scores + mask
    p = scores.softmax(-1).nan_to_num(0.0)
    keep = torch.from_numpy(dk.random.mask(p.shape, rate, seed=seed, site="a", **key))
    return torch.where(keep, p / (1 - rate), 0.0) @ v


def attend(q, k, v, rate, seed, training=True, **options):
    with dk.random.stream(seed):
        return dk.ops.attention(q, k, v, rate=rate, training=training, site="a", **options)


def near(got, want):
    assert got.dtype.is_floating_point
    torch.testing.assert_close(got, want.to(got.dtype), **TOLERANCE[got.dtype])


TOLERANCE = {
    torch.float64: {"rtol": 1e-12, "atol": 1e-12},
    torch.float32: {"rtol": 1e-5, "atol": 1e-5},
    torch.bfloat16: {"rtol": 2e-2, "atol": 2e-2},
    torch.float16: {"rtol": 3e-3, "atol": 3e-3},
}
SHAPES = {
    "2d": ((5, 8), (7, 8), (7, 6)),
    "3d": ((3, 5, 8), (3, 7, 8), (3, 7, 6)),
    "4d": ((2, 3, 33, 16), (2, 3, 70, 16), (2, 3, 70, 24)),
    "5d": ((2, 2, 2, 5, 8), (2, 2, 2, 7, 8), (2, 2, 2, 7, 8)),
    "broadcast": ((1, 2, 5, 8), (3, 1, 7, 8), (3, 2, 7, 6)),
    "ranks differ": ((2, 5, 8), (3, 2, 7, 8), (7, 6)),
    "values broader": ((2, 5, 8), (2, 7, 8), (4, 2, 7, 6)),
    "one key": ((2, 5, 8), (2, 1, 8), (2, 1, 6)),
    "no features": ((2, 5, 0), (2, 7, 0), (2, 7, 6)),
}


@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_the_law_under_the_reference_mask(shapes, dtype, rng, seed):
    q, k, v = made(rng, *shapes, dtype=dtype)
    before = [x.clone() for x in (q, k, v)]
    got = attend(q, k, v, 0.4, seed, **({"scale": 0.3} if q.shape[-1] == 0 else {}))
    assert got.dtype == dtype
    near(got, expected(q, k, v, 0.4, seed, scale=0.3 if q.shape[-1] == 0 else None))
    assert all(torch.equal(a, b) for a, b in zip((q, k, v), before, strict=True))


MASKS = {
    "boolean": lambda rng: torch.rand(5, 7, generator=rng) < 0.6,
    "padding": lambda rng: torch.rand(2, 1, 1, 7, generator=rng) < 0.6,
    "a head each": lambda rng: torch.rand(3, 5, 7, generator=rng) < 0.6,
    "keys": lambda rng: torch.rand(7, generator=rng) < 0.6,
    "added": lambda rng: torch.randn(2, 1, 5, 7, generator=rng),
    "added a head": lambda rng: torch.randn(3, 1, 7, generator=rng),
    "added -inf": lambda rng: torch.zeros(5, 7).masked_fill(torch.rand(5, 7, generator=rng) < 0.5, NEGATIVE),
    "rows of nothing": lambda rng: torch.arange(5)[:, None].expand(5, 7) > 1,
    "nothing at all": lambda rng: torch.zeros(1, 1, dtype=torch.bool),
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("rate", [0.3, 0.0])
def test_masks(mask, rate, rng, seed):
    q, k, v = made(rng, (2, 3, 5, 8), (2, 3, 7, 8), (2, 3, 7, 8))
    m = mask(rng)
    got = attend(q, k, v, rate, seed, mask=m)
    assert not got.isnan().any()
    near(got, expected(q, k, v, rate, seed, mask=m))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_causal_mask_and_the_same_as_a_tensor(dtype, rng, seed):
    for length in (5, 9):
        q, k, v = made(rng, (2, 3, length, 8), (2, 3, 7, 8), (2, 3, 7, 8), dtype=dtype)
        got = attend(q, k, v, 0.3, seed, is_causal=True)
        near(got, expected(q, k, v, 0.3, seed, mask=torch.ones(length, 7, dtype=torch.bool).tril()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("heads", [2, 3])
def test_query_heads_may_share_keys(heads, dtype, rng, seed):
    q, k, v = made(rng, (2, 6, 5, 8), (2, 2, 7, 8), (2, heads, 7, 8), dtype=dtype)
    wide = (k.repeat_interleave(3, 1), v.repeat_interleave(6 // heads, 1))
    near(attend(q, k, v, 0.3, seed, enable_gqa=True), expected(q, *wide, 0.3, seed))


@pytest.mark.parametrize(
    "options", [{}, {"is_causal": True}, {"scale": 0.7}, {"mask": torch.eye(5, 7).bool()}]
)
@pytest.mark.parametrize("how", [{"rate": 0.0, "training": True}, {"rate": 0.4, "training": False}])
def test_where_nothing_drops_it_is_pytorchs_own(options, how, rng):
    q, k, v = made(rng, (2, 3, 5, 8), (2, 3, 7, 8), (2, 3, 7, 8))
    state = torch.get_rng_state()
    got = dk.ops.attention(q, k, v, **how, **options)
    torch_options = {"attn_mask" if key == "mask" else key: value for key, value in options.items()}
    assert torch.equal(got, F.scaled_dot_product_attention(q, k, v, **torch_options))
    assert torch.equal(torch.get_rng_state(), state)


def test_each_probability_has_its_own_coin_and_the_mean_is_undropped_attention(seed):
    size = 64  # values that read the probabilities off, one column each
    q = torch.zeros(4, 3, 32, 8)
    got = attend(q, torch.zeros(4, 3, size, 8), torch.eye(size).expand(4, 3, size, size), 0.2, seed)
    assert_frequency(got == 0, 0.2)
    torch.testing.assert_close(got[got != 0], torch.tensor(1 / size / 0.8).expand(int((got != 0).sum())))


def test_rate_1_gives_zeros_and_zero_gradients(rng):
    q, k, v = (x.requires_grad_() for x in made(rng, (2, 5, 8), (2, 7, 8), (2, 7, 6)))
    y = dk.ops.attention(q, k, v, rate=1.0, training=True)
    y.sum().backward()
    assert not y.any()
    assert not any(x.grad.any() for x in (q, k, v))


def test_rates_by_tensor_and_by_schedule_of_the_stream(rng, seed):
    q, k, v = made(rng, (2, 3, 5, 8), (2, 3, 7, 8), (2, 3, 7, 8))
    assert torch.equal(attend(q, k, v, torch.tensor(0.25), seed), attend(q, k, v, 0.25, seed))
    rates = torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1)
    got = attend(q, k, v, rates, seed)
    near(got[:, 0], F.scaled_dot_product_attention(q, k, v)[:, 0])
    near(got[:, 1], expected(q, k, v, 0.5, seed)[:, 1])
    assert not got[:, 2].any()


@pytest.mark.parametrize("empty", [(0, 5, 7), (2, 0, 7), (2, 5, 0)])
def test_empty_inputs_count_as_a_call(empty, rng, seed):
    batch, queries, keys = empty
    q, k, v = made(rng, (batch, queries, 8), (batch, keys, 8), (batch, keys, 6))
    with dk.random.stream(seed) as stream:
        y = dk.ops.attention(q, k, v, rate=0.5, training=True)
        assert stream.state_dict()["unnamed"] == 1
        dk.ops.attention(q, k, v, rate=0.0, training=True)
        assert stream.state_dict()["unnamed"] == 2
    assert y.shape == (batch, queries, 6)
    assert not y.any()


@pytest.mark.parametrize("is_causal", [False, True])
def test_first_and_second_derivatives(is_causal, rng, seed):
    inputs = made(rng, (2, 2, 3, 4), (2, 2, 5, 4), (2, 2, 5, 3), dtype=torch.float64)
    inputs = tuple(x.requires_grad_() for x in inputs)

    def call(q, k, v):
        return attend(q, k, v, 0.3, seed, is_causal=is_causal)

    assert gradcheck(call, inputs, check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(call, inputs)


def test_derivatives_of_a_mask_that_is_added(rng, seed):
    q, k, v = made(rng, (2, 2, 3, 4), (2, 2, 5, 4), (2, 2, 5, 3), dtype=torch.float64)
    bias = torch.randn(2, 1, 5, generator=rng, dtype=torch.float64).requires_grad_()
    assert gradcheck(lambda m: attend(q, k, v, 0.3, seed, mask=m), (bias,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("added", [False, True])
def test_rows_of_nothing_have_no_gradient(added, dtype, rng, seed):
    inputs = tuple(x.requires_grad_() for x in made(rng, (2, 5, 8), (2, 7, 8), (2, 7, 6), dtype=dtype))
    mask = torch.arange(5)[:, None].expand(5, 7) > 1
    y = attend(*inputs, 0.3, seed, mask=torch.zeros(5, 7).masked_fill(~mask, NEGATIVE) if added else mask)
    gradients = torch.autograd.grad(y.sum(), inputs)
    assert all(g.isfinite().all() for g in gradients)
    assert not gradients[0][:, :2].any()
    assert gradients[0][:, 2:].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_are_those_of_the_law(dtype, rng, seed):
    inputs = tuple(
        x.requires_grad_() for x in made(rng, (2, 3, 33, 16), (2, 3, 70, 16), (2, 3, 70, 24), dtype=dtype)
    )
    weights = made(rng, (2, 3, 33, 24), dtype=dtype)[0]
    got = torch.autograd.grad(attend(*inputs, 0.4, seed), inputs, weights)
    want = torch.autograd.grad(expected(*inputs, 0.4, seed), inputs, weights.double())
    for a, b in zip(got, want, strict=True):
        near(a, b)


def test_chunks_of_a_batch_get_the_masks_of_the_whole(rng, seed):
    q, k, v = made(rng, (6, 2, 5, 8), (6, 2, 7, 8), (6, 2, 7, 8))
    whole = attend(q, k, v, 0.4, seed)
    for sample, rows in ((2, [2, 3, 4, 5]), (torch.tensor([5, 0, 3]), [5, 0, 3])):
        with dk.random.stream(seed, sample=sample):
            part = dk.ops.attention(*(x[rows] for x in (q, k, v)), rate=0.4, training=True, site="a")
        near(part, whole[rows].double())


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpointed_region_repeats_the_mask(reentrant, rng, seed):
    inputs = tuple(x.requires_grad_() for x in made(rng, (2, 5, 8), (2, 7, 8), (2, 7, 6)))

    def work(*inputs):
        return dk.ops.attention(*inputs, rate=0.4, training=True)

    with dk.random.stream(seed):
        y = checkpoint(work, *inputs, use_reentrant=reentrant)
    y.square().sum().backward()
    got = [x.grad for x in inputs]
    with dk.random.stream(seed):
        z = work(*inputs)
    assert torch.equal(y, z)
    assert all(map(torch.equal, got, torch.autograd.grad(z.square().sum(), inputs)))


def test_compiled_it_has_the_masks_and_gradients_of_eager_code(rng, seed):
    torch.compiler.reset()
    inputs = tuple(x.requires_grad_() for x in made(rng, (2, 3, 33, 16), (2, 3, 70, 16), (2, 3, 70, 24)))

    def work(*inputs):
        return dk.ops.attention(*inputs, rate=0.4, training=True, site="a")

    compiled = torch.compile(work, fullgraph=True, backend="aot_eager")
    with dk.random.stream(seed):
        y = compiled(*inputs)
    near(y, expected(*inputs, 0.4, seed))
    want = torch.autograd.grad(expected(*inputs, 0.4, seed).square().sum(), inputs)
    for a, b in zip(torch.autograd.grad(y.square().sum(), inputs), want, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_members_under_vmap_each_get_their_own_mask(rng, seed):
    q, k, v = made(rng, (4, 2, 5, 8), (2, 7, 8), (4, 2, 7, 6))
    members = torch.arange(4)

    def call(q, v, member):
        with dk.random.stream(seed, member=member):
            return dk.ops.attention(q, k, v, rate=0.4, training=True, site="a")

    got = torch.vmap(call)(q, v, members)
    for i in members.tolist():
        near(got[i], expected(q[i], k, v[i], 0.4, seed, member=i))


def test_under_autocast_it_takes_what_pytorchs_own_takes(rng, seed):
    q, k, v = made(rng, (2, 5, 8), (2, 7, 8), (2, 7, 6))
    with torch.autocast("cpu", torch.bfloat16):
        y = attend(q, k.bfloat16().float(), v, 0.4, seed)
        assert F.scaled_dot_product_attention(q, k, v).dtype == y.dtype == torch.bfloat16
    assert torch.equal(y, attend(q.bfloat16(), k.bfloat16(), v.bfloat16(), 0.4, seed))


BAD = {
    "one axis": (ShapeError, r"\(\*, L, E\)", [(8,), (7, 8), (7, 8)], {}),
    "features": (ShapeError, "last axis, got", [(5, 8), (7, 6), (7, 8)], {}),
    "keys": (ShapeError, "last axis but one", [(5, 8), (7, 8), (6, 8)], {}),
    "heads": (ShapeError, "enable_gqa=True", [(6, 5, 8), (2, 7, 8), (2, 7, 8)], {}),
    "odd heads": (ShapeError, "divide", [(6, 5, 8), (4, 7, 8), (4, 7, 8)], {"enable_gqa": True}),
    "no heads": (ShapeError, "axis of heads", [(5, 8), (7, 8), (7, 8)], {"enable_gqa": True}),
    "batch": (ShapeError, "broadcast", [(3, 6, 5, 8), (2, 2, 7, 8), (2, 2, 7, 8)], {"enable_gqa": True}),
    "mask": (ShapeError, "mask must broadcast", [(5, 8), (7, 8), (7, 8)], {"mask": torch.ones(5, 6)}),
    "broad mask": (ShapeError, "mask must", [(5, 8), (7, 8), (7, 8)], {"mask": torch.ones(2, 5, 7)}),
    "mask dtype": (DtypeError, "boolean, fp32", [(5, 8), (7, 8), (7, 8)], {"mask": torch.ones(5, 7).int()}),
    "two masks": (
        dk.ops.MaskError,
        "is_causal",
        [(5, 8), (7, 8), (7, 8)],
        {"mask": torch.ones(5, 7), "is_causal": True},
    ),
}


@pytest.mark.parametrize(("error", "text", "shapes", "options"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("training", [True, False])
def test_what_does_not_fit_is_refused(error, text, shapes, options, training):
    with pytest.raises(error, match=text):
        dk.ops.attention(*map(torch.ones, shapes), rate=0.5, training=training, **options)


def test_other_refusals(rng):
    q, k, v = made(rng, (5, 8), (7, 8), (7, 8))
    with pytest.raises(RateError, match=r"\[0, 1\]"):
        dk.ops.attention(q, k, v, rate=1.5, training=True)
    with pytest.raises(DtypeError, match="floating-point"):
        dk.ops.attention(q.int(), k.int(), v.int(), rate=0.5, training=True)
    with pytest.raises(DtypeError, match="one dtype"):
        dk.ops.attention(q, k.double(), v, rate=0.5, training=True)
    with pytest.raises(RuntimeError):  # what PyTorch's own raises
        dk.ops.attention(q, k, v, mask=torch.ones(5, 7), is_causal=True, rate=0.5, training=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("how", ["plain", "is_causal", "mask", "enable_gqa"])
@pytest.mark.parametrize("stream", [False, True])
def test_shapes_are_told_without_data(how, dtype, stream, seed):
    """On tensors that are shapes only, as of a model built under ``torch.device("meta")``."""
    heads = 2 if how == "enable_gqa" else 4
    q, k, v = (
        torch.ones(3, n, length, width, device="meta", dtype=dtype, requires_grad=True)
        for n, length, width in ((4, 5, 8), (heads, 7, 8), (heads, 7, 6))
    )
    more = {"mask": torch.ones(5, 7, dtype=torch.bool, device="meta")} if how == "mask" else {}
    more |= {how: True} if how in ("is_causal", "enable_gqa") else {}
    with dk.random.stream(seed) if stream else contextlib.nullcontext():
        y = dk.ops.attention(q, k, v, rate=0.3, training=True, **more)
    assert (y.shape, y.dtype, y.device.type) == ((3, 4, 5, 6), dtype, "meta")
    y.sum().backward()
    assert [x.grad.shape for x in (q, k, v)] == [q.shape, k.shape, v.shape]


@pytest.mark.parametrize("variant", ["attention_dropout", "drop_key", "drop_head"])
def test_models_without_data_are_run(variant):
    with torch.device("meta"):
        model, x = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), torch.ones(3, 5, 8)
    with dk.accelerate(model):
        assert model(x).shape == (3, 5, 8)
    with dk.plan(model, [dk.Rule(at="attention", variant=variant, rate=0.3)]).apply(model):
        assert model(x).shape == (3, 5, 8)
