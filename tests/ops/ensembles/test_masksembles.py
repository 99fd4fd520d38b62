"""Laws of dropkit.ops.masksembles."""

import pytest
import torch

from dropkit.core import DtypeError, ShapeError
from dropkit.ops import masksembles
from dropkit.random import stream


def test_every_row_has_the_features_of_its_member(rng):
    masks = torch.rand(3, 5, generator=rng) < 0.5
    x = torch.randn(7, 5, 2, generator=rng)
    y = masksembles(x, masks)
    for i in range(7):
        assert torch.equal(y[i], x[i] * masks[i % 3][:, None])


def test_the_mean_over_a_streams_members_is_that_over_the_ensemble(seed, rng):
    masks = torch.rand(4, 6, generator=rng) < 0.5
    x = torch.randn(5, 6, generator=rng, dtype=torch.float64)
    total = torch.zeros_like(x)
    for member in range(4):
        with stream(seed, member=member):
            total += masksembles(x, masks)
    torch.testing.assert_close(total / 4, x * masks.double().mean(0))


def test_masked_features_are_zero_even_if_not_finite():
    masks = torch.tensor([[True, False]])
    y = masksembles(torch.tensor([[1.0, float("nan")], [float("inf"), float("inf")]]), masks)
    assert torch.equal(y, torch.tensor([[1.0, 0.0], [float("inf"), 0.0]]))


@pytest.mark.parametrize(
    ("x", "masks", "error", "text"),
    [
        (
            torch.ones(2, 3).long(),
            torch.ones(2, 3).bool(),
            DtypeError,
            "floating-point tensor, got torch.int64",
        ),
        (torch.ones(2, 3), torch.ones(2, 3), DtypeError, "boolean masks"),
        (torch.ones(2, 3), torch.ones(3).bool(), DtypeError, r"shape \(members, C\)"),
        (torch.ones(2, 4), torch.ones(2, 3).bool(), ShapeError, r"\(N, 3, \*\).*got \(2, 4\)"),
        (torch.ones(3), torch.ones(2, 3).bool(), ShapeError, r"got \(3,\)"),
    ],
)
def test_bad_arguments_are_named(x, masks, error, text):
    with pytest.raises(error, match=text):
        masksembles(x, masks)
