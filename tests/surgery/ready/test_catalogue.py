"""Ready-made plans by name: what they do in models of their kind, and what is said where they do not fit."""

import pytest
import torch
from torch import nn

import dropkit as dk
from dropkit.core import DtypeError, InputError, NoMatchError, OptionError, RateError, UnknownNameError
from dropkit.nn import CurriculumSchedule, EarlyDropout
from dropkit.random import stream
from dropkit.surgery import ReadyPlan, ready, ready_plans
from dropkit.surgery.ready.llm_lora import PROJECTIONS
from dropkit.zoo import build_model

from ..models import CNN, MLP, Functional, Tokens

X = torch.zeros(1, 6)


def rates(plan):
    return {site.id: site.rate for site in plan.sites}


def test_each_is_listed_with_its_source_and_what_it_needs():
    names = [entry.name for entry in ready_plans()]
    assert names == sorted(names)
    assert {"srivastava-2014", "alexnet-2012", "llm-lora", "early-dropout", "curriculum"} <= set(names)
    for entry in ready_plans():
        assert isinstance(entry, ReadyPlan)
        assert '"' in entry.paper
        assert entry.needs
        rules = ready(entry.name)
        assert rules
        assert all(isinstance(rule, dk.Rule) for rule in rules)
        assert all(note.startswith(f"{entry.name}: ") for note in entry.notes)
        assert ready(entry.name, **entry.options) == rules  # the defaults are what is told


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: ready("srivastava"),
            UnknownNameError,
            "unknown ready plan 'srivastava'; did you mean 'srivastava-2014'",
        ),
        (lambda: dk.plan(MLP(), "alexnet"), UnknownNameError, "did you mean 'alexnet-2012'"),
        (
            lambda: ready("curriculum", stesp=3),
            OptionError,
            "'curriculum' has no option 'stesp'; did you mean 'steps'",
        ),
        (lambda: ready("curriculum", zzz=3), OptionError, "it takes rate, input_rate, steps, at"),
        (
            lambda: ready("curriculum", steps=0),
            OptionError,
            "steps must be a whole number of at least 1, got 0",
        ),
        (lambda: ready("srivastava-2014", input_rate=1.5), RateError, "got 1.5"),
    ],
)
def test_a_wrong_name_or_option_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()


@pytest.mark.parametrize("make", [MLP, CNN, Functional])
def test_srivastava_drops_inputs_and_hidden_units(make, seed):
    x = torch.randn(3, 1, 8, 8) if make is CNN else torch.randn(3, 6)
    model = make()
    plan = dk.plan(model, "srivastava-2014", example_inputs=x)
    by_hand = dk.plan(
        model, [dk.Rule(at="input", rate=0.2), dk.Rule(at="hidden", rate=0.5)], example_inputs=x
    )
    assert rates(plan) == rates(by_hand)
    found = []
    for one in (plan, by_hand):
        model.train()
        with one.apply(model), stream(seed):
            found.append(model(x))
    assert torch.equal(*found)
    assert any("max_norm = 3" in note for note in plan.notes)
    paper = ready("srivastava-2014", scaling="test")
    with dk.plan(model, paper, example_inputs=x).apply(model):
        scaled = model.eval()(x)
    assert not torch.equal(scaled, model(x))  # weights are scaled afterwards, as published


def test_srivastava_says_what_it_lacks():
    with pytest.raises(
        NoMatchError, match=r"^ready plan 'srivastava-2014' needs a floating-point input .*: rule at 'hidden'"
    ):
        dk.plan(nn.Linear(6, 2), "srivastava-2014", example_inputs=X)
    with pytest.raises(DtypeError, match=r"^ready plan 'srivastava-2014' .*torch.int64"):
        dk.plan(
            nn.Sequential(Tokens(), nn.ReLU()),
            "srivastava-2014",
            example_inputs=torch.zeros(1, 2, dtype=torch.int64),
        )


def test_alexnet_drops_the_first_two_fully_connected_layers():
    model = build_model("alexnet", input_shape=(3, 32, 32), outputs=10, width=0.0625)
    plan = dk.plan(model, "alexnet-2012")
    assert rates(plan) == {"classifier.fc6": 0.5, "classifier.fc7": 0.5}
    deep = nn.Sequential(*(nn.Linear(4, 4) for _ in range(5)))
    assert rates(dk.plan(deep, ready("alexnet-2012", model=deep, rate=0.3))) == {"0": 0.3, "1": 0.3}
    with pytest.raises(NoMatchError, match=r"needs at least three nn.Linear.*has 1 of three .*\('head'\)"):
        dk.plan(CNN(), "alexnet-2012")


def test_early_dropout_ends(seed):
    model, x = MLP(), torch.ones(256, 6)
    assert dk.plan(model, "early-dropout").sites[0].rate == EarlyDropout(0.1, 1000)
    plan = dk.plan(model, ready("early-dropout", rate=0.5, steps=2))
    plain = model(x)
    with plan.apply(model), stream(seed) as s:
        differs = []
        for _ in range(4):
            differs.append(not torch.equal(model(x), plain))
            s.advance()
    assert differs == [True, True, False, False]


def test_curriculum_grows(seed):
    model, x = MLP(), torch.ones(256, 6)
    plan = dk.plan(model, ready("curriculum", steps=100, input_rate=0.2))
    assert rates(plan) == {
        ":input": CurriculumSchedule(0.2, 0.1),
        "net.1": CurriculumSchedule(0.5, 0.1),
        "net.3": CurriculumSchedule(0.5, 0.1),
    }
    plain = model(x)
    with plan.apply(model), stream(seed) as s:
        assert torch.equal(model(x), plain)
        s.advance(50)
        assert not torch.equal(model(x), plain)
    assert rates(dk.plan(model, "curriculum")).keys() == {"net.1", "net.3"}


class Projections(nn.Module):
    def __init__(self, *names):
        super().__init__()
        self.layer = nn.Module()
        for name in names:
            setattr(self.layer, name, nn.Linear(4, 4))


class Adapted(nn.Module):
    """An adapted projection, as PEFT builds it."""

    def __init__(self):
        super().__init__()
        self.base_layer = nn.Linear(4, 4)
        self.lora_A = nn.ModuleDict({"default": nn.Linear(4, 2, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(2, 4, bias=False)})

    def forward(self, x):
        return self.base_layer(x) + self.lora_B["default"](self.lora_A["default"](x))


def test_lora_drops_what_adapters_are_given_and_nothing_else(seed):
    model = Projections("v_proj")
    model.layer.q_proj = Adapted()
    plan = dk.plan(model, "llm-lora")
    assert rates(plan) == {"layer.q_proj.lora_A.default:input": 0.05}
    adapted, x = model.layer.q_proj, torch.randn(64, 4)
    with plan.apply(model), stream(seed):
        got = adapted(x)
    with stream(seed):
        dropped = dk.ops.dropout(x, 0.05, training=True, site="layer.q_proj.lora_A.default:input")
    expected = adapted.base_layer(x) + adapted.lora_B["default"](adapted.lora_A["default"](dropped))
    assert torch.equal(got, expected)
    assert not torch.equal(dropped, x)


@pytest.mark.parametrize("pattern", PROJECTIONS)
def test_without_adapters_query_and_value_projections_are_meant(pattern):
    name = pattern.removeprefix("*.")
    model = Projections(name, "o_proj", "k_proj")
    assert rates(dk.plan(model, "llm-lora")) == {f"layer.{name}:input": 0.05}
    assert rates(dk.plan(model, ready("llm-lora", model=model, rate=0.1, at="*.o_proj"))) == {
        "layer.o_proj:input": 0.1
    }


def test_lora_says_what_it_lacks():
    with pytest.raises(
        NoMatchError, match=r"no adapter .*, and no query or value projection .*name the layers"
    ) as caught:
        dk.plan(MLP(), "llm-lora")
    assert isinstance(caught.value, InputError)


def test_dropout_that_the_model_has_itself_is_noted():
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2))
    assert any("dropout of its own, at '2'" in note for note in dk.plan(model, "srivastava-2014").notes)
    model[2].p = 0.0
    assert not any("of its own" in note for note in dk.plan(model, "srivastava-2014").notes)
