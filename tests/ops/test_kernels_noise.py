"""Gaussian noise on the native kernels: the reference's outputs bit for bit, derivatives, transforms, compilation."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import forward_ad, gradcheck, gradgradcheck

import dropkit as dk
from dropkit.ops import kernels, reference
from dropkit.ops.kernels import loading, noise
from dropkit.random import Key

KERNELS = [name for name in kernels.status().supported if name != "reference"]
pytestmark = pytest.mark.skipif(not KERNELS, reason=kernels.status().reason)

FLOATS = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
KINDS = {
    "multiplied": (noise.multiplied, reference.multiply_noise),
    "added": (noise.added, reference.add_noise),
}
both = pytest.mark.parametrize(("native", "plain"), KINDS.values(), ids=list(KINDS))


@pytest.fixture(autouse=True)
def restored():
    before = kernels.status().active
    yield
    kernels.use(before)


LAYOUTS = {
    "contiguous": lambda x: x,
    "reversed axes": lambda x: x.permute(*range(x.ndim)[::-1]).contiguous().permute(*range(x.ndim)[::-1]),
    "sliced": lambda x: torch.stack((x, x), -1)[..., 0],
    "expanded": lambda x: x[:1].expand(x.shape),
}


@both
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("dtype", FLOATS)
@settings(max_examples=40, deadline=None)
@given(
    key=st.tuples(*[st.integers(0, 2**32 - 1)] * 4),
    shape=st.lists(st.integers(1, 70), min_size=1, max_size=3).filter(lambda s: math.prod(s) < 20_000),
    layout=st.sampled_from(sorted(LAYOUTS)),
    sample=st.one_of(st.integers(0, 1000), st.just("rows")),
    deviation=st.floats(1e-3, 30.0),
    seed=st.integers(0, 2**31),
)
def test_outputs_are_those_of_the_reference(
    native, plain, name, dtype, key, shape, layout, sample, deviation, seed
):
    kernels.use(name)
    generator = torch.Generator().manual_seed(seed)
    x = LAYOUTS[layout](torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype))
    before = x.clone()
    rows = torch.randint(0, 1000, shape[:1], generator=generator) if sample == "rows" else sample
    got = native(x, deviation, Key(key, rows))
    assert got.dtype is dtype
    assert torch.equal(got, plain(x, deviation, Key(key, rows)))
    assert got.stride() == torch.empty_like(x).stride()
    assert torch.equal(x, before)


@both
@pytest.mark.parametrize("name", KERNELS)
def test_a_million_outputs_are_those_of_the_reference(native, plain, name, seed):
    kernels.use(name)
    x, key = torch.ones(1_000_003, dtype=torch.float64), Key((seed, 1, 2, 3))
    assert torch.equal(native(x, 1.0, key), plain(x, 1.0, key))


@both
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_every_size_to_300_touches_nothing_outside(native, plain, name, dtype, seed):
    kernels.use(name)
    kind, key = list(KINDS.values()).index((native, plain)), Key((seed, 1, 2, 3))
    for size in range(301):
        x, room = torch.randn(size + 64).to(dtype)[32 : 32 + size], torch.full((size + 64,), 7.0, dtype=dtype)
        out = room[32 : 32 + size]
        where = (x.data_ptr(), out.data_ptr(), size, (*key.words, 0), 0.5)
        loading.native.gaussian(kind, FLOATS.index(dtype), *where)
        assert torch.equal(out, plain(x, 0.5, key))
        assert bool((room[:32] == 7).all())
        assert bool((room[32 + size :] == 7).all())


@both
def test_a_start_across_the_upper_word_of_the_counter(native, plain, seed):
    x = torch.ones(1, 300, dtype=torch.float64)
    for sample in (2**34 // 300 - 1, 2**34 // 300):  # 2**32 blocks hold 2**34 variates
        key = Key((seed, 1, 2, 3), sample)
        assert torch.equal(native(x, 1.0, key), plain(x, 1.0, key))


@both
def test_the_number_of_threads_changes_nothing(native, plain, seed):
    x, before, results = torch.randn(33, 9, 211), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            for data in (x, LAYOUTS["reversed axes"](x)):
                results.append(native(data, 1.0, Key((seed, 1, 2, 3), 7)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(y, results[0]) for y in results)


def by(function, seed):
    return lambda x: function(x, 0.7, Key((seed, 1, 2, 3)))


@both
def test_first_and_second_derivatives(native, plain, seed, rng):
    x = torch.randn(6, 7, dtype=torch.float64, generator=rng).requires_grad_()
    assert gradcheck(by(native, seed), x, check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(by(native, seed), x)


@both
def test_gradients_and_tangents_are_those_of_the_reference_and_keep_nothing(native, plain, seed, rng):
    x = torch.randn(40, 9, generator=rng).requires_grad_()
    tangent = torch.randn(40, 9, generator=rng)
    kept, results = [], []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        by(native, seed)(x)
    assert kept == []
    for function in (by(native, seed), by(plain, seed)):
        (gradient,) = torch.autograd.grad(function(x), x, tangent)
        (expanded,) = torch.autograd.grad(function(x).sum(), x)
        with forward_ad.dual_level():
            dual = forward_ad.unpack_dual(function(forward_ad.make_dual(x.detach(), tangent)))
        results.append((gradient, expanded, dual.tangent, torch.func.jvp(function, (x,), (tangent,))[1]))
    for a, b in zip(*results, strict=True):
        assert torch.equal(a, b)


TRANSFORMS = {
    "grad": lambda f: torch.func.grad(lambda x: f(x).pow(3).sum()),
    "hessian": lambda f: torch.func.hessian(lambda x: f(x).pow(3).sum()),
    "jacfwd": torch.func.jacfwd,
    "jacrev": torch.func.jacrev,
}


@both
@pytest.mark.parametrize("name", TRANSFORMS)
def test_function_transforms_give_what_the_reference_gives(native, plain, name, seed, rng):
    x = torch.randn(4, 3, dtype=torch.float64, generator=rng)
    got, expected = (TRANSFORMS[name](by(function, seed))(x) for function in (native, plain))
    assert expected.count_nonzero() > 0
    torch.testing.assert_close(got, expected, rtol=1e-14, atol=0)


@both
@pytest.mark.parametrize("in_dim", [0, 1, None])
@pytest.mark.parametrize("which", ["member", "sample", "both", "neither"])
def test_members_under_vmap_each_get_their_own_noise(native, plain, in_dim, which, seed, rng):
    members, x = torch.arange(4), torch.randn(6, 7, generator=rng)
    inputs = x if in_dim is None else torch.stack([x + m for m in members], dim=in_dim)
    samples = torch.randint(0, 50, (4, 6), generator=rng)

    def call(x, member, sample):
        keys = {"member": member} if which in ("member", "both") else {}
        keys |= {"sample": sample} if which in ("sample", "both") else {}
        with dk.random.stream(seed, **keys):
            return native(x, 0.7, dk.random.next_key("a", None, x.device))

    got = torch.vmap(call, in_dims=(in_dim, 0, 0))(inputs, members, samples)
    for i, member in enumerate(members):
        one = inputs if in_dim is None else inputs.select(in_dim, i)
        assert torch.equal(got[i], call(one, member, samples[i]))


@both
def test_compiled_code_gives_the_eager_noise_and_gradient(native, plain, seed, rng):
    torch.compiler.reset()
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    def call(x):
        return native(x, 0.7, dk.random.next_key("a", None, x.device))

    x = torch.randn(6, 70, generator=rng)
    compiled, traced = (torch.compile(call, fullgraph=True, backend=b) for b in (backend, "aot_eager"))
    with dk.random.stream(seed) as s:
        for _ in range(20):
            got = compiled(x)
            leaf = x.clone().requires_grad_()
            with dk.random.stream(seed, step=s.step):
                assert torch.equal(got, call(x))
            with dk.random.stream(seed, step=s.step):
                (gradient,) = torch.autograd.grad(call(leaf).sum(), leaf)
            with dk.random.stream(seed, step=s.step):
                assert torch.equal(torch.autograd.grad(traced(leaf).sum(), leaf)[0], gradient)
            s.advance()
    assert len(graphs) == 1
    assert "dropkit_native.gaussian" in graphs[0].code
    torch.compiler.reset()


@pytest.mark.parametrize("kind", [0, 1])
def test_the_registered_operator_passes_opcheck(kind, seed, rng):
    gaussian, one = torch.ops.dropkit_native.gaussian, torch.tensor(0.7, dtype=torch.float64)
    for shape, dtype in (((5,), torch.float32), ((6, 5), torch.float64), ((5,), torch.bfloat16)):
        words = torch.randint(0, 2**32, shape, generator=rng)
        for x in (torch.randn(6, 7, generator=rng), torch.randn(7, 6, generator=rng).t()):
            x = x.to(dtype).requires_grad_()
            torch.library.opcheck(gaussian.default, (x, words, one, kind))


def test_what_does_not_fit_is_refused():
    gaussian, x = torch.ops.dropkit_native.gaussian, torch.ones(6, 7)
    key, one = torch.zeros(5, dtype=torch.int64), torch.ones((), dtype=torch.float64)
    for bad in (
        lambda: gaussian(x, key, one.float(), 0),
        lambda: gaussian(x, key, one.expand(2), 0),
        lambda: gaussian(x, key, one, 2),
        lambda: gaussian(x, key.expand(7, 5), one, 0),
        lambda: gaussian(x.long(), key, one, 0),
    ):
        with pytest.raises(RuntimeError):
            bad()
    for bad in (
        lambda: loading.native.gaussian(2, 0, 0, 0, 0, (0,) * 5, 1.0),
        lambda: loading.native.gaussian(0, 4, 0, 0, 0, (0,) * 5, 1.0),
        lambda: loading.native.gaussian(0, 0, 0, 0, -1, (0,) * 5, 1.0),
        lambda: loading.native.gaussian(0),
    ):
        with pytest.raises((TypeError, ValueError)):
            bad()
