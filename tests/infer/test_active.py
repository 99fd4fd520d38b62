import json

import numpy as np
import pytest
import torch

from dropkit.core import ConfigError, DataError
from dropkit.infer import ActiveLearning

ACQUISITIONS = ["bald", "batch-bald", "entropy", "least-confidence", "random"]


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
    with pytest.raises(DataError, match="acquisition 'bald' needs members"):
        learner.ask(None, 1)


@pytest.mark.parametrize("acquisition", ACQUISITIONS)
def test_every_way_of_asking_ends_the_pool(acquisition, numbers):
    p = numbers.dirichlet(np.ones(3), (5, 6))
    learner = ActiveLearning(6, acquisition=acquisition, seed=3)
    while len(learner.unlabelled):
        asked = learner.ask(p[:, learner.unlabelled], 2)
        assert len(set(asked.tolist())) == 2
        learner.tell(asked, [0, 0])
    assert sorted(learner.labels) == list(range(6))


@pytest.mark.parametrize("acquisition", ACQUISITIONS)
def test_a_loop_that_was_stopped_goes_on_as_it_would_have(acquisition, numbers):
    p = numbers.dirichlet(np.ones(3), (5, 30)).round(1)  # with ties, which are broken at random
    p[..., 0] += 1 - p.sum(axis=-1)
    p = np.abs(p) / np.abs(p).sum(axis=-1, keepdims=True)

    def step(learner):
        asked = learner.ask(p[:, learner.unlabelled], 4)
        learner.tell(asked, [f"label {n}" for n in asked])
        return asked.tolist()

    learner = ActiveLearning(30, acquisition=acquisition, seed=7)
    for _ in range(3):
        step(learner)
    saved = json.dumps(learner.state_dict())
    rest = [step(learner) for _ in range(4)]
    again = ActiveLearning(30, acquisition=acquisition, seed=7)
    again.load_state_dict(json.loads(saved))
    assert [step(again) for _ in range(4)] == rest
    assert again.labels == learner.labels
    assert list(again.labels) == list(learner.labels)


@pytest.mark.parametrize("acquisition", ACQUISITIONS)
def test_members_in_half_precision_will_do(acquisition, rng):
    p = (3 * torch.randn(5, 40, 10, generator=rng)).softmax(-1).bfloat16()
    assert len(ActiveLearning(40, acquisition=acquisition, seed=1).ask(p, 3)) == 3


def test_rounds_of_random_choices_differ():
    learner = ActiveLearning(1000, acquisition="random", seed=1)
    first = learner.ask(None, 5)
    learner.tell(first, np.zeros(5))
    assert learner.state_dict()["rounds"] == 1
    assert learner.ask(None, 5).tolist() != first.tolist()


def test_a_state_of_another_pool_is_refused():
    learner = ActiveLearning(5, seed=1)
    learner.tell(2, "cat")
    before = learner.state_dict()
    for change, text in (
        ({"size": 6}, "the state is of size 6, this pool has 5"),
        ({"acquisition": "entropy"}, "acquisition 'entropy', this pool has 'bald'"),
        ({"seed": 2}, "seed 2, this pool has 1"),
        ({"labels": [[0, "a"], [5, "b"]]}, r"case 5 is not in 0 \.\. 4"),
        ({"labels": [[0, "a"], [0, "b"]]}, "case 0 occurs twice"),
        ({"more": 1}, "the state must have size"),
    ):
        with pytest.raises(DataError, match=text):
            learner.load_state_dict(before | change)
        assert learner.state_dict() == before
    with pytest.raises(DataError, match="got nothing"):
        learner.load_state_dict({})


@pytest.mark.parametrize(
    ("indices", "labels", "text"),
    [
        ([0, 1], [1], "as many labels as indices"),
        ([[0], [1]], [1, 1], "as many labels as indices"),
        ([0, 0], [1, 1], "case 0 occurs twice"),
        ([0, -1], [1, 1], r"case -1 is not in 0 \.\. 4"),
        ([0, 5], [1, 1], r"case 5 is not in 0 \.\. 4"),
        ([0, 3], [1, 1], "case 3 has a label already"),
        ([0.5, 1.0], [1, 1], "indices must be whole numbers"),
        ([True, False], [1, 1], "indices must be whole numbers"),
        (["0", "1"], [1, 1], "indices must be whole numbers"),
    ],
)
def test_what_cannot_be_told_changes_nothing(indices, labels, text):
    learner = ActiveLearning(5, seed=1)
    learner.tell(torch.tensor([3]), torch.tensor([2]))
    before = learner.state_dict()
    with pytest.raises(DataError, match=text):
        learner.tell(indices, labels)
    assert learner.state_dict() == before


def test_telling_nothing_is_no_round():
    learner = ActiveLearning(5, acquisition="random", seed=1)
    asked = learner.ask(None, 3)
    learner.tell([], [])
    np.testing.assert_array_equal(learner.ask(None, 3), asked)


def test_bad_input():
    with pytest.raises(ConfigError, match="acquisition must be one of"):
        ActiveLearning(3, acquisition="gut", seed=0)
    with pytest.raises(ConfigError, match="size must be a whole number of at least 1, got"):
        ActiveLearning(2.5, seed=0)
    with pytest.raises(ConfigError, match="got a ndarray"):
        ActiveLearning(np.zeros((3, 2)), seed=0)
    with pytest.raises(ConfigError, match="seed must be a whole number of at least 0, got -1"):
        ActiveLearning(3, seed=-1)
    learner = ActiveLearning(2, acquisition="random", seed=0)
    with pytest.raises(ConfigError, match=r"k must be in 1 \.\. 2"):
        learner.ask(None, 0)
    learner.tell([0, 1], ["a", "b"])
    with pytest.raises(ConfigError, match="no case of the pool is left"):
        learner.ask(None)
