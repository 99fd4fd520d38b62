"""Laws of DropBlock in one, two and three dimensions."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import ndimage, stats

from dropkit import ops
from dropkit.core import OptionError, ShapeError
from dropkit.ops.spatial.drop_block import block_rate
from dropkit.random import mask, stream
from tests.laws import FALSE_ALARM, assert_frequency

OPS = {1: ops.drop_block1d, 2: ops.drop_block2d, 3: ops.drop_block3d}
Z = stats.norm.isf(FALSE_ALARM / 2)


def places(sizes, block_size):
    """Return the slices of every block inside a map."""
    blocks = [min(block_size, size) for size in sizes]
    starts = itertools.product(*(range(s - b + 1) for s, b in zip(sizes, blocks, strict=True)))
    return [tuple(slice(i, i + b) for i, b in zip(start, blocks, strict=True)) for start in starts]


def covered(sizes, block_size, seeds):
    """Return which elements lie under a block, for a choice of blocks."""
    dropped = np.zeros(sizes, bool)
    for place, seed in zip(places(sizes, block_size), seeds, strict=True):
        if seed:
            dropped[place] = True
    return dropped


@pytest.mark.parametrize("rate", [1e-4, 0.1, 0.5, 0.93])
@pytest.mark.parametrize(
    ("sizes", "block_size"),
    [((5,), 2), ((8,), 3), ((4,), 9), ((3, 3), 2), ((2, 5), 3), ((3, 4), 1), ((2, 2, 3), 2), ((2, 3, 2), 7)],
)
def test_the_expected_share_is_the_rate_by_enumeration_of_all_choices(sizes, block_size, rate):
    g = block_rate(rate, sizes, block_size)
    number = len(places(sizes, block_size))
    share = 0.0
    for seeds in itertools.product([False, True], repeat=number):
        chance = g ** sum(seeds) * (1 - g) ** (number - sum(seeds))
        share += chance * covered(sizes, block_size, seeds).mean()
    assert share == pytest.approx(rate, rel=1e-11)


@pytest.mark.parametrize("rate", [0.0, 1e-7, 0.3, 0.999, 1.0])
@pytest.mark.parametrize(
    ("sizes", "block_size"), [((56, 56), 7), ((7, 7), 7), ((200, 200), 99), ((9, 14, 5), 4)]
)
def test_the_expected_share_is_the_rate_on_large_maps(sizes, block_size, rate):
    g = block_rate(rate, sizes, block_size)
    counts = np.ones(())
    for size in sizes:
        b = min(block_size, size)
        along = np.convolve(np.ones(size - b + 1), np.ones(b))
        counts = np.multiply.outer(counts, along)
    share = -np.expm1(counts * np.log1p(-g)).mean() if g < 1 else 1.0
    assert share == pytest.approx(rate, rel=1e-9)
    tensor = block_rate(torch.tensor([rate, 0.5], dtype=torch.float64), sizes, block_size)
    assert tensor[0].item() == pytest.approx(g, rel=1e-12)


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.7])
@pytest.mark.parametrize(
    ("sizes", "block_size"),
    [
        ((14, 14), 7),
        ((7, 7), 7),
        ((5, 5), 7),
        ((1, 1), 7),
        ((3, 12), 5),
        ((8, 8), 3),
        ((6, 6), 1),
        ((6, 6), 4),
        ((4,), 7),
        ((20,), 7),
        ((30,), 2),
        ((2, 3, 4), 7),
        ((6, 6, 6), 3),
    ],
)
def test_the_measured_share_is_the_rate_for_every_size(sizes, block_size, rate, rng):
    op = OPS[len(sizes)]
    y = op(torch.ones(400, 50, *sizes), rate, block_size=block_size, training=True, generator=rng)
    shares = (
        (y == 0).flatten(2).double().mean(2).flatten()
    )  # the maps are independent, their elements are not
    assert abs(shares.mean() - rate) < Z * shares.std() / math.sqrt(len(shares))
    assert shares.std() > 0


@pytest.mark.parametrize(
    ("sizes", "block_size"), [((6,), 3), ((5, 7), 3), ((4, 5), 2), ((3, 4, 5), 2), ((2, 9), 4)]
)
def test_the_mask_is_that_of_the_blocks_whose_coins_fell(sizes, block_size, seed):
    x = torch.linspace(1, 2, 6 * 2 * math.prod(sizes), dtype=torch.float64).view(6, 2, *sizes)
    with stream(seed):
        y = OPS[len(sizes)](x, 0.4, block_size=block_size, training=True, site="a")
    starts = [max(size - block_size, 0) + 1 for size in sizes]
    kept = mask((6, 2, *starts), block_rate(0.4, sizes, block_size), seed=seed, site="a")
    for n in range(6):
        dropped = np.stack([covered(sizes, block_size, ~kept[n, c].ravel()) for c in range(2)])
        share = (~dropped).mean()
        expected = np.where(dropped, 0.0, x[n].numpy() / share) if share else np.zeros_like(dropped)
        np.testing.assert_allclose(y[n].numpy(), expected, rtol=1e-12)
        assert ((y[n].numpy() == 0) == dropped).all()


def test_what_is_dropped_is_made_of_whole_blocks_inside_the_map(rng):
    y = ops.drop_block2d(torch.ones(300, 4, 12, 12), 0.3, block_size=4, training=True, generator=rng)
    dropped = (y == 0).numpy()
    square = np.ones((1, 1, 4, 4))
    assert (ndimage.binary_opening(dropped, square) == dropped).all()
    assert 0.2 < dropped.mean() < 0.4


def test_the_middle_is_dropped_more_often_than_the_border(rng):
    y = ops.drop_block2d(torch.ones(40_000, 1, 5, 5), 0.3, block_size=3, training=True, generator=rng)
    g = block_rate(0.3, (5, 5), 3)
    for row, column, blocks in [(0, 0, 1), (0, 2, 3), (2, 2, 9), (4, 3, 2)]:
        assert_frequency(y[:, 0, row, column] == 0, 1 - (1 - g) ** blocks)


def test_each_samples_scale_is_its_own(seed):
    x = torch.rand(50, 3, 9, 9, generator=torch.Generator().manual_seed(seed)) + 0.5
    with stream(seed):
        y = ops.drop_block2d(x, 0.4, block_size=3, training=True, site="a")
    factors = set()
    for n in range(50):
        with stream(seed, sample=n):
            alone = ops.drop_block2d(x[n : n + 1], 0.4, block_size=3, training=True, site="a")
        assert torch.equal(alone[0], y[n])
        kept = y[n] != 0
        factor = kept.numel() / kept.sum().item()
        torch.testing.assert_close(y[n][kept], x[n][kept] * factor)
        factors.add(round(factor, 6))
    assert len(factors) > 10
    torch.testing.assert_close(
        (y / x).mean((1, 2, 3))[y.flatten(1).any(1)], torch.ones(50)[y.flatten(1).any(1)]
    )


@pytest.mark.parametrize("dims", OPS)
def test_channels_may_share_a_mask(dims, seed):
    x = torch.ones(30, 5, *[7] * dims)
    with stream(seed):
        y = OPS[dims](x, 0.4, block_size=3, share_channels=True, training=True, site="a")
    with stream(seed):
        expected = OPS[dims](x[:, :1], 0.4, block_size=3, training=True, site="a")
    assert torch.equal(y, expected.expand_as(y))
    assert 0 < (y == 0).sum() < y.numel()


def test_where_nothing_is_kept_nothing_is_divided(seed):
    x = torch.ones(2000, 1, 3, 3, requires_grad=True)
    with stream(seed):
        y = ops.drop_block2d(x, 0.5, block_size=5, training=True)
    y.sum().backward()
    gone = (y == 0).flatten(1).all(1)
    assert_frequency(gone, 0.5)
    assert torch.equal(y[~gone], x[~gone])  # the whole map is one block
    assert torch.equal(x.grad[gone], torch.zeros_like(x[gone]))
    assert torch.equal(x.grad[~gone], torch.ones_like(x[~gone]))


def test_blocks_of_one_are_dropped_with_the_rate_itself():
    for rate in (0.1, 0.5, 0.77):
        assert block_rate(rate, (6, 7), 1) == pytest.approx(rate, rel=1e-14)


def test_rates_by_channel(seed):
    rates = torch.tensor([0.0, 0.4, 1.0]).view(3, 1, 1)
    x = torch.ones(2000, 3, 8, 8)
    with stream(seed):
        y = ops.drop_block2d(x, rates, block_size=3, training=True)
    shares = (y == 0).flatten(2).double().mean(2)
    assert float(shares[:, 0].max()) == 0.0
    assert float(shares[:, 2].min()) == 1.0
    assert abs(shares[:, 1].mean() - 0.4) < Z * shares[:, 1].std() / math.sqrt(2000)


@pytest.mark.parametrize("dims", OPS)
@pytest.mark.parametrize("off", [-1, 1])
def test_another_rank_is_refused_with_what_is_needed(dims, off):
    x = torch.ones([2] * (dims + 2 + off))
    with pytest.raises(ShapeError, match=rf"drop_block{dims}d needs shape \(N, C, .*\), got \(2,"):
        OPS[dims](x, 0.5, training=True)


@pytest.mark.parametrize("block_size", [0, -3, 2.5, True, "7"])
@pytest.mark.parametrize("training", [True, False])
def test_a_block_size_that_is_none_is_refused(block_size, training):
    message = "block_size must be a whole number of at least 1, got"
    with pytest.raises(OptionError, match=message):
        ops.drop_block2d(torch.ones(1, 1, 2, 2), 0.5, block_size=block_size, training=training)
