"""Modules called with other weights in the place of their own."""

import pytest
import torch

from dropkit.nn.weights.twin import laid_out_like


def test_weights_are_laid_out_as_those_they_stand_for(rng):
    memory = torch.randn(100, generator=rng)
    own = [memory[40:52].view(3, 4), memory[0:6], memory[8:40].view(8, 4)]  # with gaps, as cuDNN aligns
    used = [torch.randn(w.shape, generator=rng, requires_grad=True) for w in own]
    laid = laid_out_like(own, used)
    start = laid[0].untyped_storage().data_ptr()
    for mine, theirs, value in zip(laid, own, used, strict=True):
        assert torch.equal(mine, value)
        assert mine.untyped_storage().data_ptr() == start
        assert mine.storage_offset() == theirs.storage_offset()
        assert mine.stride() == theirs.stride()
    assert laid[0].untyped_storage().nbytes() == memory.untyped_storage().nbytes()
    sum((mine * 2).sum() for mine in laid).backward()
    assert all(torch.equal(value.grad, torch.full_like(value, 2.0)) for value in used)


@pytest.mark.parametrize(
    "own",
    [
        [torch.ones(2, 3), torch.ones(3)],
        [torch.ones(4)[:3], torch.ones(4)[1:]],
        [torch.ones(2, 3).T],
    ],
    ids=["apart", "apart too", "strided"],
)
def test_weights_without_a_common_layout_stay_as_they_are(own):
    used = [torch.ones(w.shape) for w in own]
    assert laid_out_like(own, used) is used


def test_weights_that_overlap_stay_as_they_are():
    memory = torch.ones(10)
    used = [torch.ones(4), torch.ones(4)]
    assert laid_out_like([memory[:4], memory[2:6]], used) is used
