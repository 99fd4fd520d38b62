"""The fused ops on the native kernels: the reference's outputs, derivatives of any order, transforms, compilation."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch._dynamo.testing import CompileCounterWithBackend
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.utils.checkpoint import checkpoint

from dropkit.ops import kernels
from dropkit.ops.law import selecting
from dropkit.random import stream
from tests.ops.fused.forms import CASES, ulps

KERNELS = [name for name in kernels.status().supported if name != "reference"]
pytestmark = pytest.mark.skipif(not KERNELS, reason=kernels.status().reason)

every = pytest.mark.parametrize("case", CASES, ids=str)
FLOATS = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
search = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def restored():
    before = kernels.status().active
    kernels.use("auto")
    yield
    kernels.use(before)


def assert_same(case, got, expected):
    """Bit for bit, but any NaN is as good as another; activations within 2 ulp, or 1e-9 where a slope is near 0."""
    assert got.dtype is expected.dtype
    assert got.shape == expected.shape
    got, expected = got.nan_to_num(nan=7.0), expected.nan_to_num(nan=7.0)
    if case.equal:
        assert torch.equal(got, expected)
    elif got.dtype == torch.float64:  # torch's operations, which differ from themselves by position
        torch.testing.assert_close(got, expected, rtol=1e-13, atol=1e-300)
    else:
        near = (ulps(got, expected) <= 2) | ((got.double() - expected.double()).abs() < 1e-9)
        assert bool(near.all())


LAYOUTS = {
    "contiguous": lambda x: x,
    "transposed": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1) if x.ndim > 1 else x,
    "reversed": lambda x: x.permute(*range(x.ndim)[::-1]).contiguous().permute(*range(x.ndim)[::-1]),
    "sliced": lambda x: torch.stack((x, x), -1)[..., 0],
    "expanded": lambda x: x[:1].expand(x.shape) if x.ndim > 1 else x,
}


def differentiated(case, operands, seed, **key):
    leaves = [o.detach().requires_grad_() for o in operands]
    with stream(seed, **key):
        y = case.call(leaves, 0.4, training=True, site="a")
    weights = torch.linspace(0.5, 2, y.numel(), dtype=torch.float64).view(y.shape).to(y.dtype)
    return [y.detach(), *torch.autograd.grad(y, leaves, weights)]


@every
@pytest.mark.parametrize("name", KERNELS)
@search
@given(
    shape=st.lists(st.integers(1, 20), min_size=1, max_size=3),
    width=st.sampled_from([1, 3, 16, 33, 128, 300]),
    dtype=st.sampled_from(FLOATS),
    layout=st.lists(st.sampled_from(sorted(LAYOUTS)), min_size=3, max_size=3),
    sample=st.one_of(st.integers(0, 5), st.just("rows")),
    seed=st.integers(0, 2**31),
)
def test_outputs_and_gradients_are_those_of_the_reference(
    case, name, shape, width, dtype, layout, sample, seed
):
    shape = (*shape, width)
    key = {"sample": torch.arange(shape[0]).flip(0) if sample == "rows" else sample}
    operands = [LAYOUTS[how](o) for how, o in zip(layout, case.operands(shape, dtype, seed), strict=False)]
    kernels.use(name)
    got = differentiated(case, operands, seed, **key)
    kernels.use("reference")
    expected = differentiated(case, operands, seed, **key)
    for index, (a, b) in enumerate(zip(got, expected, strict=True)):
        if case.name == "bias add" and index == 2:  # a sum over rows, in another order
            eps = torch.finfo(dtype).eps
            scale = float(expected[1].double().abs().sum() + 1)
            torch.testing.assert_close(a.double(), b.double(), rtol=0, atol=eps * scale)
        else:
            assert_same(case, a, b)


@every
def test_special_numbers(case, seed):
    special = torch.tensor([0.0, -0.0, float("inf"), float("-inf"), float("nan"), 1e-40, -1e-40, 3e38, -7.0])
    operands = [special.repeat(111)[: 111 * 8].view(111, 8) for _ in range(case.count)]
    if case.count == 3:
        operands[1] = special[:8]
    results = []
    for name in (*KERNELS, "reference"):
        kernels.use(name)
        results.append(differentiated(case, operands, seed))
    for result in results[:-1]:
        assert_same(case, result[0], results[-1][0])
        assert_same(case, result[1], results[-1][1])


@every
def test_sizes_around_groups_and_chunks(case, seed):
    for size in (*range(1, 40), 127, 128, 129, 4095, 4096, 4097, 9000):
        for shape in ((size,), (3, size)):
            operands = case.operands(shape, torch.float32, seed)
            with stream(seed, sample=3):
                got = case.call(operands, 0.4, training=True, site="a")
            kernels.use("reference")
            with stream(seed, sample=3):
                assert_same(case, got, case.call(operands, 0.4, training=True, site="a"))
            kernels.use("auto")


@every
def test_the_number_of_threads_changes_nothing(case, seed):
    operands, before, results = case.operands((331, 211), torch.float32, seed), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            results.append(differentiated(case, operands, seed))
    finally:
        torch.set_num_threads(before)
    for result in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(result[:2], results[0][:2], strict=True))


@every
@pytest.mark.parametrize("shape", [(2, 3, 9, 9), (3, 70, 5, 13)])
def test_channels_last_with_gradients(case, shape, seed):
    operands = [
        o.contiguous(memory_format=torch.channels_last) if o.ndim == 4 else o
        for o in case.operands(shape, torch.float32, seed)
    ]
    results = []
    for name in (*KERNELS, "reference"):
        kernels.use(name)
        leaves = [o.detach().requires_grad_() for o in operands]
        with stream(seed):
            y = case.call(leaves, 0.4, training=True, site="a")
        weights = torch.ones_like(y, memory_format=torch.channels_last)
        results.append((y.detach(), torch.autograd.grad(y, leaves[0], weights)[0]))
    for result in results[:-1]:
        assert_same(case, result[0], results[-1][0])
        assert_same(case, result[1], results[-1][1])


def under(case, seed):
    def call(*operands):
        with stream(seed):
            return case.call(operands, 0.4, training=True, site="a")

    return call


@every
def test_first_and_second_derivatives(case, seed):
    leaves = [o.requires_grad_() for o in case.operands((4, 3, 5), torch.float64, seed)]
    assert gradcheck(under(case, seed), leaves, check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(under(case, seed), leaves)


@every
def test_third_derivatives_are_those_of_the_reference(case, seed):
    results = []
    for name in ("auto", "reference"):
        kernels.use(name)
        x, *others = [o.requires_grad_() for o in case.operands((6, 7), torch.float64, seed)]
        derivative = under(case, seed)(x, *others).pow(3).sum()
        for _ in range(3):
            (derivative,) = torch.autograd.grad(derivative.sum(), x, create_graph=True)
        results.append(derivative)
    assert results[0].count_nonzero() > 0
    torch.testing.assert_close(*results)


@every
def test_forward_mode_with_a_tangent_of_each_operand(case, seed):
    operands = case.operands((40, 9), torch.float64, seed)
    tangents = case.operands((40, 9), torch.float64, seed + 1)
    results = []
    for name in ("auto", "reference"):
        kernels.use(name)
        y, tangent = torch.func.jvp(under(case, seed), tuple(operands), tuple(tangents))
        with forward_ad.dual_level():
            duals = [forward_ad.make_dual(o, t) for o, t in zip(operands, tangents, strict=True)]
            assert torch.equal(forward_ad.unpack_dual(under(case, seed)(*duals)).tangent, tangent)
        results.append((y, tangent))
    assert results[0][1].count_nonzero() > 0
    torch.testing.assert_close(results[0], results[1], rtol=1e-14, atol=0)


TRANSFORMS = {
    "grad": lambda f: torch.func.grad(lambda *o: f(*o).square().sum()),
    "hessian": lambda f: torch.func.hessian(lambda *o: f(*o).square().sum()),
    "jacfwd": torch.func.jacfwd,
    "jacrev": torch.func.jacrev,
    "functionalize": torch.func.functionalize,
    "functionalize of grad": lambda f: torch.func.functionalize(
        torch.func.grad(lambda *o: f(*o).square().sum())
    ),
    "vmap of grad": lambda f: torch.vmap(torch.func.grad(lambda *o: f(*o).square().sum())),
}


@every
@pytest.mark.parametrize("name", TRANSFORMS)
def test_function_transforms_give_what_the_reference_gives(case, name, seed):
    operands = case.operands((4, 3, 5), torch.float64, seed)
    if name == "vmap of grad" and case.count == 3:
        operands[1] = operands[1].expand(4, 5)
    got = TRANSFORMS[name](under(case, seed))(*operands)
    kernels.use("reference")
    expected = TRANSFORMS[name](under(case, seed))(*operands)
    assert expected.count_nonzero() > 0
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-14)


@every
@pytest.mark.parametrize("in_dim", [0, 1, None])
def test_members_under_vmap_each_get_their_own_masks(case, in_dim, seed):
    operands = case.operands((6, 7, 5), torch.float32, seed)
    members = torch.tensor([0, 5, 2])
    x = operands[0] if in_dim is None else torch.stack([operands[0] + m for m in members], dim=in_dim)

    def call(x, member):
        with stream(seed, member=member):
            return case.call([x, *operands[1:]], 0.4, training=True, site="a")

    got = torch.vmap(call, in_dims=(in_dim, 0))(x, members)
    for row, i in zip(got, range(3), strict=True):
        one = x if in_dim is None else x.select(in_dim, i)
        assert_same(case, row, call(one, members[i].item()))


@every
def test_what_is_kept_for_backward(case, seed):
    leaves = [o.requires_grad_() for o in case.operands((100, 1000), torch.float32, seed)]
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t), stream(seed):
        y = case.call(leaves, 0.5, training=True)
    if case.count > 1:
        assert kept == []
    else:  # what the activation would keep: relu its output, the others their input
        (tensor,) = kept
        assert tensor.data_ptr() == (y if case.name == "relu" else leaves[0]).data_ptr()


@every
@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing_recomputes_the_same_mask(case, reentrant, seed):
    operands = case.operands((20, 30), torch.float32, seed)

    def gradients(wrap):
        leaves = [o.clone().requires_grad_() for o in operands]
        with stream(seed):
            y = wrap(lambda *o: case.call([v.sin() for v in o], 0.4, training=True), *leaves)
        y.square().sum().backward()
        return [leaf.grad for leaf in leaves]

    again = gradients(lambda f, *o: checkpoint(f, *o, use_reentrant=reentrant))
    for a, b in zip(again, gradients(lambda f, *o: f(*o)), strict=True):
        assert torch.equal(a, b)


@every
def test_a_hundred_compiled_steps_are_one_compilation_and_give_the_eager_outputs(case, seed):
    torch.compiler.reset()
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(
        lambda *o: case.call(o, 0.3, training=True, site="a"), fullgraph=True, backend=backend
    )
    operands = case.operands((32, 20), torch.float32, seed)
    with stream(seed) as s:
        for _ in range(100):
            got = compiled(*operands)
            with stream(seed, step=s.step):
                assert_same(case, got, case.call(operands, 0.3, training=True, site="a"))
            s.advance()
    assert len(graphs) == 1
    assert "dropkit_native" in graphs[0].code


@every
def test_ten_rates_are_at_most_two_compilations(case, seed):
    torch.compiler.reset()
    operands, counter = case.operands((32, 20), torch.float32, seed), CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(
        lambda rate, *o: case.call(o, rate, training=True), fullgraph=True, backend=counter
    )
    for rate in (0.5, 0.1, 0.25, 0.3, 0.41, 0.6, 0.75, 0.8, 0.9, 0.95):
        with stream(seed):
            got = compiled(rate, *operands)
        with stream(seed):
            assert_same(case, got, case.call(operands, rate, training=True))
    assert counter.frame_count <= 2
    assert all("dropkit_native" in graph.code for graph in counter.graphs)


@every
def test_compiled_gradients(case, seed):
    torch.compiler.reset()
    operands = case.operands((32, 20), torch.float32, seed)
    results = []
    function = under(case, seed)
    for call in (torch.compile(function, fullgraph=True, backend="aot_eager"), function):
        leaves = [o.clone().requires_grad_() for o in operands]
        y = call(*leaves)
        results.append([y.detach(), *torch.autograd.grad(y.square().sum(), leaves)])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)
    torch.compiler.reset()


@every
def test_compiled_members_under_vmap(case, seed):
    torch.compiler.reset()
    operands = case.operands((6, 7, 5), torch.float32, seed)
    members = torch.tensor([0, 5, 2])

    def call(member):
        with stream(seed, member=member):
            return case.call(operands, 0.4, training=True, site="a")

    compiled = torch.compile(lambda m: torch.vmap(call)(m), fullgraph=True, backend="aot_eager")
    assert_same(case, compiled(members), torch.vmap(call)(members))
    torch.compiler.reset()


OPERATORS = torch.ops.dropkit_native


@pytest.mark.parametrize(
    ("key", "dtype"), [((5,), torch.float32), ((6, 5), torch.float64), ((5,), torch.bfloat16)]
)
def test_registered_operators_pass_opcheck(key, dtype, seed):
    generator = torch.Generator().manual_seed(seed)
    words, law = torch.randint(0, 2**32, key, generator=generator), selecting(0.4, 1 / 0.6).tensor()
    base = torch.randn(6, 7, 5, generator=generator).to(dtype)
    bias = torch.randn(5, generator=generator).to(dtype)
    for data in (base, base.transpose(1, 2).contiguous().transpose(1, 2)):
        x, residual, row = (t.clone().requires_grad_() for t in (data, base, bias))
        torch.library.opcheck(OPERATORS.relu_select.default, (x, words, law))
        if dtype != torch.float64:
            torch.library.opcheck(OPERATORS.activation_select.default, (x, 6, words, law))
        torch.library.opcheck(OPERATORS.select_add.default, (x, residual, words, law))
        torch.library.opcheck(OPERATORS.bias_select_add.default, (x, row, residual, words, law))
        inner = ("test_schema", "test_faketensor")  # nothing differentiates them
        torch.library.opcheck(OPERATORS.relu_select_backward.default, (data, base, law), test_utils=inner)
        if dtype != torch.float64:
            slope = OPERATORS.activation_select_backward.default
            torch.library.opcheck(slope, (data, base, 6, words, law), test_utils=inner)


def test_operators_refuse_what_does_not_fit():
    x, words, law = torch.ones(6, 5), torch.zeros(5, dtype=torch.int64), selecting(0.5, 2.0).tensor()
    for bad in (
        lambda: OPERATORS.select_add(x, x[:, :4], words, law),
        lambda: OPERATORS.select_add(x, x.double(), words, law),
        lambda: OPERATORS.bias_select_add(x, x[0, :4], x, words, law),
        lambda: OPERATORS.relu_select(x, words[:4], law),
        lambda: OPERATORS.relu_select_backward(x, x[:3], law),
        lambda: OPERATORS.activation_select(x, 7, words, law),
        lambda: OPERATORS.activation_select(x.double(), 6, words, law),
    ):
        with pytest.raises(RuntimeError):
            bad()
    native = kernels.loading.native
    for bad in (
        lambda: native.fused(12, 0, (0,), 0, 0, 1, (0,) * 5, 1, 1.0),
        lambda: native.fused(6, 1, (0,), 0, 0, 1, (0,) * 5, 1, 1.0),
        lambda: native.fused(2, 9, (0,), 0, 0, 1, (0,) * 5, 1, 1.0),
        lambda: native.fused(4, 0, (0,), 0, 0, 1, (0,) * 5, 1, 1.0),
        lambda: native.fused(2, 0, (0,), 0, -1, 1, (0,) * 5, 1, 1.0),
        lambda: native.fused(5, 0, (0, 0, 0), 0, 0, 0, (0,) * 5, 1, 1.0),
        lambda: native.fused(2, 0, (0,), 0, 0, 1, (2**32, 0, 0, 0, 0), 1, 1.0),
        lambda: native.fused(2),
    ):
        with pytest.raises((TypeError, ValueError, OverflowError)):
            bad()
