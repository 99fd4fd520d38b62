"""Arguments of ``dk.predict`` that make no sense."""

import numpy as np
import pytest
import torch
from torch import nn

import dropkit as dk
from dropkit.core import ConfigError, StreamError


def network():
    return nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 3)).eval()


@pytest.mark.parametrize(
    "given",
    [
        {"members": 0},
        {"members": -1},
        {"members": 2.5},
        {"members": True},
        {"members": "5"},
        {"members": None},
        {"task": "x"},
        {"task": ["classification"]},
        {"outputs": None},
        {"mode": None},
        {"mode": "fast"},
        {"share_masks": None},
        {"share_masks": "yes"},
        {"share_masks": 1},
        {"keep_members": 0},
        {"progress": "x"},
        {"batch_dim": "a"},
        {"batch_dim": 1.0},
        {"batch_dim": True},
        {"memory": 0},
        {"memory": -3},
        {"memory": "1 GB"},
        {"memory": [1]},
        {"memory": float("nan")},
        {"tolerance": 0},
        {"tolerance": True},
        {"tolerance": float("inf")},
        {"tolerance": torch.tensor(0.1)},
    ],
    ids=str,
)
def test_each_is_named_with_its_value(given):
    name = next(iter(given))
    with pytest.raises(ConfigError, match=f"^{name} must be .*, got ") as caught:
        dk.predict(network(), torch.ones(5, 4), **{"seed": 1, **given})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bad", [None, 1.5, "a", True, 2**64])
def test_seeds(bad):
    with pytest.raises(StreamError, match="seed must be"):
        dk.predict(network(), torch.ones(5, 4), seed=bad)


def test_numbers_of_numpy(seed):
    got = dk.predict(
        network(), torch.ones(5, 4), seed=np.int64(seed), members=np.int32(7), memory=np.int64(2**24)
    )
    assert got.n_members == 7


def test_a_slip_in_a_name_is_noticed_and_names_of_the_forward_are_not_slips(seed):
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = network()

        def forward(self, x, *, scale=1.0):
            return self.net(x) * scale

    x = torch.ones(5, 4)
    with pytest.raises(ConfigError, match="'member'; did you mean 'members'"):
        dk.predict(Named(), x, seed=seed, member=3)
    with pytest.raises(ConfigError, match="'scales'; did you mean 'scale'"):
        dk.predict(Named(), x, seed=seed, scales=3.0)
    with pytest.raises(ConfigError, match="'verbosity'; the forward takes x, scale"):
        dk.predict(Named(), x, seed=seed, verbosity=3)
    named = Named()
    once = dk.predict(named, x, seed=seed, members=5)
    thrice = dk.predict(named, x, seed=seed, members=5, scale=3.0)
    torch.testing.assert_close(thrice.mean, 3 * once.mean)


def test_a_forward_that_takes_anything_decides_by_itself(seed):
    class Anything(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = network()

        def forward(self, x, **options):
            return self.net(x) * options["scale"]

    assert dk.predict(Anything(), torch.ones(5, 4), seed=seed, members=5, scale=2.0).n_members == 5
