"""Plans are paired: what they share at a seed, and what a seed decides."""

import random

import numpy as np
import pytest
import torch

from dropkit.core import PlanError
from dropkit.study.config import load_config
from dropkit.study.grid import candidates
from dropkit.study.material import build, load, with_plan
from tests.study.small import study


def weights(config, seed, plan=None):
    data = load(config, seed)
    model = build(config, data, seed)
    if plan is not None:
        found = {candidate.plan: candidate for candidate in candidates(config)}[plan]
        with with_plan(found, model, data):
            return torch.cat([p.flatten() for p in model.parameters()]).clone()
    return torch.cat([p.flatten() for p in model.parameters()]).clone()


def disturb():
    """Move every global generator."""
    torch.rand(3), random.random(), np.random.rand()


@pytest.mark.parametrize("model", ["net", "restless_net"])
def test_weights_hang_on_the_seed_alone(model):
    config = load_config(study(model={"name": f"tests.study.factories:{model}"}))
    first = weights(config, 0)
    disturb()
    assert torch.equal(weights(config, 0, "none"), first)
    assert torch.equal(weights(config, 0, "hidden"), first)
    assert not torch.equal(weights(config, 1), first)


def test_data_hang_on_the_configuration_alone():
    config = load_config(study(data={"name": "tests.study.factories:restless_blobs"}))
    first = load(config, 0)
    disturb()
    for seed in (0, 1):
        assert torch.equal(load(config, seed).train[5][0], first.train[5][0])
    other = load_config(study(data={"name": "tests.study.factories:restless_blobs", "split_seed": 1}))
    assert not torch.equal(load(other, 0).train[5][0], first.train[5][0])


def test_the_split_hangs_on_the_seed_only_with_resplit():
    def parts(config, seed):
        data = load(config, seed)
        return [torch.stack([x for x, _ in part]) for part in (data.train, data.val, data.test)]

    fixed, moving = load_config(study()), load_config(study(resplit=True))
    for one, other in zip(parts(fixed, 0), parts(fixed, 1), strict=True):
        assert torch.equal(one, other)
    for one, other, same in zip(parts(moving, 0), parts(moving, 1), parts(moving, 0), strict=True):
        assert not torch.equal(one, other)
        assert torch.equal(one, same)
    again = load_config(study(resplit=True, data={"split_seed": 1}))
    assert not torch.equal(parts(again, 0)[2], parts(moving, 0)[2])


def test_a_plan_reaches_functional_activations():
    config = load_config(study())
    data = load(config, 0)
    model = build(config, data, 0).train()
    x = torch.stack([x for x, _ in data.train])
    still = model(x)
    with with_plan(candidates(config)[1], model, data):
        assert not torch.equal(model(x), still)
    assert torch.equal(model(x), still)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"at": "conv"}, "conv"),
        ({"at": "hiden"}, "hiden"),
        ({"at": "hidden", "variant": "dropuot"}, "did you mean 'dropout'"),
        ({"at": "hidden", "options": {"scalling": "test"}}, "did you mean 'scaling'"),
        ({"at": "hidden", "on": "weight"}, "relu is a function"),
    ],
)
def test_a_rule_that_cannot_be_used_names_its_plan(rule, words):
    config = load_config(study(plans={"none": {"rules": []}, "odd": {"rules": [rule]}}))
    data = load(config, 0)
    with pytest.raises(PlanError, match=rf"^plans\.odd: .*{words}"):
        with_plan(candidates(config)[1], build(config, data, 0), data)
