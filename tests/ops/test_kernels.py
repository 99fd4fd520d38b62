"""The native kernels against the plain-torch reference: the same bits, masks and outputs, whatever is asked."""

import copy
import itertools

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

import dropkit as dk
from dropkit.core import ConfigError
from dropkit.ops import kernels, reference
from dropkit.ops.kernels import loading
from dropkit.ops.kernels import masked as native
from dropkit.ops.law import replacing, selecting
from dropkit.random import Key, keep_mask
from tests.nn.contract import (
    assert_close,
    entries,
    floats,
    leaves_requiring_gradients,
    made,
    map_floats,
    run,
    same,
)

KERNELS = [name for name in kernels.status().supported if name != "reference"]
pytestmark = pytest.mark.skipif(not KERNELS, reason=kernels.status().reason)

FLOATS = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
search = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
words = st.tuples(*[st.integers(0, 2**32 - 1)] * 4)
rates = st.one_of(
    st.sampled_from([0.5, 0.1, 0.25, 2**-32, 1 - 2**-32, 2**-16, 1e-300, 1 - 1e-9]),
    st.floats(1e-12, 1 - 1e-12),
)


@pytest.fixture(autouse=True)
def restored():
    before = kernels.status().active
    yield
    kernels.use(before)


def bits(tensor):
    """Compare bit for bit, except that any NaN is as good as another: torch itself makes several."""
    as_int = {2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
    return torch.where(tensor.isnan(), -1, tensor.contiguous().view(as_int))


def assert_same(got, expected):
    assert got.dtype is expected.dtype
    assert got.shape == expected.shape
    assert torch.equal(bits(got), bits(expected))


def numbers(count, dtype, seed):
    """Draw numbers of every magnitude, some of them special."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, generator=generator, dtype=torch.float64)
    x *= torch.pow(10.0, torch.randint(-45, 39, (count,), generator=generator).double())
    special = torch.tensor([0.0, -0.0, float("inf"), float("-inf"), float("nan"), 1e-40, 65504.0, -1e-7])
    which = torch.randint(0, 40, (count,), generator=generator)
    return torch.where(which < 8, special[which.clamp(max=7)], x).to(dtype)


@st.composite
def layouts(draw):
    """Draw a tensor's shape, how to lay it out, and the axes along which its mask is constant."""
    shape = draw(st.lists(st.integers(0, 9), max_size=4))
    if draw(st.booleans()):
        shape.append(draw(st.sampled_from([1, 16, 17, 64, 127, 300, 4097])))
    order = draw(st.permutations(range(len(shape))))
    steps = [draw(st.integers(1, 2)) for _ in shape]
    expanded = [draw(st.integers(0, 9)) == 0 for _ in shape]
    coins = [1 if draw(st.integers(0, 2)) == 0 else n for n in shape] if draw(st.booleans()) else list(shape)
    return shape, order, steps, expanded, coins


def laid_out(layout, dtype, seed):
    shape, order, steps, expanded, _ = layout
    memory = [shape[a] * steps[a] for a in order]
    x = numbers(torch.Size(memory).numel(), dtype, seed).view(memory)
    x = x[tuple(slice(None, None, steps[a]) for a in order)].permute(
        [order.index(a) for a in range(len(shape))]
    )
    for axis, wide in enumerate(expanded):
        if wide and shape[axis]:
            x = x.narrow(axis, 0, 1).expand(x.shape)
    return x


@pytest.mark.parametrize("name", KERNELS)
@search
@given(
    key=words,
    rate=rates,
    start=st.one_of(st.integers(0, 300), st.sampled_from([2**35 - 64, 2**35 - 256, 2**35, 2**40 + 1])),
    count=st.integers(1, 700),
)
def test_bits_are_those_of_the_reference(name, key, rate, start, count):
    kernels.use(name)
    rows = torch.ones(1, count)
    law = selecting(rate, 1.0)
    if start > 300:  # too far for the reference to draw from 0 on: element by element instead
        index = torch.arange(start, start + count)
        number = (dk.random.layout.bits_at(index, 0, key) << 16) | dk.random.layout.bits_at(
            index, 1 << 31, key
        )
        expected = (number >= law.threshold).view(1, count)
    else:
        expected = keep_mask((1, count + start), rate, Key(key), rows.device)[:, start:]
    got = torch.ops.dropkit_native.select(rows, torch.tensor([*key, start]), law.tensor(), rows.shape)
    assert torch.equal(got == 1.0, expected)


@pytest.mark.parametrize("name", KERNELS)
@search
@given(
    layout=layouts(),
    dtype=st.sampled_from(FLOATS),
    key=words,
    rate=rates,
    affine=st.booleans(),
    scale=st.one_of(st.none(), st.floats(0.1, 3.0)),
    seed=st.integers(0, 2**31),
)
def test_outputs_are_those_of_the_reference(name, layout, dtype, key, rate, affine, scale, seed):
    kernels.use(name)
    x, coins = laid_out(layout, dtype, seed), layout[-1]
    scale = reference.keep_scale(rate) if scale is None else scale
    law = replacing(rate, scale, 0.3, -1.7) if affine else selecting(rate, scale)
    expected = reference.apply(x, law, keep_mask(coins, rate, Key(key), x.device))
    before = x.clone()
    assert_same(native.masked(x, law, coins, Key(key)), expected)
    assert_same(x, before)
    if list(coins) == list(x.shape):
        assert_same(native.masked(x, law, None, Key(key)), expected)


@pytest.mark.parametrize("name", KERNELS)
@search
@given(
    rows=st.integers(1, 7),
    width=st.sampled_from([1, 3, 64, 130]),
    by_row=st.sampled_from(["sample", "member", "both"]),
    key=words,
    seed=st.integers(0, 2**31),
)
def test_one_sample_or_member_a_row(name, rows, width, by_row, key, seed):
    kernels.use(name)
    generator = torch.Generator().manual_seed(seed)
    sample = torch.randint(0, 1000, (rows,), generator=generator) if by_row != "member" else 3
    if by_row != "sample":
        key = tuple(torch.randint(0, 2**32, (rows,), generator=generator) for _ in range(4))
    x, law = numbers(rows * width, torch.float32, seed).view(rows, width), selecting(0.3, 1.5)
    for coins in ((rows, width), (rows, 1)):
        expected = reference.apply(x, law, keep_mask(coins, 0.3, Key(key, sample), x.device))
        assert_same(native.masked(x, law, coins, Key(key, sample)), expected)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_every_size_to_300_touches_nothing_outside(name, dtype, seed):
    kernels.use(name)
    law, key = selecting(0.4, 1 / 0.6), Key((1, 2, 3, seed))
    for size in range(301):
        room = torch.full((size + 64,), 7.0, dtype=dtype)
        x = numbers(size + 64, dtype, seed)[32 : 32 + size]
        out = room[32 : 32 + size]
        loading.native.dense(
            0,
            FLOATS.index(dtype),
            x.data_ptr(),
            out.data_ptr(),
            size,
            (*key.words, 0),
            law.threshold,
            law.scale,
        )
        assert_same(out, reference.apply(x, law, keep_mask((size,), 0.4, key, x.device)))
        assert bool((room[:32] == 7).all())
        assert bool((room[32 + size :] == 7).all())


@pytest.mark.parametrize("coins", [None, (33, 1, 211, 1), (33, 9, 1, 1)])
def test_the_number_of_threads_changes_nothing(coins, seed):
    x = torch.randn(33, 9, 211, 5, generator=torch.Generator().manual_seed(seed))
    before, results = torch.get_num_threads(), []
    try:
        for threads, layout in itertools.product(
            (1, 2, 3, 7), (torch.contiguous_format, torch.channels_last)
        ):
            torch.set_num_threads(threads)
            y = native.masked(x.to(memory_format=layout), selecting(0.5, 2.0), coins, Key((seed, 1, 2, 3), 5))
            assert y.is_contiguous(memory_format=layout)
            results.append(y)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(y, results[0]) for y in results)


def test_a_tie_is_settled_by_sixteen_more_bits(seed):
    x, rate = torch.ones(1 << 20), 0.3 + 2**-17
    expected = keep_mask(x.shape, rate, Key((seed, 1, 2, 3)), x.device)
    coarse = keep_mask(x.shape, int(rate * 2**16) / 2**16, Key((seed, 1, 2, 3)), x.device)
    assert not torch.equal(coarse, expected)  # else this tests nothing
    for name in KERNELS:
        kernels.use(name)
        assert torch.equal(native.masked(x, selecting(rate, 1.0), None, Key((seed, 1, 2, 3))) == 1, expected)


@pytest.mark.parametrize("entry", entries())
@pytest.mark.parametrize("dtype", FLOATS)
def test_every_entry_gives_the_same_with_and_without_kernels(entry, dtype, seed):
    module, inputs = made(entry, 0.3)
    module.to(dtype)
    state, outputs = copy.deepcopy(module.state_dict()), []
    for name in (*KERNELS, "reference"):
        kernels.use(name)
        module.load_state_dict(state)
        fresh, leaves = leaves_requiring_gradients(map_floats(lambda x: x.to(dtype), inputs))
        values = floats(run(module, fresh, seed, sample=3))
        if leaves:  # word dropout acts on whole numbers
            sum(v.sum() for v in values if v.requires_grad).backward()
        outputs.append((values, [leaf.grad for leaf in leaves]))
    for values, gradients in outputs[:-1]:
        if entry.name == "gaussian_dropout":
            near = {torch.float64: 1e-12, torch.float32: 3e-7, torch.bfloat16: 2e-2, torch.float16: 2e-3}
            assert_close(values, outputs[-1][0], rtol=near[dtype], atol=0)
        else:
            assert same((values, gradients), outputs[-1])


def test_a_negated_view_and_a_watched_call_give_the_same(seed):
    z = torch.randn(64, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))
    x = z.conj().imag
    assert x.is_neg()
    key, law = Key((seed, 1, 2, 3)), selecting(0.5, 2.0)
    expected = native.masked(x.resolve_neg(), law, None, key)
    assert_same(native.masked(x, law, None, key), expected)
    with FlopCounterMode(display=False):
        assert_same(native.masked(x.resolve_neg(), law, None, key), expected)


def test_key_mixing_is_that_of_the_python_code(seed):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(50):
        drawn = tuple(torch.randint(0, 2**32, (6,), generator=generator).tolist())
        assert loading.native.philox(drawn[:4], drawn[4:]) == dk.random.philox.philox(drawn[:4], drawn[4:])
    with pytest.raises(OverflowError):
        loading.native.philox((2**32, 0, 0, 0), (0, 0))
    with pytest.raises(TypeError, match="tuple"):
        loading.native.philox((0, 0, 0), (0, 0))


def test_status_says_what_runs_and_why():
    kernels.use("reference")
    assert not kernels.active()
    assert kernels.status().active == "reference"
    assert kernels.status().reason == "reference was asked for"
    kernels.use("auto")
    assert kernels.status().active == kernels.status().supported[0]
    with pytest.raises(ConfigError, match=r"kernels must be one of auto, .*, got 'sse9'"):
        kernels.use("sse9")
