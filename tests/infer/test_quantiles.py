"""Quantiles over members, of any number of elements, and what is no probability."""

import math

import numpy as np
import pytest
import torch

from dropkit.core import ConfigError
from dropkit.infer import quantiles as module
from dropkit.infer.quantiles import check_probabilities, quantiles


@pytest.mark.parametrize(
    "q", [0, 0.5, 1, np.float64(0.3), [0.1, 0.9], np.array([0.2]), torch.tensor([0.0, 0.5, 1.0])]
)
@pytest.mark.parametrize("most", [1, 50, 2**24])
def test_quantiles_are_those_of_numpy(q, most, rng, monkeypatch):
    monkeypatch.setattr(module, "_MOST", most)
    members = torch.randn(7, 5, 3, generator=rng, dtype=torch.float64)
    got = quantiles(members, check_probabilities(q, ends=True))
    np.testing.assert_allclose(got.numpy(), np.quantile(members.numpy(), np.asarray(q), axis=0), rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_dtypes_stay(dtype, rng):
    members = torch.randn(5, 2, generator=rng).to(dtype)
    got = quantiles(members, check_probabilities(0.5, ends=True))
    assert torch.equal(got, members.sort(0).values[2])


@pytest.mark.parametrize("q", [-0.1, 1.1, math.nan, "half", None, [[0.5]], [0.5, 2.0]])
def test_what_is_no_probability(q):
    with pytest.raises(ConfigError, match=r"q must be in \[0, 1\], a number or several in a list, got"):
        check_probabilities(q, ends=True)


@pytest.mark.parametrize("q", [0.0, 1.0, [0.5, 1.0]])
def test_the_ends_may_be_left_out(q):
    assert check_probabilities(q, ends=True).dtype == torch.float64
    with pytest.raises(ConfigError, match="q must be above 0 and below 1"):
        check_probabilities(q, ends=False)
