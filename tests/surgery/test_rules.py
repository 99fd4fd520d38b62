import dataclasses
import inspect
import pickle

import pytest

from dropkit.core import InputError, PlanError, RateError, UnknownNameError
from dropkit.surgery import Rule


def test_a_list_of_addresses_becomes_a_tuple_and_one_address_a_string():
    assert Rule(at=["fc", "conv"]).at == ("fc", "conv")
    assert Rule(at=["fc"]) == Rule(at="fc")
    assert Rule(at="fc", except_="net.0").except_ == ("net.0",)


def test_rules_are_frozen_hashable_and_picklable():
    rule = Rule(at="fc", rate=0.25, options={"scaling": "test"})
    assert hash(rule) == hash(Rule(at="fc", rate=0.25, options={"scaling": "test"}))
    assert rule != Rule(at="fc", rate=0.25)
    assert rule.options == {"scaling": "test"}
    assert pickle.loads(pickle.dumps(rule)) == rule
    with pytest.raises(AttributeError):
        rule.rate = 0.5
    with pytest.raises(TypeError):
        rule.options["scaling"] = "train"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"p": 0.5}, "'p' is called rate here: the probability of dropping"),
        ({"keep_prob": 0.5}, "1 - keep_prob"),
        ({"variannt": "dropout"}, "no argument 'variannt'; did you mean 'variant'?"),
        ({"zzz": 1}, "it takes at, variant, rate, except_, on, options, override"),
    ],
)
def test_an_argument_of_another_name_is_refused_in_words_that_help(arguments, text):
    with pytest.raises(PlanError, match=r"^rule: ") as caught:
        Rule(at="hidden", **arguments)
    assert text in str(caught.value)


def test_arguments_need_their_names():
    with pytest.raises(PlanError, match="'hidden' without one"):
        Rule("hidden", rate=0.5)


def test_help_shows_the_arguments_of_a_rule():
    assert list(inspect.signature(Rule).parameters) == [field.name for field in dataclasses.fields(Rule)]


def test_the_default_rate_is_the_variants():
    assert Rule(at="fc").effective_rate == 0.5
    assert Rule(at="fc", rate=0).effective_rate == 0.0


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (
            {"at": "hidden", "rate": 1.7},
            RateError,
            r"rate of the rule at 'hidden' must be in \[0, 1\], got 1.7",
        ),
        ({"at": "hidden", "rate": float("nan")}, RateError, "got nan"),
        ({"at": "hidden", "rate": [0.1, 0.2]}, RateError, "must be a number"),
        ({"at": "fc", "variant": "dropuot"}, UnknownNameError, "did you mean 'dropout'"),
        (
            {"at": "fc", "options": {"scalling": "test"}},
            PlanError,
            "no option 'scalling'; did you mean 'scaling'",
        ),
        ({"at": "fc", "variant": "drop_path", "options": {"x": 1}}, PlanError, "it takes no option"),
        ({"at": "fc", "options": {"scaling": "tset"}}, PlanError, "rule at 'fc': scaling must be"),
        ({"at": "fc", "options": {"training": True}}, PlanError, "no option 'training'"),
        ({"at": "fc", "options": ["scaling"]}, PlanError, "options must be a mapping"),
        ({"at": "fc", "options": {"scaling": [1]}}, PlanError, "must be a string or a number"),
        (
            {"at": "fc", "on": "weight", "variant": "gaussian_dropout"},
            PlanError,
            "on='weight' is not supported by variant 'gaussian_dropout'",
        ),
        ({"at": "fc", "on": "outputs"}, PlanError, "on must be one of output, input"),
        ({"at": ""}, PlanError, "non-empty"),
        ({"at": []}, PlanError, "at is empty"),
        ({"at": 3}, PlanError, "a string or a list of strings, got 3"),
        ({"at": "fc", "except_": [None]}, PlanError, "except_ must hold non-empty strings"),
        ({"at": "fc", "override": "yes"}, PlanError, "override must be True or False"),
    ],
)
def test_bad_rules_are_refused_where_they_are_written(arguments, error, text):
    with pytest.raises(error, match=text) as caught:
        Rule(**arguments)
    assert isinstance(caught.value, InputError)
    assert "\n" not in str(caught.value)
