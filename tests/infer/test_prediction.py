import math

import pytest
import torch
from scipy import stats
from torch import Tensor

from dropkit.core import ConfigError
from dropkit.infer.prediction import Moments, joined


def gathered(members: Tensor, cuts, task=None, keep=False):
    moments = Moments(task, keep)
    for chunk in members.tensor_split(cuts):
        if len(chunk):
            moments.add(chunk)
    return moments


@pytest.mark.parametrize("cuts", [[], [1], [3, 4, 9], list(range(1, 12))])
def test_chunks_do_not_matter(cuts, rng):
    members = torch.rand(12, 5, 3, generator=rng, dtype=torch.float64) * 1e-3 + 1e3
    got = gathered(members, cuts).prediction("loop", torch.float64)
    torch.testing.assert_close(got.mean, members.mean(0), rtol=1e-14, atol=0)
    torch.testing.assert_close(got.variance, members.var(0), rtol=1e-7, atol=0)
    torch.testing.assert_close(got.standard_error, members.std(0) / math.sqrt(12), rtol=1e-7, atol=0)
    assert got.n_members == 12


@pytest.mark.parametrize("cuts", [[], [5], [1, 2]])
def test_entropies(cuts, rng):
    members = torch.rand(7, 4, 3, generator=rng, dtype=torch.float64).softmax(-1)
    got = gathered(members, cuts, "classification").prediction("loop", torch.float64)
    entropies = -(members * members.log()).sum(-1)
    mean = members.mean(0)
    torch.testing.assert_close(got.entropy, -(mean * mean.log()).sum(-1))
    torch.testing.assert_close(got.expected_entropy, entropies.mean(0))
    torch.testing.assert_close(got.mutual_information, got.entropy - entropies.mean(0))
    assert (got.mutual_information > 0).all()


def test_sure_members_that_disagree():
    members = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    got = gathered(members, [], "classification").prediction("loop", torch.float32)
    assert got.entropy.item() == pytest.approx(math.log(2))
    assert got.expected_entropy.item() == 0.0
    assert got.mutual_information.item() == pytest.approx(math.log(2))


def test_likelihood_of_a_mixture(rng):
    members = torch.rand(6, 3, 2, generator=rng, dtype=torch.float64)
    target = torch.rand(3, 2, generator=rng, dtype=torch.float64)
    got = gathered(members, [], "regression", keep=True).prediction("loop", torch.float64)
    expected = [
        math.log(sum(stats.norm(m, math.sqrt(0.3)).pdf(t).prod() for m in members[:, n].numpy()) / 6)
        for n, t in enumerate(target.numpy())
    ]
    torch.testing.assert_close(
        got.log_likelihood(target, noise=0.3), torch.tensor(expected, dtype=torch.float64)
    )
    per_sample = torch.full((3, 2), 0.3, dtype=torch.float64)
    torch.testing.assert_close(
        got.log_likelihood(target, noise=per_sample), torch.tensor(expected, dtype=torch.float64)
    )
    torch.testing.assert_close(got.quantile(0.5), members.quantile(0.5, dim=0))
    assert got.quantile(torch.tensor([0.1, 0.9])).shape == (2, 3, 2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_statistics_have_single_precision_at_least(dtype, rng):
    members = torch.rand(9, 4, 3, generator=rng).mul(1e-2).softmax(-1).to(dtype)
    got = gathered(members, [4], "classification", keep=True).prediction("loop", dtype)
    wide = members.double()
    mean, expected = wide.mean(0), torch.special.entr(wide).sum(-1).mean(0)
    assert got.members.dtype == got.dtype == dtype
    close = {"rtol": 1e-5, "atol": 1e-6, "check_dtype": False}
    torch.testing.assert_close(got.mean, mean, **close)
    torch.testing.assert_close(got.variance, wide.var(0), **close)
    torch.testing.assert_close(got.expected_entropy, expected, **close)
    information = torch.special.entr(mean).sum(-1) - expected
    torch.testing.assert_close(got.mutual_information, information, rtol=1e-5, atol=1e-12, check_dtype=False)
    for name in ("mean", "variance", "standard_error", "entropy", "expected_entropy", "mutual_information"):
        assert getattr(got, name).dtype == torch.promote_types(dtype, torch.float32), name


def test_probabilities_a_little_below_zero_have_entropies():
    members = torch.tensor([[[1.0, -1e-6]], [[1.0, 0.0]]])
    got = gathered(members, [], "classification").prediction("loop", torch.float32)
    assert got.entropy.item() == got.expected_entropy.item() == 0.0


def test_batches_that_stopped_at_different_numbers_keep_their_errors(rng):
    members = torch.rand(9, 5, 3, generator=rng)
    parts = [
        gathered(members[:, :2], []).prediction("vmap", torch.float32),
        gathered(members[:4, 2:], []).prediction("loop", torch.float32),
    ]
    got = joined(parts, 0)
    assert got.n_members == 9
    expected = torch.cat([members[:, :2].std(0) / 3, members[:4, 2:].std(0) / 2])
    torch.testing.assert_close(got.standard_error, expected)


def test_samples_that_are_nan_do_not_hide_the_error_of_others(rng):
    members = torch.rand(9, 4, generator=rng)
    expected = float(members.std(0)[1:].max() / 3)
    members[:, 0] = math.nan
    assert gathered(members, []).largest_error == pytest.approx(expected, rel=1e-5)


def test_what_was_not_asked_for_is_named():
    got = gathered(torch.ones(2, 3), []).prediction("loop", torch.float32)
    for name in ("entropy", "expected_entropy", "mutual_information"):
        with pytest.raises(ConfigError, match="task='classification'"):
            getattr(got, name)
    with pytest.raises(ConfigError, match="keep_members=True"):
        _ = got.members
    with pytest.raises(ConfigError, match="task='regression'"):
        got.log_likelihood(torch.ones(3), noise=1.0)


def test_one_member_has_no_variance():
    moments = gathered(torch.ones(1, 3), [])
    assert moments.prediction("loop", torch.float32).variance.isnan().all()
    assert moments.largest_error == math.inf
