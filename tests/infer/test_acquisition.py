import itertools

import numpy as np
import pytest
from scipy.special import entr

from dropkit.core import ConfigError, DataError
from dropkit.infer import ActiveLearning, bald, batch_bald, entropy, least_confidence


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


def test_sampled_outcomes_come_close_to_enumerated_ones(numbers, monkeypatch):
    p = members(numbers, count=8, cases=5, classes=4)
    _, exact = batch_bald(p, 4, seed=0)
    monkeypatch.setattr("dropkit.infer.acquisition._CONFIGURATIONS", 60)
    estimates = [batch_bald(p, 4, seed=s)[1][3] for s in range(40)]
    assert np.std(estimates) > 0
    assert np.mean(estimates) == pytest.approx(exact[3], rel=0.15)


def test_asking_and_telling():
    p = np.zeros((2, 5, 2))
    p[:, :, 0], p[:, :, 1] = 1.0, 0.0
    p[1, 3] = [0.0, 1.0]
    learner = ActiveLearning(5, acquisition="bald", seed=1)
    assert learner.ask(p, 1).tolist() == [3]
    assert learner.ask(p, 2).tolist() == learner.ask(p, 2).tolist()
    learner.tell([3], [1])
    assert learner.unlabelled.tolist() == [0, 1, 2, 4]
    assert dict(learner.labels) == {3: 1}
    with pytest.raises(DataError, match="4 unlabelled cases"):
        learner.ask(p, 1)
    with pytest.raises(DataError, match="case 3 has a label already"):
        learner.tell([0, 3], [1, 1])
    assert learner.unlabelled.tolist() == [0, 1, 2, 4]
    with pytest.raises(DataError, match=r"case 9 is not in 0 \.\. 4"):
        learner.tell([9], [1])
    with pytest.raises(ConfigError, match=r"k must be in 1 \.\. 4"):
        learner.ask(None, 5)


@pytest.mark.parametrize("acquisition", ["bald", "batch-bald", "entropy", "least-confidence", "random"])
def test_every_way_of_asking_ends_the_pool(acquisition, numbers):
    p = members(numbers, cases=6)
    learner = ActiveLearning(6, acquisition=acquisition, seed=3)
    while len(learner.unlabelled):
        asked = learner.ask(p[:, learner.unlabelled], 2)
        assert len(set(asked.tolist())) == 2
        learner.tell(asked, [0, 0])
    assert sorted(learner.labels) == list(range(6))


def test_bad_input(numbers):
    with pytest.raises(DataError, match=r"shape \(T, N, C\), got \(3, 2\)"):
        bald(np.ones((3, 2)))
    with pytest.raises(DataError, match="sum to 1"):
        bald(np.ones((3, 2, 2)))
    with pytest.raises(ConfigError, match=r"k must be in 1 \.\. 6"):
        batch_bald(members(numbers), 7, seed=0)
    with pytest.raises(ConfigError, match="acquisition must be one of"):
        ActiveLearning(3, acquisition="gut", seed=0)
