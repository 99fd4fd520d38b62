"""Masks as tensors equal the NumPy reference; normal variates have their law."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dropkit.core import StreamError
from dropkit.random import keep_mask, mask, next_key, normal, stream
from tests.laws import FALSE_ALARM

CPU = torch.device("cpu")


def drawn(shape, rate, site="x", **key):
    with stream(**key):
        return keep_mask(shape, rate, next_key(site, None, CPU), CPU)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(0, 9), max_size=4),
    rate=st.floats(0.001, 0.999) | st.sampled_from([0.5, 0.25, 1e-9]),
    seed=st.integers(-(2**63), 2**64 - 1),
    step=st.integers(0, 2**63 - 1),
    rank=st.integers(0, 2**32 - 1),
    member=st.integers(0, 2**32 - 1),
    site=st.text(max_size=8) | st.integers(0, 2**31).map("#{}".format),
)
def test_tensor_masks_equal_the_reference(shape, rate, seed, step, rank, member, site):
    key = {"seed": seed, "step": step, "rank": rank, "member": member}
    assert np.array_equal(drawn(shape, rate, site, **key).numpy(), mask(shape, rate, site=site, **key))


@pytest.mark.parametrize("rate", [0.1, 1 / 3, 0.7])
def test_ties_of_the_first_16_bits_are_broken_as_in_the_reference(rate, seed):
    shape = (1000, 1001)  # some 15 ties: without their extra bits half of them would go the other way
    assert np.array_equal(drawn(shape, rate, seed=seed).numpy(), mask(shape, rate, seed=seed, site="x"))


@pytest.mark.parametrize("rate", [0.1, 0.5])
@pytest.mark.parametrize("start", [0, 1, 3, 12_345_678_901])
def test_a_chunk_has_the_masks_of_its_rows(rate, start, seed):
    whole = drawn((40, 7, 3), rate, seed=seed, sample=start)
    for chunk in (drawn((10, 7, 3), rate, seed=seed, sample=start + 30),
                  drawn((10, 7, 3), rate, seed=seed, sample=torch.tensor(start + 30))):  # fmt: skip
        assert torch.equal(chunk, whole[30:])
    rows = torch.tensor([3, 0, 39, 17])
    assert torch.equal(drawn((4, 7, 3), rate, seed=seed, sample=start + rows), whole[rows])
    assert len({tuple(row.flatten().tolist()) for row in whole}) > 10  # about 33 are expected


def test_row_zero_of_the_data_is_the_plain_mask(seed):
    assert torch.equal(drawn((5, 6), 0.3, seed=seed, sample=torch.arange(5)), drawn((5, 6), 0.3, seed=seed))


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_one_member_a_row_and_under_vmap(rate, seed):
    members = torch.tensor([4, 0, 7])
    alone = torch.stack([drawn((3, 50), rate, seed=seed, member=int(m)) for m in members])
    batched = torch.vmap(lambda m: drawn((3, 50), rate, seed=seed, member=m))(members)
    assert torch.equal(batched, alone)
    by_row = drawn((3, 50), rate, seed=seed, member=members)
    assert torch.equal(by_row, alone[range(3), range(3)])
    shared = drawn((3, 50), rate, seed=seed, member=members, sample=torch.zeros(3, dtype=torch.int64))
    assert torch.equal(shared, alone[:, 0])


def test_a_sample_under_vmap(seed):
    whole = drawn((6, 50), 0.3, seed=seed)
    chunks = torch.vmap(lambda s: drawn((2, 50), 0.3, seed=seed, sample=s))(torch.tensor([0, 2, 4]))
    assert torch.equal(chunks.flatten(0, 1), whole)


def test_a_wrong_number_of_rows_is_refused(seed):
    with pytest.raises(StreamError, match=r"each of 3 rows.*this mask has 4 rows"):
        drawn((4, 5), 0.5, seed=seed, sample=torch.arange(3))


def test_normal_variates_are_standard_normal_and_independent(seed):
    with stream(seed):
        z = normal((300, 1000), next_key("z", None, CPU), CPU)
    assert z.dtype == torch.float64
    assert stats.kstest(z.flatten().numpy(), "norm").pvalue > FALSE_ALARM
    n = z[:, 1:].numel()
    for a, b in [
        (z[:, 1:], z[:, :-1]),
        (z[:, 16:], z[:, :-16]),
        (z[1:], z[:-1]),
        (z[:, 16:] ** 2, z[:, :-16] ** 2),
    ]:
        r = np.corrcoef(a.flatten(), b.flatten())[0, 1]  # cosine and sine of one pair lie 16 apart
        assert abs(r) < stats.norm.isf(FALSE_ALARM / 2) / np.sqrt(n - 300)


def test_normal_variates_do_not_depend_on_chunks(seed):
    def z(shape, **key):
        with stream(seed, **key):
            return normal(shape, next_key("z", None, CPU), CPU)

    whole = z((40, 13))
    assert torch.equal(z((10, 13), sample=30), whole[30:])
    assert torch.equal(z((3, 13), sample=torch.tensor([5, 1, 39])), whole[[5, 1, 39]])
    assert whole.unique().numel() == whole.numel()
