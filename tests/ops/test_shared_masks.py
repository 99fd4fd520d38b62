"""Masks without a batch axis: one for all rows, wherever in the data they stand."""

import pytest
import torch

from dropkit.core import StreamError
from dropkit.ops.draws import draw_keep, draw_normal, draw_uniform
from dropkit.ops.drop import drop
from dropkit.random import stream

CPU = torch.device("cpu")
DRAWS = [
    lambda shape, batched: draw_keep(shape, 0.4, CPU, generator=None, site="w", batched=batched),
    lambda shape, batched: draw_uniform(shape, CPU, generator=None, site="w", batched=batched),
    lambda shape, batched: draw_normal(shape, CPU, generator=None, site="w", batched=batched),
    lambda shape, batched: drop(torch.ones(shape), 0.4, None, generator=None, site="w", batched=batched),
    lambda shape, batched: drop(
        torch.ones(shape), torch.tensor([0.4]), None, generator=None, site="w", batched=batched
    ),
]


@pytest.mark.parametrize("draw", DRAWS)
def test_a_shared_mask_ignores_where_its_rows_stand(draw, seed):
    with stream(seed):
        expected = draw((6, 9), False)
    for sample in (3, torch.arange(4), torch.arange(6)):
        with stream(seed, sample=sample):
            assert torch.equal(draw((6, 9), False), expected)
    with stream(seed):
        assert torch.equal(draw((6, 9), True), expected)
    with stream(seed, sample=3):
        assert torch.equal(draw((6, 9), True)[:3], expected[3:])


@pytest.mark.parametrize("draw", DRAWS)
def test_a_shared_mask_with_one_member_a_row_is_refused(draw, seed):
    with (
        stream(seed, member=torch.arange(6)),
        pytest.raises(StreamError, match=r"site 'w' draws one mask for"),
    ):
        draw((6, 9), False)


@pytest.mark.parametrize("draw", DRAWS)
def test_a_shared_mask_follows_members_under_vmap(draw, seed):
    def member(m):
        with stream(seed, member=m):
            return draw((5, 7), False)

    rows = torch.vmap(member)(torch.tensor([0, 4]))
    assert torch.equal(rows[1], member(4))
    assert not torch.equal(rows[0], rows[1])
