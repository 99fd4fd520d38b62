"""The native kernels under autograd, transforms and the compiler."""

from functools import partial
from itertools import count

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch.autograd import forward_ad, gradcheck, gradgradcheck

import dropkit as dk
from dropkit.ops import kernels, reference
from dropkit.ops.kernels import masked as native
from dropkit.ops.law import replacing, selecting
from dropkit.random import Key, keep_mask

pytestmark = pytest.mark.skipif(kernels.status().supported == ("reference",), reason=kernels.status().reason)

LAWS = [
    pytest.param(selecting(0.4, 1 / 0.6), id="select"),
    pytest.param(replacing(0.4, 0.7, 0.3, -1.0), id="affine"),
]
COINS = [None, (6, 1, 5), (6, 7, 1), (6, 1, 1)]
WIDTH = 16  # bytes of a key


@pytest.fixture(autouse=True)
def active():
    before = kernels.status().active
    kernels.use("auto")
    yield
    kernels.use(before)


@pytest.fixture
def x(rng):
    return torch.randn(6, 7, 5, generator=rng, dtype=torch.float64)


def live_key(seed, law, *shapes):
    """Return a key that drops not everything from any of ``shapes``: few coins may all fall on one side."""
    for word in count(seed):
        key = Key((word % 2**32, 1, 2, 3))
        if all(keep_mask(shape, law.rate, key, torch.device("cpu")).any() for shape in shapes):
            return key


def by_reference(x, law, coins, key):
    return reference.apply(x, law, keep_mask(x.shape if coins is None else coins, law.rate, key, x.device))


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("coins", COINS)
def test_first_and_second_derivatives(law, coins, x, seed):
    def call(x):
        return native.masked(x, law, coins, Key((seed, 1, 2, 3)))

    assert gradcheck(call, x.requires_grad_(), check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(call, x)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("coins", COINS)
def test_a_tangent_is_mask_times_scale_times_tangent(law, coins, x, rng, seed):
    key = live_key(seed, law, x.shape if coins is None else coins)
    tangent = torch.randn(x.shape, generator=rng, dtype=x.dtype)
    expected = by_reference(tangent, law.derivative(), coins, key)
    assert expected.count_nonzero() > 0
    y, got = torch.func.jvp(lambda x: native.masked(x, law, coins, key), (x,), (tangent,))
    assert torch.equal(got, expected)
    assert torch.equal(y, by_reference(x, law, coins, key))
    with forward_ad.dual_level():
        dual = native.masked(forward_ad.make_dual(x, tangent), law, coins, key)
        assert torch.equal(forward_ad.unpack_dual(dual).tangent, expected)


TRANSFORMS = {
    "grad": lambda f: torch.func.grad(lambda x: f(x).square().sum()),
    "hessian": lambda f: torch.func.hessian(lambda x: f(x).square().sum()),
    "jacfwd": torch.func.jacfwd,
    "jacrev": torch.func.jacrev,
    "grad of vmap": lambda f: torch.func.grad(lambda x: torch.func.vmap(f, 1, 1)(x).square().sum()),
    "vmap of grad": lambda f: torch.func.vmap(torch.func.grad(lambda x: f(x).square().sum()), 1, 1),
    "vmap of vmap": lambda f: torch.func.vmap(torch.func.vmap(f, 1, 1), 0, 0),
}


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("coins", [None, (1, 5), (1,)])
def test_function_transforms_give_what_the_reference_gives(name, law, coins, x, seed):
    small = x[:3, :4].contiguous()

    def shape(x):
        return (
            None
            if coins is None
            else tuple(n if c > 1 else 1 for n, c in zip(x.shape, (coins * 3), strict=False))
        )

    inner = (small, small[:, 0], small[0, :, 0])  # what the function sees, by the number of axes mapped over
    key = live_key(seed, law, *(shape(part) or part.shape for part in inner))
    got = TRANSFORMS[name](lambda x: native.masked(x, law, shape(x), key))(small)
    want = TRANSFORMS[name](lambda x: by_reference(x, law, shape(x), key))(small)
    assert want.count_nonzero() > 0
    assert torch.equal(got, want)


FUNCTIONALIZED = {
    "alone": torch.func.functionalize,
    "of grad": lambda f: torch.func.functionalize(torch.func.grad(lambda x: f(x).square().sum())),
    "in grad": lambda f: torch.func.grad(lambda x: torch.func.functionalize(f)(x).square().sum()),
    "in jacfwd": lambda f: torch.func.jacfwd(torch.func.functionalize(f)),
    "of vmap": lambda f: torch.func.functionalize(torch.func.vmap(f)),
}


@pytest.mark.parametrize("name", FUNCTIONALIZED)
@pytest.mark.parametrize("op", ["dropout", "alpha_dropout", "drop_path", "gaussian_dropout"])
def test_functionalize_gives_what_the_reference_gives(name, op, x, seed):
    def call(x, seed=seed):
        with dk.random.stream(seed):
            return getattr(dk.ops, op)(x, 0.4, training=True)

    small, results = x[:3, :4].contiguous(), []
    alive = next(s for s in range(seed, seed + 200) if call(small, s).count_nonzero())  # a row is kept, too
    call = partial(call, seed=alive)
    for kind in ("auto", "reference"):
        kernels.use(kind)
        results.append(FUNCTIONALIZED[name](call)(small))
    assert results[0].count_nonzero() > 0
    torch.testing.assert_close(*results, rtol=1e-12, atol=0)


def _fit(coins, x):
    return None if coins is None else tuple(1 if c == 1 else n for c, n in zip(coins, x.shape, strict=True))


@pytest.mark.parametrize("coins", COINS)
@pytest.mark.parametrize("in_dim", [0, 2, None])
@pytest.mark.parametrize("which", ["member", "sample", "both", "neither"])
def test_members_under_vmap_each_get_their_own_masks(coins, in_dim, which, x, seed):
    # the mapped axis of x is its last but one; each member sees a tensor of shape (6, 7, 5)
    members = torch.arange(4)
    inputs = torch.stack([x + m for m in members], dim=in_dim) if in_dim is not None else x
    sample = torch.randint(0, 50, (4, 6), generator=torch.Generator().manual_seed(seed))
    law = selecting(0.4, 2.0)

    def call(x, member, sample):
        kinds = {"member": member} if which in ("member", "both") else {}
        kinds |= {"sample": sample} if which in ("sample", "both") else {}
        with dk.random.stream(seed, **kinds):
            key = dk.random.next_key("a", None, x.device)
        return native.masked(x, law, coins, key)

    got = torch.vmap(call, in_dims=(in_dim, 0, 0))(inputs, members, sample)
    for i, m in enumerate(members):
        one = inputs if in_dim is None else inputs.select(in_dim, i)
        assert torch.equal(got[i], call(one, m, sample[i]))


def test_nothing_but_a_key_is_kept_for_backward(seed):
    x = torch.randn(1000, 100, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.nbytes) or t, lambda t: t):
        with dk.random.stream(seed):
            for op in (dk.ops.dropout, dk.ops.alpha_dropout, dk.ops.drop_path):
                op(x, 0.5, training=True)
            images = x.view(10, 10, 10, 100)
            dk.ops.spatial_dropout2d(images, 0.5, training=True)
        with dk.random.stream(seed, sample=torch.arange(1000)):
            y = dk.ops.dropout(x, 0.5, training=True)
    assert sum(kept) <= 1000 * 64  # the keys of the last call alone, one a row
    assert len(kept) <= 1
    assert y.grad_fn is not None
    kept.clear()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.nbytes) or t, lambda t: t):
        dk.ops.dropout(x, 0.5, training=True).sum().backward()
    assert sum(kept) <= WIDTH


def test_backward_twice_and_after_the_stream_moved_on(seed):
    x = torch.ones(1000, requires_grad=True)
    with dk.random.stream(seed) as stream:
        y = dk.ops.dropout(x, 0.5, training=True)
        stream.advance()
        y.sum().backward(retain_graph=True)
    first = x.grad.clone()
    y.sum().backward()
    assert torch.equal(first, (y != 0) * 2.0)
    assert torch.equal(x.grad, 2 * first)


OPERATORS = torch.ops.dropkit_native


@pytest.mark.parametrize(
    ("key", "dtype", "coins"),
    [((5,), torch.float32, (6, 7, 5)), ((6, 5), torch.float64, (6, 7, 1)), ((5,), torch.bfloat16, (6, 1, 5))],
)
def test_registered_operators_pass_opcheck(key, dtype, coins, x, seed):
    words = torch.randint(0, 2**32, key, generator=torch.Generator().manual_seed(seed))
    for data in (
        x.to(dtype),
        x.to(dtype).transpose(1, 2).contiguous().transpose(1, 2),
        x.to(dtype)[:, :, :1],
    ):
        data = data.clone(memory_format=torch.preserve_format).requires_grad_()
        fit = _fit(coins, data)
        affine = replacing(0.5, 2.0, 0.5, -1.0).tensor()
        torch.library.opcheck(OPERATORS.select.default, (data, words, selecting(0.5, 2.0).tensor(), fit))
        torch.library.opcheck(OPERATORS.affine.default, (data, words, affine, fit))


def test_operators_refuse_what_does_not_fit(x):
    key, law, select = (
        torch.zeros(5, dtype=torch.int64),
        selecting(0.5, 2.0).tensor(),
        OPERATORS.select.default,
    )
    for bad in (
        lambda: select(x, key, law, (6, 7)),
        lambda: select(x, key, law, (6, 7, 4)),
        lambda: select(x, key[:4], law, (6, 7, 5)),
        lambda: select(x, key.int(), law, (6, 7, 5)),
        lambda: select(x, key.expand(5, 5), law, (6, 7, 5)),
        lambda: select(x, key, law.float(), (6, 7, 5)),
        lambda: select(x, key, law[:1], (6, 7, 5)),
        lambda: select(x.long(), key, law, (6, 7, 5)),
    ):
        with pytest.raises(RuntimeError):
            bad()


def test_a_hundred_compiled_steps_are_one_compilation_and_give_the_eager_masks(seed):
    torch.compiler.reset()
    compilations = []

    def backend(graph, _):
        compilations.append(graph)
        return graph.forward

    def work(x):
        x = dk.ops.dropout(x, 0.3, training=True)
        x = dk.ops.alpha_dropout(x, 0.2, training=True, site="a")
        return dk.ops.drop_path(x, 0.5, training=True)

    compiled = torch.compile(work, fullgraph=True, backend=backend)
    x = torch.randn(32, 20, generator=torch.Generator().manual_seed(seed))
    with dk.random.stream(seed) as stream:
        for _ in range(100):
            got = compiled(x)
            with dk.random.stream(seed, step=stream.step):
                assert torch.equal(got, work(x))
            stream.advance()
    assert len(compilations) == 1
    assert "dropkit_native" in compilations[0].code


RATED = {
    "dropout": (dk.nn.Dropout, (80, 6)),
    "spatial dropout": (dk.nn.SpatialDropout2d, (20, 20, 3, 3)),
    "drop path": (dk.nn.DropPath, (400, 3)),
    "alpha dropout": (dk.nn.AlphaDropout, (80, 6)),
    "gaussian dropout": (dk.nn.GaussianDropout, (8, 6)),
}


@pytest.mark.parametrize(
    ("name", "backend"), [*((name, "aot_eager") for name in RATED), ("dropout", "inductor")]
)
def test_ten_rates_are_at_most_two_compilations(name, backend, seed):
    torch.compiler.reset()
    counter = CompileCounterWithBackend(backend)
    kind, shape = RATED[name]
    module, x = kind(0.5), torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    compiled = torch.compile(module, fullgraph=True, backend=counter)
    outputs = []
    for rate in (0.5, 0.1, 0.25, 0.3, 0.41, 0.6, 0.75, 0.8, 0.9, 0.95):
        module.rate = rate
        with dk.random.stream(seed):
            outputs.append(compiled(x))
        with dk.random.stream(seed):
            torch.testing.assert_close(outputs[-1], module(x), rtol=1e-6, atol=0)
    assert counter.frame_count <= 2
    assert all("dropkit_native" in graph.code for graph in counter.graphs)
    assert len({tuple(y.flatten().tolist()) for y in outputs}) == 10
    torch.compiler.reset()


def test_compiled_gradients_and_bytes_kept(seed):
    torch.compiler.reset()
    x = torch.randn(64, 32, requires_grad=True)
    kept = []
    with dk.random.stream(seed):
        compiled = torch.compile(lambda x: dk.ops.dropout(x, 0.3, training=True), fullgraph=True)
        with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.nbytes) or t, lambda t: t):
            y = compiled(x)
        y.sum().backward()
    with dk.random.stream(seed):
        assert torch.equal(y, dk.ops.dropout(x, 0.3, training=True))
    assert torch.equal(x.grad, (y != 0) * torch.tensor(1 / 0.7))
    assert sum(kept) <= 64
