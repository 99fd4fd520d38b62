import itertools

import numpy as np
import pytest
import torch
from scipy.special import entr

from dropkit.core import ConfigError, DataError
from dropkit.infer import bald, batch_bald, entropy, least_confidence


def members(numbers, count=5, cases=6, classes=3, sharp=0.4):
    return numbers.dirichlet(np.full(classes, sharp), (count, cases))


def joint_information(p, cases):
    """The definition: entropy of the joint labels minus its expectation given the member."""
    count, _, classes = p.shape
    total = 0.0
    for labels in itertools.product(range(classes), repeat=len(cases)):
        total += entr(
            np.mean([np.prod([p[t, n, c] for n, c in zip(cases, labels, strict=True)]) for t in range(count)])
        )
    return total - sum(entr(p[:, n]).sum(-1).mean() for n in cases)


def test_scores_of_sure_and_unsure_members():
    agree, split = [[0.5, 0.5]] * 2, [[1.0, 0.0], [0.0, 1.0]]
    p = np.stack((agree, split), axis=1)  # two members, two cases
    np.testing.assert_allclose(entropy(p), [np.log(2)] * 2)
    np.testing.assert_allclose(bald(p), [0, np.log(2)], atol=1e-12)
    np.testing.assert_allclose(least_confidence(p), [0.5, 0.5])


def test_batch_bald_is_its_definition_and_greedy(numbers):
    p = members(numbers)
    chosen, gains = batch_bald(p, 3, seed=0)
    assert chosen[0] == bald(p).argmax()
    assert gains[0] == pytest.approx(bald(p).max())
    for k in (2, 3):
        so_far = chosen[: k - 1].tolist()
        best = max(joint_information(p, [*so_far, n]) for n in range(6) if n not in so_far)
        assert gains[k - 1] == pytest.approx(best)
        assert gains[k - 1] == pytest.approx(joint_information(p, chosen[:k].tolist()))


def test_batch_bald_does_not_take_a_case_twice_over():
    split, other = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], [[0.9, 0.1], [0.1, 0.9]] * 2
    p = np.stack((split, split, other), axis=1)
    assert np.argsort(-bald(p), kind="stable")[:2].tolist() == [0, 1]
    assert batch_bald(p, 2, seed=0)[0].tolist() == [0, 2]


def test_bald_is_the_mutual_information_of_label_and_member(numbers):
    p = members(numbers, count=7, cases=40, classes=4, sharp=1.0)
    p[:, 0] = np.eye(4)[0]  # sure, and agreed upon
    p[:, 1] = p[0, 1]  # unsure, and agreed upon
    mean = p.mean(axis=0)
    divergence = (
        np.where(p > 0, p * np.log(np.where(p > 0, p, 1) / np.where(mean > 0, mean, 1)), 0).sum(-1).mean(0)
    )
    np.testing.assert_allclose(bald(p), divergence, atol=1e-12)
    assert (bald(p) >= 0).all()
    np.testing.assert_allclose(bald(p)[:2], 0, atol=1e-12)
    same = np.repeat(p[:1], 7, axis=0)
    agreed = bald(same)
    assert (agreed >= 0).all()
    assert (np.diff(batch_bald(same, 40, seed=0)[1]) >= 0).all()
    np.testing.assert_allclose(agreed, 0, atol=1e-12)
    np.testing.assert_allclose(bald(p[:1]), 0, atol=1e-12)  # one member tells nothing of others
    assert (least_confidence(p) >= 0).all()


@pytest.mark.parametrize(
    ("count", "classes", "sharp"), [(1, 2, 1.0), (2, 5, 0.05), (9, 2, 0.4), (30, 4, 5.0)]
)
def test_gains_are_joint_informations_and_never_fall(count, classes, sharp, numbers):
    p = members(numbers, count, 4, classes, sharp)
    chosen, gains = batch_bald(p, 4, seed=0)
    assert sorted(chosen.tolist()) == [0, 1, 2, 3]
    for k in range(1, 5):
        assert gains[k - 1] == pytest.approx(joint_information(p, chosen[:k].tolist()), abs=1e-10)
    assert (np.diff(gains) >= -1e-10).all()
    assert gains[-1] <= np.log(count) + 1e-10  # there is no more to know than which member it is


@pytest.mark.parametrize("configurations", [4096, 16])
def test_of_copies_in_the_pool_one_is_taken(configurations, monkeypatch):
    monkeypatch.setattr("dropkit.infer.acquisition._CONFIGURATIONS", configurations)
    bits = (np.arange(64)[:, None] >> np.arange(6)) & 1  # member t says of case n its n-th bit
    one = np.stack((bits, 1 - bits), axis=-1).astype(float)
    copies = np.concatenate((one, one, one), axis=1)
    for seed in range(20):
        chosen, gains = batch_bald(copies, 6, seed=seed)
        if configurations == 4096:
            np.testing.assert_allclose(gains, np.log(2) * np.arange(1, 7))
        assert sorted((chosen % 6).tolist()) == list(range(6))


def test_sampled_outcomes_give_the_entropy_within_their_error(numbers, monkeypatch):
    p = members(numbers, count=8, cases=4, classes=4)
    exact = joint_information(p, range(4))
    monkeypatch.setattr("dropkit.infer.acquisition._CONFIGURATIONS", 63)
    # with all cases taken the last step has no choice, and 64 outcomes of three cases are sampled
    estimates = np.array([batch_bald(p, 4, seed=seed)[1][3] for seed in range(400)])
    assert estimates.std() > 0
    assert abs(estimates.mean() - exact) < 6 * estimates.std() / 20
    assert estimates.std() < 0.05 * exact


def test_sampled_gains_never_fall_nor_tell_more_than_there_is_to_know(numbers, monkeypatch):
    monkeypatch.setattr("dropkit.infer.acquisition._CONFIGURATIONS", 200)
    _, gains = batch_bald(members(numbers, count=4, cases=30, classes=5), 20, seed=0)
    assert (np.diff(gains) >= 0).all()
    assert gains[-1] == pytest.approx(np.log(4), abs=0.2)  # of that many labels the member is known


def test_a_large_pool_is_scored_in_blocks(numbers, monkeypatch):
    p = members(numbers, count=6, cases=50)
    whole = batch_bald(p, 5, seed=0)
    monkeypatch.setattr("dropkit.infer.acquisition._BLOCK", 100)
    parts = batch_bald(p, 5, seed=0)
    np.testing.assert_array_equal(whole[0], parts[0])
    np.testing.assert_allclose(whole[1], parts[1])


def test_a_thousand_classes(numbers):
    p = members(numbers, count=5, cases=6, classes=1000, sharp=0.01)
    chosen, gains = batch_bald(p, 3, seed=0)
    assert len(set(chosen.tolist())) == 3
    assert gains[0] == pytest.approx(bald(p).max())
    assert gains[1] == pytest.approx(joint_of_two(p, *chosen[:2]))


def joint_of_two(p, a, b):
    joint = np.einsum("tc,td->cd", p[:, a], p[:, b]) / len(p)
    return entr(joint).sum() - sum(entr(p[:, n]).sum(-1).mean() for n in (a, b))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_members_of_any_precision_are_taken(dtype, rng):
    p = (4 * torch.randn(6, 20, 50, generator=rng)).softmax(-1).to(dtype)
    np.testing.assert_allclose(
        entropy(p.requires_grad_()), entr(p.detach().double().numpy().mean(axis=0)).sum(-1)
    )
    assert batch_bald(p, 2, seed=0)[0][0] == bald(p).argmax()


def test_bad_input(numbers):
    with pytest.raises(DataError, match=r"shape \(T, N, C\), got \(3, 2\)"):
        bald(np.ones((3, 2)))
    with pytest.raises(DataError, match="sum to 1"):
        bald(np.ones((3, 2, 2)))
    with pytest.raises(ConfigError, match=r"k must be in 1 \.\. 6"):
        batch_bald(members(numbers), 7, seed=0)
    with pytest.raises(ConfigError, match=r"k must be in 1 \.\. 6"):
        batch_bald(members(numbers), 1.5, seed=0)
    with pytest.raises(DataError, match="members must be finite"):
        entropy(np.full((2, 2, 2), np.nan))
    with pytest.raises(DataError, match=r"members must sum to 1, row 1, 0 sums to 1\.1"):
        entropy([[[0.5, 0.5]], [[0.5, 0.6]]])
