import copy
import json
import pickle

import pytest
import torch
from torch import nn

import dropkit as dk
from dropkit.core import NoMatchError, PlanError
from dropkit.surgery import Plan

from .models import CNN, MLP, Functional, assert_same, snapshot

X = torch.zeros(1, 6)


def make():
    rules = [dk.Rule(at="input", rate=0.1), dk.Rule(at="hidden", rate=0.5, options={"scaling": "test"})]
    return dk.plan(Functional(), rules, example_inputs=X)


def test_sites_say_what_happens_where():
    site = dk.plan(MLP(), [dk.Rule(at="net.1", variant="gaussian_dropout", rate=0.25)]).sites[0]
    assert (site.id, site.module, site.on, site.variant, site.rate) == (
        "net.1",
        "net.1",
        "output",
        "gaussian_dropout",
        0.25,
    )
    assert dk.plan(MLP(), [dk.Rule(at="net.1")]).sites[0].rate == 0.5  # the variant's default


def test_plans_are_json_and_hashable():
    plan = make()
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert hash(again) == hash(plan)
    assert again.to_json() == plan.to_json()
    assert {plan: 1}[again] == 1
    assert len({plan, again, dk.plan(MLP(), [])}) == 2
    assert json.loads(plan.to_json())["schema"] == 1
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert copy.deepcopy(plan) == plan


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda body: body.update(schema=99), "schema 99, this version reads 1"),
        (lambda body: body.pop("schema"), "the key 'schema'"),
        (lambda body: body.update(sitse=[]), "unknown key 'sitse'; did you mean 'sites'"),
        (lambda body: body.pop("sites"), "plan lacks sites"),
        (lambda body: body["sites"][0].pop("id"), "site lacks id"),
        (lambda body: body["rules"][0].update(p=1), "rule has an unknown key 'p'"),
        (lambda body: body["rules"][0].update(rate=7), "must be in"),
        (lambda body: body["sites"][0].update(rate=7), "rate of site ':input' must be in"),
        (lambda body: body["sites"][0].update(variant="nope"), "unknown variant"),
        (lambda body: body["sites"][0].update(rule=7), "site ':input' belongs to rule 7"),
        (lambda body: body.update(rules=3), "rules must be a list"),
    ],
)
def test_damaged_plans_are_refused(change, text):
    body = json.loads(make().to_json())
    change(body)
    with pytest.raises((PlanError, ValueError, LookupError), match=text) as caught:
        Plan.from_json(json.dumps(body))
    assert isinstance(caught.value, dk.core.InputError)


@pytest.mark.parametrize("text", ["", "[]", "{", "3"])
def test_what_is_no_plan_is_refused(text):
    with pytest.raises(PlanError, match="a plan must be"):
        Plan.from_json(text)


def test_two_rules_on_one_site_conflict_unless_one_overrides():
    wide, narrow = dk.Rule(at="Linear", rate=0.1), dk.Rule(at="net.0", rate=0.9)
    with pytest.raises(
        PlanError, match=r"rules 0 \(at='Linear'\) and 1 \(at='net.0'\) both match site 'net.0'"
    ):
        dk.plan(MLP(), [wide, narrow])
    winner = dk.Rule(at="net.0", rate=0.9, override=True)
    for rules in ([wide, winner], [winner, wide]):
        assert {s.id: s.rate for s in dk.plan(MLP(), rules).sites} == {
            "net.0": 0.9,
            "net.2": 0.1,
            "net.4": 0.1,
        }
    later = dk.Rule(at="net.0", rate=0.3, override=True)
    assert dk.plan(MLP(), [winner, later]).sites[0].rate == 0.3


def test_one_rule_may_reach_a_site_twice():
    assert len(dk.plan(MLP(), [dk.Rule(at=["hidden", "ReLU", "net.1"])]).sites) == 2


def test_a_shared_module_is_one_place_under_any_name():
    model = nn.Sequential(nn.ReLU())
    model.add_module("again", model[0])
    with pytest.raises(PlanError, match="both match site '0'"):
        dk.plan(model, [dk.Rule(at="0"), dk.Rule(at="again")])


def test_plans_add_up():
    model = MLP()
    a, b = dk.plan(model, [dk.Rule(at="input", rate=0.1)]), dk.plan(model, [dk.Rule(at="hidden", rate=0.5)])
    both = dk.plan(model, [*a.rules, *b.rules])
    assert a + b == both
    assert (b + a).sites != both.sites
    assert a + dk.plan(model, []) == a
    with pytest.raises(PlanError, match="both match site ':input'"):
        a + a
    override = dk.plan(model, [dk.Rule(at="input", rate=0.3, override=True)])
    assert [s.rate for s in (a + b + override).sites] == [0.3, 0.5, 0.5]
    with pytest.raises(TypeError):
        a + 1


def test_printing_a_plan_shows_every_site_and_note():
    text = str(make())
    assert text.splitlines()[0] == "plan: 2 rule(s), 7 site(s)"
    for site in make().sites:
        assert any(line.split()[0] == site.id for line in text.splitlines()), site.id
    assert "scaling=test" in text
    assert "0.1" in text
    assert "1: at='hidden'" in text
    assert "note: " in str(dk.plan(MLP(), [dk.Rule(at=["hidden", "conv"])]))
    assert str(dk.plan(MLP(), [])) == "plan: 0 rule(s), 0 site(s)"


def test_planning_changes_nothing():
    class Noisy(CNN):
        def forward(self, x):
            import random

            import numpy as np

            assert self.training
            assert not torch.is_grad_enabled()
            assert not self.features[1].training  # so that one row is enough
            self.register_buffer(
                "seen", self.seen + random.random() + np.random.random() + float(torch.rand(()))
            )
            self.bumped.add_(1)
            return super().forward(self.drop(nn.functional.dropout(x)))

    import random

    import numpy as np

    model = Noisy()
    model.register_buffer("seen", torch.zeros(()))
    model.register_buffer("bumped", torch.zeros(()))
    model.drop = dk.nn.Dropout(0.5)
    model.eval()
    model.features.train()
    before, state = (
        snapshot(model),
        (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()),
    )
    with dk.random.stream(3) as stream:
        counts = stream.state_dict()
        dk.plan(model, [dk.Rule(at="hidden"), dk.Rule(at="input")], example_inputs=torch.zeros(1, 1, 8, 8))
        assert stream.state_dict() == counts
    assert_same(before, snapshot(model))
    assert torch.equal(state[0], torch.get_rng_state())
    assert state[1:] == (random.getstate(), np.random.get_state()[1].tolist())
    assert all(p.grad is None for p in model.parameters())


def test_a_model_that_fails_on_the_example_is_left_as_it_was():
    model = CNN().eval()
    before = snapshot(model)
    with pytest.raises(PlanError, match=r"the model fails on example_inputs: RuntimeError: .*pass a tensor"):
        dk.plan(model, [dk.Rule(at="hidden")], example_inputs=X)
    assert_same(before, snapshot(model))
    torch.relu(X)  # no mode is left behind
    assert not torch.overrides._get_current_function_mode_stack()


def test_lazy_parameters_are_refused():
    with pytest.raises(PlanError, match=r"'0.weight' is not initialised yet; run the model once"):
        dk.plan(nn.Sequential(nn.LazyLinear(3)), [dk.Rule(at="hidden")], example_inputs=X)


def test_a_plan_for_another_model_does_not_apply():
    plan = dk.plan(MLP(), [dk.Rule(at="hidden")])
    model = nn.Sequential(nn.ReLU())
    with pytest.raises(NoMatchError, match=r"the model has no module 'net.1'"):
        plan.apply(model)
    changed = MLP()
    changed.net[3] = nn.Linear(8, 8)
    before = snapshot(changed)
    with pytest.raises(PlanError, match=r"module 'net.3' is a Linear, planned for a Tanh"):
        plan.apply(changed)
    assert_same(before, snapshot(changed))
