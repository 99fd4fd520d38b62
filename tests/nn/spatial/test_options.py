"""Modules of the family pass their options on, print them, and refuse bad ones when they are made."""

import pytest
import torch

import dropkit as dk
from dropkit.core import OptionError, ShapeError

CASES = [
    (
        dk.nn.DropBlock1d,
        (3, True),
        {"block_size": 3, "share_channels": True},
        "block_size=3, share_channels=True",
    ),
    (dk.nn.DropBlock2d, (5,), {"block_size": 5, "share_channels": False}, "block_size=5"),
    (dk.nn.DropBlock3d, (2,), {"block_size": 2, "share_channels": False}, "block_size=2"),
    (dk.nn.Cutout, (4,), {"size": 4}, "size=4"),
    (
        dk.nn.RandomErasing,
        (0.1, 0.2, 0.5, "noise"),
        {"smallest": 0.1, "largest": 0.2, "aspect": 0.5, "fill": "noise"},
        "smallest=0.1, largest=0.2, aspect=0.5, fill='noise'",
    ),
]


def images(module):
    dims = int(module.__name__[-2]) if module.__name__.startswith("DropBlock") else 2
    return torch.linspace(1, 2, 20 * 2 * 8**dims).view(20, 2, *[8] * dims)


@pytest.mark.parametrize(("module", "positional", "options", "shown"), CASES)
def test_options_reach_the_op_and_the_text(module, positional, options, shown, seed):
    layer = module(0.4, *positional, site="a")
    assert repr(layer) == f"{module.__name__}(rate=0.4, site='a', {shown})"
    x = images(module)
    op = next(v.op for v in dk.catalogue() if v.module is module)
    with dk.random.stream(seed):
        y = layer(x)
    with dk.random.stream(seed):
        assert torch.equal(y, op(x, 0.4, training=True, site="a", **options))
    with dk.random.stream(seed):
        assert not torch.equal(y, op(x, 0.4, training=True, site="a"))  # the defaults do something else
    assert module(0.4, **options, site="a").extra_repr() == layer.extra_repr()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: dk.nn.DropBlock2d(0.1, 0), "block_size must be a whole number of at least 1, got 0"),
        (lambda: dk.nn.Cutout(0.1, 2.5), "size must be a whole number of at least 1, got 2.5"),
        (lambda: dk.nn.RandomErasing(0.1, aspect=2.0), r"aspect must be in \(0, 1\], got 2.0"),
        (lambda: dk.nn.RandomErasing(0.1, fill="x"), "fill must be 'zeros' or 'noise', got 'x'"),
        (lambda: dk.nn.RandomErasing(0.1, 0.5), "smallest <= largest <= 1, got 0.5, 0.4"),
    ],
)
def test_bad_options_are_refused_when_the_module_is_made(make, message):
    with pytest.raises(OptionError, match=message):
        make()


def test_a_plan_gives_them_as_options(seed):
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Conv2d(4, 2, 3))
    rule = dk.Rule(at="conv", variant="drop_block2d", rate=0.4, options={"block_size": 3})
    x = torch.rand(6, 1, 12, 12, generator=torch.Generator().manual_seed(seed))
    plain = model(x)
    with dk.plan(model, [rule]).apply(model), dk.random.stream(seed):
        y = model(x)
    assert not torch.equal(y, plain)
    flat = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    rule = dk.Rule(at="hidden", variant="drop_block2d", rate=0.4)
    with (
        dk.plan(flat, [rule]).apply(flat),
        pytest.raises(ShapeError, match=r"drop_block2d needs shape \(N, C, H, W\), got \(3, 4\)"),
    ):
        flat(torch.ones(3, 4))
