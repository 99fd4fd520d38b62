"""Statistics of the bits over 2^28 draws a stream: frequency, runs, serial and cross-stream independence."""

import numpy as np
import pytest
import torch
from scipy import stats

from dropkit.random import keep_mask, next_key, stream
from dropkit.random.bits import _bits
from dropkit.random.layout import PRIMARY, TIE
from tests.laws import FALSE_ALARM

CPU = torch.device("cpu")
CHUNK, CHUNKS = 1 << 21, 1 << 7  # 2^28 in all

pytestmark = pytest.mark.slow


def kept(rate, chunk, **key):
    with stream(sample=chunk * CHUNK, **key):
        return keep_mask((CHUNK,), rate, next_key("x", None, CPU), CPU)


def assert_binomial(hits, n, p):
    assert stats.binomtest(hits, n, p).pvalue > FALSE_ALARM


@pytest.mark.parametrize("rate", [0.5, 0.1])
def test_frequency_and_runs(rate, seed):
    dropped = agree = 0
    for chunk in range(CHUNKS):
        keep = kept(rate, chunk, seed=seed)
        dropped += int((~keep).sum())
        # Disjoint neighbours, so that the pairs are independent at any rate.
        agree += int((keep[::2] == keep[1::2]).sum())
    assert_binomial(dropped, CHUNK * CHUNKS, rate)
    assert_binomial(agree, CHUNK * CHUNKS // 2, rate**2 + (1 - rate) ** 2)


@pytest.mark.parametrize("domain", [PRIMARY, TIE])
def test_16_bit_numbers_are_uniform_and_serially_independent(domain, seed):
    with stream(seed):
        words = next_key("x", None, CPU).words
    counts = torch.zeros(1 << 16, dtype=torch.int64)
    lags = [1, 2, 15, 16, 17, 63, 64, 65, 127, 128]  # lanes, words and halves of the layout, and around them
    pairs = {lag: torch.zeros(256, dtype=torch.int64) for lag in lags}
    for chunk in range(CHUNKS):
        numbers = _bits(chunk * CHUNK, (CHUNK,), domain, words, CPU)
        counts += torch.bincount(numbers, minlength=1 << 16)
        top = numbers >> 12
        for lag in lags:
            blocks = top[: CHUNK // (2 * lag) * 2 * lag].view(-1, 2, lag)  # disjoint pairs at this distance
            pairs[lag] += torch.bincount((blocks[:, 0] * 16 + blocks[:, 1]).flatten(), minlength=256)
    assert stats.chisquare(counts.numpy()).pvalue > FALSE_ALARM
    for lag in lags:
        assert stats.chisquare(pairs[lag].numpy()).pvalue > FALSE_ALARM, lag


FIELDS = [
    {"step": 1},
    {"rank": 1},
    {"member": 1},
    {"step": 1 << 31},
    {"member": 1 << 31},
    {"flip": 1},
    {"flip": 1 << 40},
]


@pytest.mark.parametrize("other", FIELDS, ids=str)
def test_streams_that_differ_in_one_bit_are_independent(other, seed):
    fields = {"seed": seed ^ other.get("flip", 0)} | {k: v for k, v in other.items() if k != "flip"}
    agree = sum(int((kept(0.5, c, seed=seed) == kept(0.5, c, **fields)).sum()) for c in range(CHUNKS // 8))
    assert_binomial(agree, CHUNK * CHUNKS // 8, 0.5)


def test_sites_and_occurrences_are_independent(seed):
    n = 1 << 16
    with stream(seed):
        first = np.stack([keep_mask((n,), 0.5, next_key("x", None, CPU), CPU).numpy() for _ in range(128)])
        second = np.stack([keep_mask((n,), 0.5, next_key(None, None, CPU), CPU).numpy() for _ in range(128)])
    signs = np.concatenate((first, second)).astype(np.float64) * 2 - 1
    correlation = signs @ signs.T / np.sqrt(n)
    off = correlation[np.triu_indices(256, 1)]  # pairwise independent: their squares sum to chi-squared
    assert stats.chi2.sf((off**2).sum(), off.size) > FALSE_ALARM
    assert np.abs(off).max() < stats.norm.isf(FALSE_ALARM / 2 / off.size)
