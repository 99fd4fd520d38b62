"""Laws of dropkit.ops.drop_node."""

import pytest
import torch

from dropkit.core import ShapeError
from dropkit.ops import drop_node
from dropkit.random import mask, stream
from tests.laws import assert_frequency, assert_independent


@pytest.mark.parametrize("axes", [(), (5,), (2, 3)])
def test_all_features_of_a_node_are_dropped_or_rescaled(axes, seed):
    x = torch.rand(500, *axes, generator=torch.Generator().manual_seed(seed)) + 0.1
    with stream(seed):
        y = drop_node(x, 0.4, training=True, site="a")
    kept = torch.from_numpy(mask(500, 0.4, seed=seed, site="a")).view(500, *[1] * len(axes))
    assert torch.equal(y, torch.where(kept, x * (1 / (1 - 0.4)), 0.0))


def test_frequency_and_independence_over_nodes(rng):
    dropped = drop_node(torch.ones(100_000, 1), 0.3, training=True, generator=rng).squeeze(1) == 0
    assert_frequency(dropped, 0.3)
    assert_independent(dropped[1:], dropped[:-1], 0.3)


def test_an_axis_of_nodes_is_needed():
    with pytest.raises(ShapeError, match=r"drop_node needs shape \(V, \*\), got a 0-d tensor"):
        drop_node(torch.tensor(1.0), 0.5, training=True)
