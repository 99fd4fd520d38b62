"""Compiled code draws the masks of eager code, and stepping on compiles nothing again."""

import functools

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch.utils.checkpoint import checkpoint

from dropkit import ops
from dropkit.core import StreamError
from dropkit.ops import kernels
from dropkit.random import stream


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def compiled(function, backend="aot_eager"):
    counter = CompileCounterWithBackend(backend)
    return torch.compile(function, fullgraph=True, backend=counter), counter


def two_sites(x):
    x = ops.dropout(x, 0.3, training=True, site="a")
    return ops.dropout(x, 0.5, training=True) + ops.dropout(x, 0.5, training=True, site="a")


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_a_hundred_steps_are_one_compilation_and_equal_eager(backend, seed):
    fast, counter = compiled(two_sites, backend)
    x = torch.linspace(-1, 1, 4 * 33).view(4, 33)
    with stream(seed) as s:
        for _ in range(100):
            got = fast(x)
            s.advance()
    assert counter.frame_count == 1
    with stream(seed, step=99):
        assert torch.equal(got, two_sites(x))


def test_repeats_within_a_step_compile_once_more_at_most(seed):
    fast, counter = compiled(two_sites)
    x = torch.ones(4, 33)
    with stream(seed) as s:
        got = [fast(x) for _ in range(12)]
        state = s.state_dict()
        got.append(two_sites(x))  # eager code goes on counting where compiled code stopped
    with stream(seed) as s:
        assert all(torch.equal(a, two_sites(x)) for a in got[:-1])
        assert s.state_dict() == state
        assert torch.equal(got[-1], two_sites(x))
    assert counter.frame_count == 2


def test_other_seeds_members_and_nesting_compile_nothing(seed):
    fast, counter = compiled(two_sites)
    x = torch.ones(4, 33)
    with stream(seed):
        fast(x)
        for other in range(20):
            with stream(seed + other, step=other, rank=other, member=other):
                got = fast(x)
            with stream(seed + other, step=other, rank=other, member=other):
                assert torch.equal(got, two_sites(x))
    assert counter.frame_count == 1


def test_chunks_of_the_data_compile_once_more_at_most(seed):
    fast, counter = compiled(two_sites)
    x = torch.ones(4, 33)
    for sample in range(0, 80, 4):
        with stream(seed, sample=sample):
            got = fast(x)
        with stream(seed, sample=sample):
            assert torch.equal(got, two_sites(x))
    assert counter.frame_count <= 2


@pytest.mark.parametrize("name", ["auto", "reference"])
def test_a_changed_rate_is_taken_up(name, seed):
    def run(x, rate):
        return ops.dropout(x, rate, training=True, site="a")

    fast, _ = compiled(run)
    kernels.use(name)
    try:
        for rate in (0.5, 0.1, 0.2, 0.3):
            with stream(seed):
                got = fast(torch.ones(4, 33), rate)
            with stream(seed):
                assert torch.equal(got, run(torch.ones(4, 33), rate))
    finally:
        kernels.use("auto")


@pytest.mark.parametrize("fullgraph", [False, True])
@pytest.mark.parametrize("outside", ["block", "region"])
@pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor that is not a leaf"
)  # the tracer's own doing
@pytest.mark.filterwarnings(
    "ignore:Dynamo does not know how to trace the builtin"
)  # and what it says of a graph break
def test_checkpointing_gives_the_masks_of_eager_code_or_is_refused(outside, fullgraph, seed, rng):
    x = torch.randn(4, 33, generator=rng)

    def block(x):
        return torch.tanh(two_sites(torch.sin(x)))

    def gradient(function):
        leaf = x.clone().requires_grad_()
        with stream(seed) as s:
            y = function(leaf).sum()
            s.advance()
            y.backward()
        return leaf.grad

    plain = gradient(block)
    if outside == "block":
        fast = torch.compile(block, fullgraph=fullgraph, backend="aot_eager")
        checked = functools.partial(checkpoint, fast, use_reentrant=False)
    else:
        region = functools.partial(checkpoint, block, use_reentrant=False)
        checked = torch.compile(region, fullgraph=fullgraph, backend="aot_eager")
    if fullgraph:
        with pytest.raises(torch._dynamo.exc.Unsupported):
            gradient(checked)
    else:
        assert torch.equal(gradient(checked), plain)
        assert torch.equal(gradient(checked), plain)


@pytest.mark.filterwarnings("ignore:Dynamo does not know how to trace")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
@pytest.mark.parametrize("reentrant", [False, True])
def test_code_compiled_before_has_the_masks_of_its_forward_in_a_region_or_raises(reentrant, seed):
    fast = torch.compile(lambda x: two_sites(x.sin()).sin(), backend="aot_eager")
    x = torch.ones(1000, requires_grad=True)
    with stream(seed):
        fast(x)
        with torch.no_grad():
            fast(x)
        y = checkpoint(fast, x, use_reentrant=reentrant)
        try:
            y.sum().backward()
        except StreamError:
            return
    assert torch.equal(x.grad != 0, y != 0)


def test_gradients_equal_eager(seed, rng):
    fast, _ = compiled(lambda x: two_sites(x).square().sum())
    x = torch.randn(4, 33, generator=rng, requires_grad=True)
    with stream(seed) as s:
        loss = fast(x)
        s.advance()  # the backward pass keeps the masks of its own step
        loss.backward()
    got, x.grad = x.grad, None
    with stream(seed):
        two_sites(x).square().sum().backward()
    torch.testing.assert_close(got, x.grad, rtol=1e-6, atol=0)


def test_without_a_stream_calls_differ_and_manual_seed_reproduces(seed):
    fast, counter = compiled(lambda x: ops.dropout(x, 0.5, training=True))
    x = torch.ones(1000)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        a, b = fast(x), fast(x)
        torch.manual_seed(seed)
        assert torch.equal(fast(x), a)
    assert not torch.equal(a, b)
    assert counter.frame_count == 1
