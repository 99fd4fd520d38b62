"""Laws of dropkit.ops.fractal_drop_path."""

import itertools

import pytest
import torch

from dropkit.core import DtypeError, OptionError, ShapeError
from dropkit.ops import fractal_drop_path
from dropkit.random import mask, stream
from tests.laws import assert_frequency


def columns(rng, k, n=400, *trailing):
    return [torch.randn(n, *trailing, generator=rng, dtype=torch.float64) for _ in range(k)]


def test_each_sample_is_the_mean_of_some_columns_and_never_of_none(rng):
    parts = columns(rng, 3, 400, 2, 2)
    y = fractal_drop_path(parts, 0.5, training=True, generator=rng)
    seen = set()
    means = {
        some: torch.stack([parts[k] for k in some]).mean(0)
        for size in (1, 2, 3)
        for some in itertools.combinations(range(3), size)
    }
    for n in range(400):
        found = [some for some, mean in means.items() if torch.allclose(y[n], mean[n], rtol=1e-12)]
        assert len(found) == 1
        seen.update(found)
    assert seen == set(means)


def test_the_coins_are_those_of_a_mask_over_samples_and_columns(seed):
    parts = [torch.full((300, 1), 10.0**k) for k in range(3)]
    with stream(seed):
        y = fractal_drop_path(parts, 0.4, training=True, site="a")[:, 0]
    keep = torch.from_numpy(mask((300, 3), 0.4, seed=seed, site="a"))
    some = keep.any(1)
    assert 0 < int(some.sum()) < 300
    expected = (keep * torch.tensor([1.0, 10.0, 100.0])).sum(1) / keep.sum(1)
    torch.testing.assert_close(y[some], expected[some])
    assert torch.isin(y[~some], torch.tensor([1.0, 10.0, 100.0])).all()


@pytest.mark.parametrize("rate", [0.15, 0.5, 0.9])
def test_a_column_survives_as_often_as_the_law_says(rate, rng):
    parts = [torch.full((60_000, 1), float(k == 0)) for k in range(3)]
    y = fractal_drop_path(parts, rate, training=True, generator=rng)
    assert_frequency(y > 0, 1 - rate + rate**3 / 3)


def test_at_rate_one_a_single_column_survives_each_as_likely(rng):
    parts = [torch.full((60_000, 1), float(k)) for k in range(4)]
    y = fractal_drop_path(parts, 1.0, training=True, generator=rng)
    for k in range(4):
        assert_frequency(y == k, 0.25)


def test_eval_is_the_mean_of_all_and_so_is_the_expectation(rng):
    parts = columns(rng, 3, 5)
    mean = torch.stack(parts).mean(0)
    torch.testing.assert_close(fractal_drop_path(parts, 0.3, training=False), mean)
    rate, total = 0.3, torch.zeros(5).double()
    for keep in itertools.product([0, 1], repeat=3):  # the law, over all coins
        chance = (1 - rate) ** sum(keep) * rate ** (3 - sum(keep))
        kept = [p for p, k in zip(parts, keep, strict=True) if k] or parts
        total += chance * torch.stack(kept).mean(0)
    torch.testing.assert_close(total, mean)


def test_a_global_column_survives_alone(rng):
    parts = columns(rng, 3, 6, 2)
    column = torch.tensor([0, 1, 2, 2, 1, 0])
    y = fractal_drop_path(parts, 0.5, training=True, column=column, generator=rng)
    assert torch.equal(y, torch.stack(parts)[column, torch.arange(6)])
    assert not torch.equal(fractal_drop_path(parts, 0.5, training=False, column=column), y)


def test_rows_with_minus_one_are_local(rng, seed):
    parts = columns(rng, 3, 40, 2)
    column = torch.where(torch.arange(40) < 20, -1, 1)
    with stream(seed):
        y = fractal_drop_path(parts, 0.5, training=True, column=column, site="a")
    with stream(seed):
        local = fractal_drop_path(parts, 0.5, training=True, site="a")
    assert torch.equal(y[:20], local[:20])
    assert torch.equal(y[20:], parts[1][20:])


def test_samples_do_not_depend_on_chunks(rng, seed):
    parts = columns(rng, 3, 12, 2)
    with stream(seed):
        whole = fractal_drop_path(parts, 0.7, training=True, site="a")
    with stream(seed, sample=5):
        part = fractal_drop_path([p[5:] for p in parts], 0.7, training=True, site="a")
    assert torch.equal(part, whole[5:])


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_dropped_column_leaves_no_trace_even_if_not_finite(value, rng):
    parts = [torch.ones(200, 1), torch.full((200, 1), value)]
    y = fractal_drop_path(parts, 0.5, training=True, generator=rng)
    assert 0 < int((y == 1).sum()) < 200
    assert not y[y != 1].isfinite().any()


def test_half_precision_means_are_taken_in_single():
    parts = [torch.full((2, 1), 60_000.0, dtype=torch.float16) for _ in range(3)]
    assert fractal_drop_path(parts, 0.0, training=True)[0] == 60_000.0
    assert fractal_drop_path(torch.stack(parts), 0.0, training=False)[0] == 60_000.0
    assert fractal_drop_path([p[:0] for p in parts], 0.5, training=True).shape == (0, 1)


@pytest.mark.parametrize(
    ("parts", "column", "error", "text"),
    [
        ([], None, ShapeError, "at least one column, got none"),
        ([torch.ones(2), torch.ones(3)], None, ShapeError, r"one shape \(N, \*\), got \(2,\), \(3,\)"),
        ([torch.tensor(1.0)], None, ShapeError, r"one shape \(N, \*\)"),
        ([torch.ones(2), torch.ones(2).double()], None, DtypeError, "one dtype"),
        ([torch.ones(2)], torch.zeros(3).long(), ShapeError, r"of shape \(2,\), one a row, got torch.int64"),
        ([torch.ones(2)], torch.zeros(2), ShapeError, "whole numbers"),
        ([torch.ones(2)], torch.tensor([0, 1]), OptionError, "below 1, the number of columns, got 1"),
    ],
)
def test_bad_arguments_are_named(parts, column, error, text):
    with pytest.raises(error, match=text):
        fractal_drop_path(parts, 0.5, training=True, column=column)
