"""dropkit.nn.Masksembles: the masks it makes, and how it predicts."""

import itertools

import pytest
import torch

import dropkit as dk
from dropkit.core import OptionError
from dropkit.random import stream


@pytest.mark.parametrize("features", [10, 37, 64, 300])
@pytest.mark.parametrize("members", [2, 4, 8])
@pytest.mark.parametrize("scale", [1.0, 1.5, 2.0, 4.0])
def test_masks_have_equally_many_features_and_cover_all(features, members, scale, seed):
    masks = dk.nn.Masksembles(features, members, scale, seed=seed).masks
    assert masks.shape == (members, features)
    assert masks.dtype is torch.bool
    kept = masks.sum(1)
    assert (kept == kept[0]).all()
    assert masks.any(0).all()
    expected = features / (scale * (1 - (1 - 1 / scale) ** members))
    assert abs(int(kept[0]) - expected) <= 0.5 + 1e-9


@pytest.mark.parametrize("scale", [1.5, 2.0, 3.0])
def test_two_members_share_one_in_scale_of_their_features(scale, seed):
    features, members = 4000, 4
    masks = dk.nn.Masksembles(features, members, scale, seed=seed).masks
    kept = int(masks[0].sum())
    # two draws of `kept` of `positions` share a hypergeometric number, here within 5.5 deviations
    positions = kept * scale
    deviation = (kept * (kept / positions) * (1 - kept / positions) ** 2 * positions / (positions - 1)) ** 0.5
    for a, b in itertools.combinations(masks, 2):
        assert abs(int((a & b).sum()) - kept / scale) < 5.5 * deviation + 2


def test_scale_one_is_one_network_and_a_large_one_cuts_it_in_parts(seed):
    assert dk.nn.Masksembles(12, 4, 1.0, seed=seed).masks.all()
    for features in (12, 3000):
        parts = dk.nn.Masksembles(features, 3, 1000.0, seed=seed).masks
        assert parts.sum() <= features + 6
    assert dk.nn.Masksembles(12, 1, 3.0, seed=seed).masks.all()


def test_the_seed_decides_the_masks_and_nothing_else(seed):
    state = torch.get_rng_state()
    first = dk.nn.Masksembles(64, 4, 2.0, seed=seed).masks
    with stream(seed + 1, step=5, member=2):
        again = dk.nn.Masksembles(64, 4, 2.0, seed=seed).masks
    assert torch.equal(again, first)
    assert not torch.equal(dk.nn.Masksembles(64, 4, 2.0, seed=seed + 1).masks, first)
    assert torch.equal(torch.get_rng_state(), state)


def test_masks_are_saved(seed):
    module = dk.nn.Masksembles(32, 4, 2.0, seed=seed)
    other = dk.nn.Masksembles(32, 4, 2.0, seed=seed + 1)
    other.load_state_dict(module.state_dict())
    assert torch.equal(other.masks, module.masks)
    assert list(module.state_dict()) == ["masks"]


def test_both_ways_to_predict_agree(seed):
    module = dk.nn.Masksembles(16, 4, 2.0, seed=seed).eval()
    x = torch.linspace(1, 2, 48).view(3, 16)
    rows = module(x.repeat_interleave(4, 0)).unflatten(0, (-1, 4))
    for member in range(4):
        with stream(seed, member=member, shared_axis=(0, 3)):
            assert torch.equal(module(x), rows[:, member])
    assert module.members == 4


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0, 4, 2.0), "features must be a whole number of at least 1, got 0"),
        ((8, 2.5, 2.0), "members must be a whole number of at least 1, got 2.5"),
        ((8, 4, 0.5), r"scale must be in \[1, 1000\], got 0.5"),
        ((8, 4, float("nan")), "scale must be"),
        ((8, 4, 1001.0), "scale must be"),
        ((1, 8, 8.0), "of 1 features, less than one; choose a smaller scale, or more features"),
        ((2, 5, 100.0), "leaves each of 5 members 0.41 of 2 features"),
    ],
)
def test_bad_arguments_are_named(arguments, text, seed):
    with pytest.raises(OptionError, match=text):
        dk.nn.Masksembles(*arguments, seed=seed)


def test_it_prints_its_arguments():
    shown = repr(dk.nn.Masksembles(16, 4, 2, seed=7, site="a"))
    assert shown == "Masksembles(features=16, members=4, scale=2, seed=7, site='a')"
