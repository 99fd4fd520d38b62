"""dropkit.nn.MultiSampleDropout."""

import pytest
import torch
from torch import nn

import dropkit as dk
from dropkit.core import OptionError, ShapeError
from dropkit.random import mask, stream


def test_every_copy_is_the_head_on_dropout_with_a_mask_of_its_own(seed, rng):
    head, x = nn.Linear(6, 3), torch.randn(5, 6, generator=rng)
    module = dk.nn.MultiSampleDropout(head, 0.4, 4, "none", site="a")
    with stream(seed):
        got = module(x)
    keep = torch.from_numpy(mask((5, 4, 6), 0.4, seed=seed, site="a"))
    assert got.shape == (4, 5, 3)
    for copy in range(4):
        torch.testing.assert_close(got[copy], head(torch.where(keep[:, copy], x * (1 / 0.6), 0.0)))
    assert not torch.equal(keep[:, 0], keep[:, 1])


def test_the_mean_is_that_of_the_copies(seed, rng):
    head, x = nn.Linear(6, 3), torch.randn(5, 6, generator=rng)
    with stream(seed):
        copies = dk.nn.MultiSampleDropout(head, 0.4, 4, "none", site="a")(x)
    with stream(seed):
        mean = dk.nn.MultiSampleDropout(head, 0.4, 4, site="a")(x)
    torch.testing.assert_close(mean, copies.mean(0))


def test_the_mean_of_many_copies_of_a_linear_head_is_the_head(rng):
    head, x = nn.Linear(6, 3).double(), torch.randn(1, 6, generator=rng, dtype=torch.float64)
    with stream(0):
        outputs = dk.nn.MultiSampleDropout(head, 0.5, 20_000, "none")(x)[:, 0]
    error = outputs.std(0) / 20_000**0.5
    assert ((outputs.mean(0) - head(x)[0]).abs() < 5.5 * error).all()


def test_in_eval_it_is_the_head():
    head, x = nn.Linear(6, 3), torch.ones(5, 6)
    for reduce in ("mean", "none"):
        assert torch.equal(dk.nn.MultiSampleDropout(head, 0.5, 4, reduce).eval()(x), head(x))


def test_images_and_chunks(seed):
    head, x = nn.Conv2d(2, 3, 1), torch.ones(6, 2, 4, 4)
    module = dk.nn.MultiSampleDropout(head, 0.5, 3, "none", site="a")
    with stream(seed):
        whole = module(x)
    with stream(seed, sample=2):
        torch.testing.assert_close(module(x[2:]), whole[:, 2:])
    assert whole.shape == (3, 6, 3, 4, 4)


def test_bad_arguments_are_named():
    head = nn.Linear(2, 2)
    with pytest.raises(OptionError, match="samples must be a whole number of at least 1, got 0"):
        dk.nn.MultiSampleDropout(head, 0.5, 0)
    with pytest.raises(OptionError, match="reduce must be 'mean' or 'none', got 'sum'"):
        dk.nn.MultiSampleDropout(head, 0.5, reduce="sum")
    with pytest.raises(ShapeError, match="0-d"):
        dk.nn.MultiSampleDropout(head, 0.5)(torch.tensor(1.0))
    assert "rate=0.5, samples=3, reduce='none'" in repr(dk.nn.MultiSampleDropout(head, 0.5, 3, "none"))
