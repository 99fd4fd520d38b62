"""Which member a row belongs to."""

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from dropkit.core import StreamError
from dropkit.ops.ensembles.rows import row_members
from dropkit.random import stream

CPU = torch.device("cpu")


def rows(count, members=3):
    return row_members(count, members, CPU, "a").tolist()


def test_without_a_stream_members_take_turns():
    assert rows(7) == [0, 1, 2, 0, 1, 2, 0]
    assert rows(0) == []


def test_copies_of_an_input_meet_every_member():
    x = torch.arange(4).repeat_interleave(3)
    met = list(zip(x.tolist(), rows(12), strict=True))
    assert sorted(met) == [(i, m) for i in range(4) for m in range(3)]


def test_the_members_of_a_stream_run_through_the_ensemble_for_every_row(seed):
    seen = []
    for member in range(6):
        with stream(seed, member=member):
            seen.append(rows(5))
    for row in zip(*seen, strict=True):
        assert sorted(row[:3]) == [0, 1, 2]
        assert row[3:] == row[:3]
    assert seen[0] == [0, 1, 2, 0, 1]


def test_rows_do_not_depend_on_chunks(seed):
    with stream(seed, member=1):
        whole = rows(10)
    with stream(seed, member=1, sample=4):
        assert rows(6) == whole[4:]
    order = torch.tensor([9, 0, 4])
    with stream(seed, member=1, sample=order):
        assert rows(3) == [whole[i] for i in order]


def test_one_member_a_row(seed):
    with stream(seed, member=torch.tensor([0, 1, 2, 2])):
        assert rows(4) == [0, 2, 1, 2]
    with stream(seed, member=torch.arange(4)), pytest.raises(StreamError, match="rows"):
        rows(5)
    with stream(seed, sample=torch.arange(4)), pytest.raises(StreamError, match="rows"):
        rows(5)


def test_samples_that_share_masks_share_the_member(seed):
    for member in range(4):
        with stream(seed, member=member, shared_axis=(0, 5)):
            assert rows(5) == [member % 3] * 5


def test_steps_ranks_and_seeds_change_nothing(seed):
    for key in ({"step": 3}, {"rank": 2}):
        with stream(seed, **key):
            assert rows(4) == [0, 1, 2, 0]


def test_vmap_over_members(seed):
    def member(m):
        with stream(seed, member=m):
            return row_members(4, 3, CPU, None)

    assert torch.vmap(member)(torch.arange(2)).tolist() == [[0, 1, 2, 0], [1, 2, 0, 1]]


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_recomputation_outside_the_stream_has_the_members_of_the_forward(reentrant, seed):
    seen = []

    def region(x):
        seen.append(rows(3))
        return x.sin()

    x = torch.ones(3, requires_grad=True)
    with stream(seed, member=2):
        y = checkpoint(region, x, use_reentrant=reentrant)
    y.sum().backward()
    assert seen == [[2, 0, 1], [2, 0, 1]]


def test_compiled_code_follows_members_without_compiling_again(seed):
    from torch._dynamo.testing import CompileCounter

    torch.compiler.reset()
    counter = CompileCounter()
    fast = torch.compile(lambda x: x + row_members(4, 3, CPU, None), backend=counter, fullgraph=True)
    for member in range(4):
        with stream(seed, member=member):
            assert fast(torch.zeros(4)).tolist() == [(i + member) % 3 for i in range(4)]
    assert counter.frame_count == 1
    torch.compiler.reset()
