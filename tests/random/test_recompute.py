"""Activation checkpointing gives the gradient of the unchecked run, or an error; never another mask."""

import threading

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from dropkit import ops
from dropkit.core import StreamError
from dropkit.random import stream

WAYS = [
    {"use_reentrant": False},
    {"use_reentrant": True},
    {"use_reentrant": False, "preserve_rng_state": False},
]


class Block(nn.Module):
    def __init__(self, site):
        super().__init__()
        self.linear, self.site = nn.Linear(16, 16), site

    def forward(self, x):
        x = ops.dropout(x, 0.5, training=True, site=self.site)
        return torch.tanh(self.linear(ops.dropout(x, 0.2, training=True)))


def gradient(block, x, way, after, active):
    """Three calls of one shared block, each its own region."""
    x = x.clone().requires_grad_()
    h = x
    for _ in range(3):
        h = block(h) if way is None else checkpoint(block, h, **way)
    if after == "advance":
        active.advance()
    if after == "exit":
        active.__exit__(None, None, None)
    h.square().sum().backward()
    if after == "exit":
        active.__enter__()
    return x.grad


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("site", [None, "s"])
@pytest.mark.parametrize("after", ["inside", "advance", "exit"])
def test_gradients_equal_those_without_checkpointing(way, site, after, seed, rng):
    block, x = Block(site), torch.randn(32, 16, generator=rng)
    with stream(seed) as active:
        plain = gradient(block, x, None, after, active)
    with stream(seed) as active:
        assert torch.equal(gradient(block, x, way, after, active), plain)
    with stream(seed + 1) as active:
        assert not torch.equal(gradient(block, x, way, after, active), plain)


@pytest.mark.parametrize("way", WAYS)
def test_the_same_without_a_stream(way, seed, rng):
    block, x = Block(None), torch.randn(32, 16, generator=rng)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        plain = gradient(block, x, None, "inside", None)
        torch.manual_seed(seed)
        assert torch.equal(gradient(block, x, way, "inside", None), plain)


def test_an_explicit_generator_is_not_drawn_from_again(rng):
    x = torch.randn(64, generator=rng, requires_grad=True)
    y = checkpoint(
        lambda x: ops.dropout(x, 0.5, training=True, generator=rng).square(), x, use_reentrant=False
    )
    dropped = y == 0
    state = rng.get_state()
    y.sum().backward()
    assert torch.equal(x.grad == 0, dropped)
    assert torch.equal(rng.get_state(), state)


def test_a_region_can_be_run_back_twice(seed, rng):
    block, x = Block("s"), torch.randn(32, 16, generator=rng, requires_grad=True)
    with stream(seed):
        y = checkpoint(block, x, use_reentrant=False).sum()
        first, = torch.autograd.grad(y, x, retain_graph=True)  # fmt: skip
        second, = torch.autograd.grad(y, x)  # fmt: skip
    assert torch.equal(first, second)


@pytest.mark.parametrize("after", ["inside", "advance", "exit"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("inner_way", WAYS)
@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")  # a reentrant one in another
def test_regions_nest(inner_way, way, after, seed, rng):
    x = torch.randn(32, 16, generator=rng)
    block = Block("s")

    def outer(x, inner_way=inner_way):
        x = ops.dropout(x.sin(), 0.3, training=True)
        for _ in range(2):
            x = block(x) if inner_way is None else checkpoint(block, x, **inner_way)
        return ops.dropout(x, 0.3, training=True, site="s").cos()

    with stream(seed) as active:
        plain = gradient(lambda x: outer(x, None), x, None, after, active)
    with stream(seed) as active:
        assert torch.equal(gradient(outer, x, way, after, active), plain)


@pytest.mark.parametrize("where", ["inside", "outside"])
def test_a_region_among_other_hooks_on_saved_tensors(where, seed, rng):
    x = torch.randn(32, 16, generator=rng)
    block = Block("s")
    keep = torch.autograd.graph.saved_tensors_hooks(lambda x: x, lambda x: x)

    def hooked(x):
        with keep:
            return block(x) if where == "inside" else checkpoint(block, x, use_reentrant=False)

    way = {"use_reentrant": False} if where == "inside" else None
    with stream(seed) as active:
        plain = gradient(block, x, None, "exit", active)
    with stream(seed) as active:
        assert torch.equal(gradient(hooked, x, way, "exit", active), plain)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_backward_in_another_thread_gets_the_same_masks(way, seed, rng):
    x = torch.randn(32, 16, generator=rng)
    block = Block("s")
    found = []
    for nest in (block, lambda x: checkpoint(lambda x: checkpoint(block, x, **way), x, **way)):
        leaf = x.clone().requires_grad_()
        with stream(seed):
            y = nest(leaf).square().sum()
            thread = threading.Thread(target=y.backward)
            thread.start(), thread.join()
        found.append(leaf.grad)
    assert torch.equal(*found)


def test_a_region_that_does_something_else_the_second_time_is_refused(seed):
    x = torch.ones(64, requires_grad=True)
    sites = iter(["a", "b"])

    def fickle(x):
        return ops.dropout(x, 0.5, training=True, site=next(sites)).square()

    with stream(seed):
        y = checkpoint(fickle, x, use_reentrant=False).sum()
        with pytest.raises(StreamError, match="at site 'b' where its forward drew at 'a'"):
            y.backward()


def test_a_region_that_draws_more_the_second_time_is_refused(seed):
    x = torch.ones(64, requires_grad=True)
    calls = iter([1, 2])

    def growing(x):
        for _ in range(next(calls)):
            x = ops.dropout(x, 0.5, training=True)
        return x.square()

    with stream(seed):
        y = checkpoint(growing, x, use_reentrant=False, preserve_rng_state=False).sum()
        with pytest.raises(StreamError, match="its forward did not draw"):
            y.backward()


@pytest.mark.parametrize("after", ["inside", "exit"])
def test_another_tool_that_recomputes_is_refused(after, seed):
    class Again(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return ops.dropout(x, 0.5, training=True)

        @staticmethod
        def backward(ctx, gradient):
            x = ctx.saved_tensors[0].detach().requires_grad_()
            with torch.enable_grad():
                return torch.autograd.grad(ops.dropout(x, 0.5, training=True), x, gradient)

    with stream(seed) as active:
        y = Again.apply(torch.ones(8, requires_grad=True)).sum()
        if after == "exit":
            active.__exit__(None, None, None)
        with pytest.raises(StreamError, match="during backward"):
            y.backward()
        if after == "exit":
            active.__enter__()
