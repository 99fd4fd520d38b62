"""Laws of dropkit.ops.modality_dropout. See tests/README.md for the false-alarm budget."""

import pytest
import torch

from dropkit.core import OptionError, ShapeError
from dropkit.ops import modality_dropout
from dropkit.random import mask, stream
from tests.laws import assert_frequency, assert_independent


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_a_modality_is_dropped_as_a_whole_and_never_rescaled(rate, seed, rng):
    x = torch.randn(80, 3, 4, 2, generator=rng)
    with stream(seed):
        y = modality_dropout(x, rate, training=True, site="s")
    kept = torch.from_numpy(mask((80, 3), rate, seed=seed, site="s"))
    assert 0 < kept.sum() < kept.numel()
    assert torch.equal(y, torch.where(kept[:, :, None, None], x, 0.0))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_drop_frequency_matches_rate_and_modalities_are_independent(rate, rng):
    dropped = modality_dropout(torch.ones(30_000, 3), rate, training=True, generator=rng) == 0
    assert_frequency(dropped, rate)
    assert_independent(dropped[:, 0], dropped[:, 1], rate)
    assert_independent(dropped[1:], dropped[:-1], rate)


@pytest.mark.parametrize("rate", [0.5, 0.9, 1.0])
def test_at_least_one_is_left_and_the_others_follow_the_law(rate, rng):
    dropped = (
        modality_dropout(torch.ones(30_000, 3), rate, training=True, at_least_one=True, generator=rng) == 0
    )
    assert (dropped.sum(1) <= 2).all()
    for modality in range(3):
        assert_frequency(dropped[:, modality], rate - rate**3 / 3)


def test_features_side_by_side_are_grouped_by_size(seed, rng):
    x = torch.randn(40, 6, 2, generator=rng)
    with stream(seed):
        y = modality_dropout(x, 0.5, training=True, sizes=(1, 3, 2), site="s")
    kept = torch.from_numpy(mask((40, 3), 0.5, seed=seed, site="s"))
    assert torch.equal(y, torch.where(kept[:, [0, 1, 1, 1, 2, 2], None], x, 0.0))


def test_modalities_may_have_rates_of_their_own(rng):
    rate = torch.tensor([0.0, 1.0, 0.3])
    y = modality_dropout(torch.ones(5000, 3), rate, training=True, generator=rng)
    assert (y[:, 0] == 1).all()
    assert (y[:, 1] == 0).all()
    assert_frequency(y[:, 2] == 0, 0.3)


def test_rate_zero_shifts_no_later_mask(seed):
    x = torch.ones(50, 3)

    def second(rate):
        with stream(seed):
            modality_dropout(x, rate, training=True, at_least_one=True)
            return modality_dropout(x, 0.5, training=True)

    assert torch.equal(second(0.0), second(0.3))
    assert torch.equal(second(1.0), second(0.3))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match=r"modality_dropout needs shape \(N, M, \*\), got \(3,\)"):
        modality_dropout(torch.ones(3), 0.5, training=False)
    with pytest.raises(ShapeError, match=r"sizes \(1, 3\) need 4 features in the second axis, got \(2, 5\)"):
        modality_dropout(torch.ones(2, 5), 0.5, training=True, sizes=(1, 3))
    for sizes in ((), (0, 2), (1.0,), (True, 1)):
        with pytest.raises(OptionError, match="sizes must be positive ints, one for each modality, got"):
            modality_dropout(torch.ones(2, 2), 0.5, training=True, sizes=sizes)
