import copy
import pickle

import pytest
import torch
from torch._dynamo.testing import CompileCounter

import dropkit as dk
from dropkit.core import RateError, StreamError
from dropkit.random import Schedule


class Line(Schedule):
    def __init__(self, slope):
        self.slope = slope

    def at(self, step):
        return self.slope * step

    def __repr__(self):
        return f"Line({self.slope})"


def test_it_follows_the_innermost_stream(seed):
    line = Line(0.01)
    with dk.random.stream(seed, step=3) as outer:
        assert line.now() == pytest.approx(0.03)
        with dk.random.stream(seed, step=50):
            assert line.now() == pytest.approx(0.5)
        outer.advance(4)
        assert line.now() == pytest.approx(0.07)


def test_without_a_stream_nothing_counts_steps():
    with pytest.raises(StreamError, match=r"Line\(0.01\) depends on the step"):
        Line(0.01).now()


def test_a_value_that_is_no_rate_names_schedule_and_step(seed):
    with (
        dk.random.stream(seed, step=7),
        pytest.raises(RateError, match=r"Line\(1\) at step 7 must be in \[0, 1\], got 7"),
    ):
        Line(1).now()


def test_a_module_with_a_schedule_draws_the_masks_of_that_rate(seed):
    x = torch.ones(64, 64)
    layer = dk.nn.Dropout(Line(0.1), site="a")
    for step in (0, 2, 5, 10):
        with dk.random.stream(seed, step=step):
            got = layer(x)
        with dk.random.stream(seed, step=step):
            assert torch.equal(got, dk.ops.dropout(x, 0.1 * step, training=True, site="a"))
    assert layer.eval()(x) is x  # no stream, and no rate asked for
    assert repr(layer) == "Dropout(rate=Line(0.1), site='a')"


def test_100_steps_compile_once_and_equal_eager(seed):
    torch.compiler.reset()
    layer, x, counter = dk.nn.Dropout(Line(0.009), site="a"), torch.ones(40, 40), CompileCounter()
    compiled = torch.compile(layer, fullgraph=True, backend=counter)
    with dk.random.stream(seed, step=1) as stream:
        for _ in range(100):
            with dk.random.stream(seed, step=stream.step):
                expected = layer(x)
            assert torch.equal(compiled(x), expected)
            stream.advance()
    assert counter.frame_count == 1


def test_gradients_of_compiled_code_keep_the_rate_of_their_forward(seed):
    torch.compiler.reset()
    layer, x = dk.nn.Dropout(Line(0.1), site="a"), torch.ones(40, 40, requires_grad=True)
    compiled = torch.compile(layer, fullgraph=True)
    with dk.random.stream(seed, step=3) as stream:
        y = compiled(x)
        stream.advance(5)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())
    assert 0 < int((y == 0).sum()) < y.numel() / 2


def test_copies_and_pickles(seed):
    line = Line(0.1)
    assert copy.deepcopy(line) is line
    loaded = pickle.loads(pickle.dumps(line))
    assert loaded.slope == 0.1
    del line
    torch.compiler.reset()
    with dk.random.stream(seed, step=4):
        assert float(torch.compile(lambda: loaded.now() * 1, fullgraph=True)()) == pytest.approx(0.4)
