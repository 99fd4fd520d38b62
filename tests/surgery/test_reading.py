"""Plans from JSON that somebody or something has changed: always one error that names the field and what it holds."""

import copy
import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import dropkit as dk
from dropkit.core import PlanError, RateError
from dropkit.surgery import Plan

from .models import Functional

X = torch.zeros(1, 6)
SCHEDULE = dk.nn.LinearSchedule(0.5, 0.1, steps=9)
PLANS = [
    dk.plan(model, rules, example_inputs=example).to_json()
    for model, rules, example in (
        (Functional(), [dk.Rule(at="input", rate=0.1), dk.Rule(at="hidden", rate=0.5)], X),
        (Functional(), [dk.Rule(at="act", options={"scaling": "test"}, except_=["one"])], X),
        (Functional(), [dk.Rule(at="hidden", rate=dk.nn.ByEpoch(SCHEDULE, 2))], X),
        (Functional(), [dk.Rule(at="residual", variant="drop_path", rate=dk.nn.LinearByDepth(0.2))], X),
        (Functional(), [dk.Rule(at="act", variant="guided_dropout", rate=0.3, options={"axis": -1})], X),
        (Functional(), [dk.Rule(at="weights", variant="drop_connect", rate=0.3, override=True)], None),
        (nn.Sequential(nn.LSTM(6, 6)), [dk.Rule(at="recurrent", variant="zoneout", rate=0.3)], None),
    )
]
VALUES = {
    "null": [None],
    "bool": [True, False],
    "int": [-1, 1, 7, 10**400],
    "float": [0.5, -0.1, 1.5, float("nan"), float("inf")],
    "str": ["", "x", "0.5", "NaN"],
    "list": [[], [1], [None], [[]], [{}]],
    "dict": [{}, {"name": 3}, {"name": "linear"}, {"name": "cosine", "start": [], "end": {}, "steps": "x"}],
}
NUMBERS = {"int", "float"}
SEVERAL = {  # fields that hold values of more than one type
    ("rules", "at"): {"str", "list"},
    ("rules", "rate"): {"null", "dict", *NUMBERS},
    ("sites", "rate"): {"dict", *NUMBERS},
    **{(part, name): NUMBERS for part in ("rules", "sites") for name in ("start", "end")},
}


def paths(value, path=()):
    """Every place in a JSON value."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths(inner, (*path, key))


def at(body, path):
    for key in path:
        body = body[key]
    return body


def kind(value):
    return {type(None): "null"}.get(type(value), type(value).__name__)


def field(path):
    return next((key for key in reversed(path) if isinstance(key, str)), "")


def refused(body):
    with pytest.raises(PlanError) as caught:
        Plan.from_json(json.dumps(body))
    text = str(caught.value)
    assert type(caught.value) is PlanError
    assert "\n" not in text
    return text


@given(st.data())
def test_a_value_of_another_type_is_named_with_its_field(data):
    body = json.loads(data.draw(st.sampled_from(PLANS)))
    path = data.draw(st.sampled_from(list(paths(body))))
    allowed = SEVERAL.get((path[0], path[-1]), {kind(at(body, path))})
    value = data.draw(st.sampled_from([v for name in sorted(VALUES.keys() - allowed) for v in VALUES[name]]))
    at(body, path[:-1])[path[-1]] = value
    text = refused(body)
    assert field(path).rstrip("s") in text, (path, value, text)
    assert repr(value) in text, (path, value, text)


@given(st.data())
def test_keys_that_are_missing_or_too_many_are_named(data):
    body = json.loads(data.draw(st.sampled_from(PLANS)))
    objects = [path for path in [(), *paths(body)] if isinstance(at(body, path), dict)]
    whole = at(body, data.draw(st.sampled_from(objects)))
    if data.draw(st.booleans()) or "from_zero" in whole or not {"name", "rate", "schema"} & whole.keys():
        whole["surplus"] = data.draw(st.sampled_from([None, 1, "x", [], {}]))
        assert "surplus" in refused(body)
    else:
        key = data.draw(st.sampled_from(sorted(whole)))
        del whole[key]
        assert key in refused(body)


@given(st.data())
def test_numbers_out_of_range_are_named(data):
    body = json.loads(data.draw(st.sampled_from(PLANS)))
    places = [path for path in paths(body) if kind(at(body, path)) in NUMBERS and field(path) != "axis"]
    path = data.draw(st.sampled_from(places))
    value = data.draw(st.sampled_from([-1, -0.5, float("nan"), -float("inf"), float("inf")]))
    at(body, path[:-1])[path[-1]] = value
    text = refused(body)
    assert field(path) in text
    assert repr(value) in text


@given(st.sampled_from(PLANS), st.sampled_from([0, 2, -1, 1.0, "1", None, True, [1], {"schema": 1}]))
def test_another_schema_is_named(plan, schema):
    assert repr(schema) in refused({**json.loads(plan), "schema": schema})


@pytest.mark.parametrize("plan", PLANS)
def test_what_was_not_changed_is_read(plan):
    assert Plan.from_json(plan).to_json() == plan
    Plan.from_json(plan)


@pytest.mark.parametrize("text", ["[" * 100_000, None, 3, b"\xff", '{"schema": 1'])
def test_what_is_no_json_is_refused(text):
    with pytest.raises(PlanError, match="a plan must be JSON"):
        Plan.from_json(text)


def test_a_site_that_is_there_twice_or_counts_what_it_has_not_is_refused():
    body = json.loads(PLANS[0])
    twice = copy.deepcopy(body)
    twice["sites"].append(twice["sites"][0])
    assert "site ':input' twice" in refused(twice)
    for key in ("index", "argument"):
        other = copy.deepcopy(body)
        other["sites"][0][key] = 3
        assert f"':input' has no {key}, got {key} 3" in refused(other)
    other = copy.deepcopy(body)
    other["sites"][0]["rule"] = 9
    assert "site ':input' belongs to rule 9, of 2" in refused(other)
    other = copy.deepcopy(body)
    other["sites"][-1].update(function="rellu", id=":rellu#0", index=0)
    assert "function must be the name of a function, or empty, got 'rellu'" in refused(other)


@pytest.mark.parametrize(
    ("variant", "options", "text"),
    [
        ("guided_dropout", {"axis": "x"}, "option 'axis' must be a whole number, got 'x'"),
        ("guided_dropout", {"axis": True}, "option 'axis' must be a whole number, got True"),
        ("guided_dropout", {"features": 0}, "option 'features' must be at least 1, got 0"),
        ("guided_dropout", {"features": 10**30}, "option 'features' must be a whole number, got 1000"),
        ("concrete_dropout", {"temperature": None}, "option 'temperature' must be a number, got None"),
        ("concrete_dropout", {"temperature": float("nan")}, "must be a string or a number, got nan"),
        ("drop_block2d", {"share_channels": 1}, "option 'share_channels' must be True or False, got 1"),
        ("learnable_bernoulli", {"features": 2.0}, "must be a whole number or None, got 2.0"),
        ("hidden_cut", {"scores": 1}, "must be a tensor, which no plan can hold or None, got 1"),
        ("modality_dropout", {"sizes": 3}, "must be a list, which no plan can hold or None, got 3"),
    ],
)
def test_options_of_rules_are_checked_by_kind(variant, options, text):
    with pytest.raises(PlanError, match=text):
        dk.Rule(at="hidden", variant=variant, rate=0.5, options=options)


def test_a_variant_without_a_rate_is_given_none():
    with pytest.raises(RateError, match=r"'information_dropout' has no rate, got 0.3; leave out rate="):
        dk.Rule(at="hidden", variant="information_dropout", rate=0.3)
