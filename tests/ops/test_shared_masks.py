"""Masks without a batch axis: one for all rows, wherever in the data they stand."""

import pytest
import torch

import dropkit as dk
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


@pytest.mark.parametrize("draw", DRAWS)
def test_samples_that_share_a_mask_get_the_same_whatever_the_batch(draw, seed):
    with stream(seed, member=2, shared_axis=(0, 6)):
        six = draw((6, 9), True)
    assert torch.equal(six, six[:1].expand_as(six))
    with stream(seed, member=2, shared_axis=(0, 2)):
        assert torch.equal(draw((2, 9), True), six[:2])
    with stream(seed, member=3, shared_axis=(0, 6)):
        assert not torch.equal(draw((6, 9), True), six)
    with stream(seed, shared_axis=(1, 9)):
        nine = draw((6, 9), True)
    assert torch.equal(nine, nine[:, :1].expand_as(nine))
    assert not torch.equal(nine, nine[:1].expand_as(nine))


def test_weights_have_no_batch_to_share_over(seed):
    with stream(seed):
        expected = draw_keep((4, 9), 0.4, CPU, generator=None, site="w", batched=False)
    with stream(seed, shared_axis=(0, 6)):
        assert torch.equal(draw_keep((4, 9), 0.4, CPU, generator=None, site="w", batched=False), expected)


@pytest.mark.parametrize("axis", [(0, 5), (1, 6), (2, 6)])
def test_a_mask_without_the_batch_is_named(axis, seed):
    with (
        stream(seed, shared_axis=axis),
        pytest.raises(StreamError, match=r"site 'w' draws a mask of shape \(6, 9\), which has no axis"),
    ):
        drop(torch.ones(6, 9), 0.4, None, generator=None, site="w")


def test_samples_that_share_numbers_may_have_rates_of_their_own(seed):
    rates = torch.linspace(0, 1, 6, dtype=torch.float64)[:, None]
    with stream(seed, shared_axis=(0, 6)):
        keep = draw_keep((6, 500), rates, CPU, generator=None, site="w")
    for row, rate in zip(keep, rates.flatten().tolist(), strict=True):
        with stream(seed, shared_axis=(0, 1)):
            assert torch.equal(row, draw_keep((1, 500), rate, CPU, generator=None, site="w")[0])


NOISE = [
    lambda x: dk.ops.gaussian_dropout(x, 0.4, training=True, site="w"),
    lambda x: dk.ops.gaussian_dropout(x, torch.tensor([0.4]), training=True, site="w"),
    lambda x: dk.ops.additive_gaussian_noise(x, 0.4, training=True, site="w"),
    lambda x: dk.ops.alpha_dropout(x, 0.4, training=True, site="w"),
]


@pytest.mark.parametrize("noise", NOISE)
def test_samples_share_noise_too(noise, seed):
    with stream(seed, shared_axis=(0, 6)):
        six = noise(torch.ones(6, 9))
    assert torch.equal(six, six[:1].expand_as(six))
    assert not torch.equal(six, torch.ones(6, 9))
    with stream(seed, shared_axis=(0, 2)):
        assert torch.equal(noise(torch.ones(2, 9)), six[:2])
