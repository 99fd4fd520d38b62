"""Attention on the native kernels: the reference's coins, PyTorch's tolerance, and every kind of derivative."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import forward_ad

import dropkit as dk
from dropkit.core import StreamError
from dropkit.ops import kernels
from dropkit.ops.kernels import attention as native
from dropkit.ops.law import selecting

KERNELS = [name for name in kernels.status().supported if name != "reference"]
pytestmark = pytest.mark.skipif(not KERNELS, reason=kernels.status().reason)
every_kernel = pytest.mark.parametrize("name", KERNELS)

TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 3e-2, torch.float16: 4e-3}
NEGATIVE = float("-inf")


@pytest.fixture(autouse=True)
def restored():
    before = kernels.status().active
    kernels.use("auto")
    yield
    kernels.use(before)


def made(generator, *shapes, dtype=torch.float32):
    return tuple(torch.randn(s, generator=generator).to(dtype) for s in shapes)


def attend(inputs, rate, seed, **options):
    stream = {key: options.pop(key) for key in ("sample", "member") if key in options}
    with dk.random.stream(seed, **stream):
        return dk.ops.attention(*inputs, rate=rate, training=True, site="a", **options)


def by_reference(inputs, rate, seed, **options):
    """The same in fp64, which the kernels never take."""
    mask = options.pop("mask", None)
    if mask is not None and mask.dtype != torch.bool:
        mask = mask.double()
    return attend([x.double() for x in inputs], rate, seed, mask=mask, **options)


def assert_near(got, want, dtype=None):
    got, want = got.detach(), want.detach()
    tolerance = TOLERANCE[dtype or got.dtype]
    torch.testing.assert_close(
        got.double(), want.double(), rtol=tolerance, atol=tolerance * max(1.0, float(want.abs().max()))
    )


def slopes(y, inputs, weights):
    return torch.autograd.grad(y, inputs, weights.to(y.dtype).expand(y.shape), allow_unused=True)


LAYOUTS = {
    "contiguous": lambda x: x,
    "heads inside": lambda x: x.transpose(1, 2).contiguous().transpose(1, 2),
    "transposed": lambda x: x.mT.contiguous().mT,
    "every other": lambda x: x.repeat_interleave(2, -1)[..., ::2],
    "one for all": lambda x: x[:1].expand(x.shape),
}
MASKS = {
    "none": lambda shape, g: None,
    "boolean": lambda shape, g: torch.rand(shape, generator=g) < 0.6,
    "keys": lambda shape, g: torch.rand(shape[0], 1, 1, shape[3], generator=g) < 0.6,
    "queries": lambda shape, g: torch.rand(shape[2], 1, generator=g) < 0.6,
    "added": lambda shape, g: torch.randn(shape[1:], generator=g),
    "added a key": lambda shape, g: torch.randn(shape[3], generator=g).masked_fill(
        torch.rand(shape[3], generator=g) < 0.3, NEGATIVE
    ),
}


@every_kernel
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_outputs_and_gradients_are_those_of_the_reference(name, data):
    kernels.use(name)
    batch, heads, shared = (data.draw(st.integers(1, n)) for n in (3, 3, 2))
    dtype = data.draw(st.sampled_from(list(TOLERANCE)))
    queries, keys = (data.draw(st.integers(1, 80) | st.sampled_from([64, 65, 256, 300])) for _ in "qk")
    if (
        dtype != torch.float32
    ):  # a gradient that should vanish, as of one key, is as large as the output's rounding
        queries, keys = queries + 16, keys + 16
    features, values = (data.draw(st.integers(1, 40) | st.sampled_from([16, 32, 64])) for _ in "qv")
    rate = data.draw(st.floats(0.01, 0.99))
    mask_kind = data.draw(st.sampled_from(list(MASKS)))
    is_causal = mask_kind == "none" and data.draw(st.booleans())
    layouts = [LAYOUTS[data.draw(st.sampled_from(list(LAYOUTS)))] for _ in "qkv"]
    seed, sample = data.draw(st.integers(0, 2**31)), data.draw(st.integers(0, 1000))

    g = torch.Generator().manual_seed(seed)
    shapes = (
        (batch, heads * shared, queries, features),
        (batch, heads, keys, features),
        (batch, heads, keys, values),
    )
    inputs = [
        layout(x).requires_grad_() for layout, x in zip(layouts, made(g, *shapes, dtype=dtype), strict=True)
    ]
    mask = MASKS[mask_kind]((batch, heads * shared, queries, keys), g)
    if mask is not None and mask.is_floating_point():
        mask.requires_grad_()
    options = {"mask": mask, "is_causal": is_causal, "enable_gqa": shared > 1, "sample": sample}
    weights = torch.randn(batch, heads * shared, queries, values, generator=g)

    y, z = attend(inputs, rate, seed, **options), by_reference(inputs, rate, seed, **options)
    assert y.grad_fn is not None
    assert "Attended" in _names(y.grad_fn)
    assert "Attended" not in _names(z.grad_fn)
    assert_near(y, z)
    of = [x for x in (*inputs, mask) if x is not None and x.requires_grad]
    for a, b in zip(slopes(y, of, weights), slopes(z, of, weights), strict=True):
        assert_near(a, b, dtype)  # a gradient of an fp32 mask comes from the rounded output, too


def _names(node):
    """Names of the first few nodes of a graph."""
    return " ".join(n.name() for n in (node, *(parent for parent, _ in node.next_functions if parent)))


@every_kernel
def test_probabilities_are_exact_to_a_few_units_however_small(name, seed):
    kernels.use(name)
    scores = torch.linspace(0, -86, 200)
    q, k = torch.ones(1, 1, 1, 1), scores.view(1, 1, 200, 1)
    y = attend((q, k, torch.eye(200).view(1, 1, 200, 200)), 0.5, seed).flatten()
    p = 2 * scores.double().softmax(0)
    kept = y != 0
    assert kept.any()
    assert bool((((y - p) / p).abs() < 6e-7)[kept].all())


@every_kernel
def test_a_row_whose_first_block_of_keys_is_masked(name, rng, seed):
    kernels.use(name)
    inputs = made(rng, (1, 1, 3, 8), (1, 1, 600, 8), (1, 1, 600, 8))
    mask = torch.zeros(3, 600, dtype=torch.bool)
    mask[0, 280:] = mask[1, 550:] = True
    y = attend(inputs, 0.3, seed, mask=mask)
    assert_near(y, by_reference(inputs, 0.3, seed, mask=mask))
    assert not y[0, 0, 2].any()


@every_kernel
@pytest.mark.parametrize("value", [float("nan"), float("inf"), NEGATIVE])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_values_that_are_not_finite_spread_as_far_as_in_the_reference(name, value, which, rng, seed):
    kernels.use(name)
    inputs = made(rng, (1, 2, 50, 8), (1, 2, 60, 8), (1, 2, 60, 8))
    inputs[0][0, 1, :2, 3] = torch.tensor([1.0, -1.0])
    inputs[which][0, 1, 2, 3] = value
    y, z = attend(inputs, 0.3, seed), by_reference(inputs, 0.3, seed)
    assert torch.equal(y.isfinite(), z.isfinite())
    assert not y.isfinite().all()
    assert y[0, 0].isfinite().all()


@every_kernel
@pytest.mark.parametrize("is_causal", [False, True])
def test_the_number_of_threads_changes_nothing(name, is_causal, rng, seed):
    kernels.use(name)
    inputs = [x.requires_grad_() for x in made(rng, (3, 2, 300, 16), (3, 2, 270, 16), (3, 2, 270, 24))]
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            y = attend(inputs, 0.3, seed, is_causal=is_causal)
            results.append((y, *slopes(y, inputs, torch.ones(()))))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(other, results[0], strict=True))


@every_kernel
def test_nothing_outside_the_tensors_is_written_and_nothing_there_matters(name, seed):
    kernels.use(name)
    generator = torch.Generator().manual_seed(seed)
    for size in (*range(1, 40), 63, 64, 65, 255, 257):
        inputs, around = [], []
        for shape in ((1, 1, 3, size), (1, 1, size, size), (1, 1, size, size)):
            room = torch.full((shape[2] + 2, size + 40), float("nan"))
            part = room[1:-1, 20 : 20 + size]
            part.normal_(generator=generator)
            inputs.append(part[None, None].requires_grad_())
            around.append(room)
        mask = torch.full((5, size + 40), float("nan"))
        mask[1:4, 20 : 20 + size] = 0.5
        y = attend(inputs, 0.3, seed, mask=mask[1:4, 20 : 20 + size])
        gradients = slopes(y, inputs, torch.ones(()))
        assert y.isfinite().all()
        assert all(g.isfinite().all() for g in gradients)
        for room, x in zip(around, inputs, strict=True):
            assert int(room.isnan().sum()) == room.numel() - x.numel()


def test_what_is_kept_for_backward_does_not_grow_with_the_number_of_pairs(rng, seed):
    inputs = [x.requires_grad_() for x in made(rng, (2, 3, 200, 16), (2, 3, 300, 16), (2, 3, 300, 24))]
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        y = attend(inputs, 0.3, seed)
    ours = [*inputs, y]
    own = {x.data_ptr() for x in ours}
    rest = [t.nbytes for t in kept if t.data_ptr() not in own]
    assert y.data_ptr() in {t.data_ptr() for t in kept}  # so the kernel saved, and the hooks saw it
    assert sum(rest) <= 4 * 2 * 3 * 200 + 40  # a logarithm a row, a key


def test_rows_of_the_output_lie_as_the_next_linear_map_wants_them(rng, seed):
    inputs = made(rng, (2, 3, 5, 16), (2, 3, 7, 16), (2, 3, 7, 16))
    assert attend(inputs, 0.3, seed).transpose(1, 2).is_contiguous()


@pytest.fixture
def small(rng):
    return made(rng, (2, 2, 3, 4), (2, 1, 5, 4), (2, 1, 5, 3))


def test_second_derivatives(small, rng, seed):
    inputs = [x.requires_grad_() for x in small]
    weights = torch.randn(2, 2, 3, 3, generator=rng)
    mask = torch.randn(2, 3, 5, generator=rng).requires_grad_()

    def penalty(call):
        y = call(inputs, 0.3, seed, enable_gqa=True, mask=mask)
        of = (*inputs, mask)
        first = torch.autograd.grad(y.double().square().sum(), of, create_graph=True)
        return torch.autograd.grad(sum((g * g).sum() for g in first), of)

    assert weights.any()
    for a, b in zip(penalty(attend), penalty(by_reference), strict=True):
        assert b.any()
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3 * float(b.abs().max()))


@pytest.mark.parametrize("which", ["q", "k", "v", "mask", "all"])
def test_tangents(which, small, rng, seed):
    mask = torch.randn(2, 1, 3, 5, generator=rng)
    names = ("q", "k", "v", "mask")
    primals = dict(zip(names, (*small, mask), strict=True))
    tangents = {n: torch.randn(x.shape, generator=rng) for n, x in primals.items() if which in (n, "all")}

    def call(how, dtype):
        with forward_ad.dual_level():
            q, k, v, m = (
                forward_ad.make_dual(x.to(dtype), tangents[n].to(dtype)) if n in tangents else x.to(dtype)
                for n, x in primals.items()
            )
            return forward_ad.unpack_dual(how((q, k, v), 0.3, seed, mask=m, enable_gqa=True)).tangent

    got, want = call(attend, torch.float32), call(attend, torch.float64)
    assert want.any()
    assert_near(got, want)


TRANSFORMS = {
    "grad": lambda f: torch.func.grad(lambda *x: f(*x).square().sum(), argnums=(0, 1, 2)),
    "jacfwd": lambda f: torch.func.jacfwd(f, argnums=(0, 2)),
    "jacrev": lambda f: torch.func.jacrev(f, argnums=(0, 1)),
    "hessian": lambda f: torch.func.hessian(lambda *x: f(*x).square().sum()),
    "vmap": lambda f: torch.func.vmap(f),
    "vmap of some": lambda f: torch.func.vmap(f, in_dims=(2, None, None), out_dims=1),
    "vmap of grad": lambda f: torch.func.vmap(torch.func.grad(lambda *x: f(*x).square().sum())),
    "grad of vmap": lambda f: torch.func.grad(lambda *x: torch.func.vmap(f)(*x).square().sum()),
    "jvp": lambda f: lambda *x: torch.func.jvp(f, x, tuple(t.cos() for t in x))[1],
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_function_transforms_give_what_the_reference_gives(name, rng, seed):
    inputs = made(rng, (2, 2, 3, 4), (2, 2, 5, 4), (2, 2, 5, 3))

    def call(*x):
        return attend(x, 0.4, seed)

    got, want = TRANSFORMS[name](call)(*inputs), TRANSFORMS[name](call)(*(x.double() for x in inputs))
    for a, b in zip(*(x if isinstance(x, tuple) else (x,) for x in (got, want)), strict=True):
        assert b.any()
        assert_near(a, b)


@pytest.mark.parametrize("dim", [0, 3, None])
@pytest.mark.parametrize("which", ["member", "sample", "both", "neither"])
@pytest.mark.parametrize("masked", ["none", "shared", "own"])
def test_members_under_vmap_each_get_their_own_masks(dim, which, masked, rng, seed):
    q, k, v = made(rng, (3, 2, 5, 8), (3, 2, 7, 8), (3, 2, 7, 8))
    qs = q if dim is None else torch.stack([q + m for m in range(4)], dim)
    members = torch.arange(4)
    sample = torch.randint(0, 50, (4, 3), generator=rng)
    mask = {"none": None, "shared": torch.rand(2, 5, 7, generator=rng) < 0.6}.get(
        masked, torch.rand(4, 3, 1, 5, 7, generator=rng) < 0.6
    )

    def call(q, member, sample, mask):
        kinds = {"member": member} if which in ("member", "both") else {}
        kinds |= {"sample": sample} if which in ("sample", "both") else {}
        return attend((q, k, v), 0.4, seed, mask=mask, **kinds)

    own = 0 if masked == "own" else None
    got = torch.vmap(call, in_dims=(dim, 0, 0, own))(qs, members, sample, mask)
    for i in range(4):
        one = q if dim is None else qs.select(dim, i)
        assert torch.equal(got[i], call(one, members[i], sample[i], mask[i] if masked == "own" else mask))


def test_samples_of_inputs_with_other_ranks(rng, seed):
    sample = torch.tensor([7, 3])
    for lead in ((2,), (2, 3), (2, 3, 2)):
        inputs = made(rng, (*lead, 5, 8), (*lead, 7, 8), (*lead, 7, 8))
        for mask in (
            None,
            torch.rand(*lead, 5, 7, generator=rng) < 0.7,
            torch.rand(5, 7, generator=rng) < 0.7,
        ):
            y = attend(inputs, 0.4, seed, sample=sample, mask=mask)
            assert_near(y, by_reference(inputs, 0.4, seed, sample=sample, mask=mask))
    with pytest.raises(StreamError, match="2 rows"):
        attend(inputs, 0.4, seed, sample=torch.arange(3))


@pytest.mark.parametrize("axis", [0, 1])
def test_samples_may_share_a_mask(axis, rng, seed):
    for lead in ((3,), (3, 2), (3, 2, 2)):
        inputs = made(rng, (*lead, 5, 8), (*lead, 7, 8), (*lead, 7, 8))
        shape = (*lead, 5, 7)
        with dk.random.stream(seed, shared_axis=(axis, shape[axis])):
            y = dk.ops.attention(*inputs, rate=0.4, training=True, site="a")
            z = dk.ops.attention(*(x.double() for x in inputs), rate=0.4, training=True, site="b")
        coins = tuple(1 if i == axis else n for i, n in enumerate(shape))
        keep = torch.from_numpy(dk.random.mask(coins, 0.4, seed=seed, site="a")).expand(shape)
        p = (inputs[0] @ inputs[1].mT / 8**0.5).softmax(-1)
        assert_near(y, torch.where(keep, p / 0.6, 0.0) @ inputs[2])
        assert not torch.allclose(y, z.float())


def law():
    return selecting(0.4, 1 / 0.6).tensor()


@pytest.mark.parametrize("mask", [None, torch.rand(1, 2, 5, 7) < 0.5, torch.zeros(1, 1, 1, 7)])
@pytest.mark.parametrize("keys", [1, 2])
def test_the_registered_operators_pass_opcheck(mask, keys, rng, seed):
    q, k, v = (x.requires_grad_() for x in made(rng, (2, 2, 5, 8), (2, 1, 7, 8), (2, 1, 7, 6)))
    key = torch.randint(0, 2**32, (keys, 5), generator=rng)
    operators = torch.ops.dropkit_native
    if mask is not None and mask.is_floating_point():
        mask = mask.clone().requires_grad_()
    torch.library.opcheck(operators.attention.default, (q, k, v, mask, key, law(), 0.3, False))
    with torch.no_grad():
        out, logarithm = operators.attention(q, k, v, mask, key, law(), 0.3, False)
        arguments = (out, q, k, v, mask, key, law(), out, logarithm, 0.3, False, mask is not None)
        torch.library.opcheck(operators.attention_backward.default, arguments)


def test_the_operator_refuses_what_does_not_fit(rng):
    q, k, v = made(rng, (2, 2, 5, 8), (2, 2, 7, 8), (2, 2, 7, 6))
    key, attention = torch.zeros(5, dtype=torch.int64), torch.ops.dropkit_native.attention
    for bad in (
        (q[0], k, v, None, key, law()),
        (q, k[:, :, :, :7], v, None, key, law()),
        (q, k, v[:, :, :6], None, key, law()),
        (q, k[:1], v, None, key, law()),
        (q[:, :1], k, v, None, key, law()),
        (q.double(), k.double(), v.double(), None, key, law()),
        (q, k.half(), v, None, key, law()),
        (q, k, v, torch.zeros(1, 1, 5, 6), key, law()),
        (q, k, v, torch.zeros(5, 7), key, law()),
        (q, k, v, None, key[:4], law()),
        (q, k, v, None, key.int(), law()),
        (q, k, v, None, key.expand(3, 5), law()),
        (q, k, v, None, key, law()[:1]),
        (q[:0], k[:0], v[:0], None, key, law()),
    ):
        with pytest.raises(RuntimeError):
            attention(*bad, 0.3, False)
    with pytest.raises(RuntimeError):
        attention(q, k, v, torch.zeros(1, 1, 5, 7), key, law(), 0.3, True)


def test_a_hundred_compiled_steps_are_one_compilation_and_give_the_eager_masks(rng, seed):
    torch.compiler.reset()
    compilations = []

    def backend(graph, _):
        compilations.append(graph)
        return graph.forward

    def work(q, k, v):
        return dk.ops.attention(q, k, v, rate=0.3, training=True, is_causal=True)

    compiled = torch.compile(work, fullgraph=True, backend=backend)
    inputs = made(rng, (2, 3, 5, 8), (2, 3, 7, 8), (2, 3, 7, 6))
    with dk.random.stream(seed) as stream:
        for _ in range(100):
            got = compiled(*inputs)
            with dk.random.stream(seed, step=stream.step):
                assert torch.equal(got, work(*inputs))
            stream.advance()
    assert len(compilations) == 1
    assert "dropkit_native" in compilations[0].code


def test_compiled_gradients_with_a_mask_and_bytes_kept(rng, seed):
    torch.compiler.reset()
    inputs = [x.requires_grad_() for x in made(rng, (2, 3, 40, 16), (2, 3, 90, 16), (2, 3, 90, 16))]
    bias = torch.randn(3, 40, 90, generator=rng).requires_grad_()

    def work(bias, *inputs):
        return attend(inputs, 0.3, seed, mask=bias)

    kept = []
    compiled = torch.compile(work, fullgraph=True, backend="aot_eager")
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        y = compiled(bias, *inputs)
    of = (bias, *inputs)
    z = work(bias, *inputs)
    assert torch.equal(y, z)
    for a, b in zip(slopes(y, of, torch.ones(())), slopes(z, of, torch.ones(())), strict=True):
        torch.testing.assert_close(a, b)
    assert not any(t.shape[-2:] == (40, 90) and t.data_ptr() != bias.data_ptr() for t in kept)


def test_which_inputs_the_kernels_take(rng):
    q, k, v = made(rng, (2, 2, 5, 8), (2, 2, 7, 8), (2, 2, 7, 6))
    assert native.can_take(q, k, v, None, (2, 2))
    assert native.can_take(q, k, v, torch.ones(5, 7, dtype=torch.bool), (2, 2))
    assert not native.can_take(q.double(), k.double(), v.double(), None, (2, 2))
    assert not native.can_take(q[:1], k[:1], v, None, (1, 2))
    assert not native.can_take(q, k, v[None], None, (2, 2))
    assert not native.can_take(q[0, 0], k[0, 0], v[0, 0], None, ())
    kernels.use("reference")
    assert not native.can_take(q, k, v, None, (2, 2))
