"""Which sites an address leads to: tables, errors, and random trees."""

import re
from fnmatch import fnmatchcase

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import dropkit as dk
from dropkit.core import DtypeError, NoMatchError, PlanError
from dropkit.surgery.activations import ACTIVATION_MODULES

from .models import CNN, MLP, Block, Functional, Holder, Keywords, Tokens, Twice

X = torch.zeros(1, 6)


def ids(model, at, example=None, **rule):
    return [site.id for site in dk.plan(model, [dk.Rule(at=at, **rule)], example_inputs=example).sites]


FUNCTIONAL = ["act", ":relu#0", "blocks.0:gelu#0", "blocks.1:gelu#0", ":tanh#0", ":relu#1"]


@pytest.mark.parametrize(
    ("model", "at", "example", "expected"),
    [
        (MLP, "input", None, [":input"]),
        (MLP, "hidden", None, ["net.1", "net.3"]),
        (MLP, "fc", None, ["net.0", "net.2"]),
        (MLP, ["input", "fc"], None, [":input", "net.0", "net.2"]),
        (MLP, "Linear", None, ["net.0", "net.2", "net.4"]),
        (MLP, "torch.nn.Linear", None, ["net.0", "net.2", "net.4"]),
        (MLP, "torch.nn.modules.linear.Linear", None, ["net.0", "net.2", "net.4"]),
        (MLP, "net.[02]", None, ["net.0", "net.2"]),
        (MLP, "net.*", None, ["net.0", "net.1", "net.2", "net.3", "net.4"]),
        (MLP, "net", None, ["net"]),
        (MLP, r"re:net\.\d", None, ["net.0", "net.1", "net.2", "net.3", "net.4"]),
        (MLP, r"re:", None, [":output"]),  # the root's name is empty
        (MLP, "MLP", None, [":output"]),
        (CNN, "conv", None, ["features.0", "features.3"]),
        (CNN, "_ConvNd", None, ["features.0", "features.3"]),  # a base class is a type too
        (CNN, "BatchNorm2d", None, ["features.1"]),
        (CNN, "hidden", None, ["features.2", "features.4"]),
        (Functional, "hidden", None, ["act"]),
        (Functional, "hidden", X, FUNCTIONAL),
        (Functional, ":relu#*", X, [":relu#0", ":relu#1"]),
        (Functional, "blocks.*.mlp", None, ["blocks.0.mlp", "blocks.1.mlp"]),
        (Block, "hidden", X, [":gelu#0"]),
        (Twice, "hidden", X, ["first", "block:gelu#0"]),
        (Twice, "second", None, ["first"]),  # an alias leads to the one place
        (Twice, "ReLU", None, ["first"]),
        (lambda: nn.Linear(6, 3), "Linear", None, [":output"]),
        (lambda: nn.Linear(6, 3), "input", None, [":input"]),
        (nn.ReLU, "hidden", None, [":output"]),
        (nn.ReLU, "hidden", X, [":output"]),  # its own F.relu is not a second site
        (lambda: nn.Sequential(nn.Sequential(nn.Linear(6, 6), nn.ReLU())), "hidden", None, ["0.1"]),
        (lambda: nn.TransformerEncoderLayer(6, 1, 8), "hidden", torch.zeros(2, 1, 6), [":relu#0"]),
        (lambda: nn.TransformerEncoderLayer(6, 1, 8), "fc", None, ["linear1"]),
        (lambda: nn.TransformerEncoderLayer(6, 1, 8), "Linear", None, ["linear1", "linear2"]),
        (Keywords, "input", {"flag": 1.0, "x": X}, [":input"]),
    ],
)
def test_addresses(model, at, example, expected):
    assert ids(model(), at, example) == expected


@pytest.mark.parametrize("activation", ACTIVATION_MODULES)
def test_every_activation_class_is_hidden(activation):
    arguments = {nn.Threshold: (0.1, 0.0)}.get(activation, ())
    model = nn.Sequential(nn.Linear(2, 2), activation(*arguments), nn.Linear(1, 1))
    assert ids(model, "hidden") == ["1"]


def test_every_activation_of_torch_is_classed_as_hidden_or_as_a_normaliser():
    from torch.nn.modules import activation

    others = {"MultiheadAttention", "Softmax", "Softmin", "Softmax2d", "LogSoftmax"}
    assert set(activation.__all__) == others | {cls.__name__ for cls in ACTIVATION_MODULES}


def test_input_side_sites_have_ids_of_their_own():
    assert ids(MLP(), "net.0", on="input") == ["net.0:input"]
    assert ids(Functional(), "hidden", X, on="input")[1] == ":relu#0:input"
    both = [dk.Rule(at="net.0"), dk.Rule(at="net.0", on="input")]
    assert [(s.id, s.module, s.on) for s in dk.plan(MLP(), both).sites] == [
        ("net.0", "net.0", "output"),
        ("net.0:input", "net.0", "input"),
    ]


@pytest.mark.parametrize(
    ("except_", "expected"),
    [
        ("net.1", ["net.3"]),
        ("Tanh", ["net.1"]),
        ("re:.*3", ["net.1"]),
        (["fc", "net.1"], ["net.3"]),
    ],
)
def test_exceptions_take_sites_away(except_, expected):
    assert ids(MLP(), "hidden", except_=except_) == expected


def test_exceptions_reach_function_calls_by_module_or_by_call():
    assert ids(Functional(), "hidden", X, except_="blocks.*") == ["act", ":relu#0", ":tanh#0", ":relu#1"]
    assert ids(Functional(), "hidden", X, except_=["Functional", "act"]) == FUNCTIONAL[2:4]
    assert ids(Functional(), "hidden", X, except_=":relu#1") == FUNCTIONAL[:-1]
    assert ids(MLP(), ["input", "fc"], except_="input") == ["net.0", "net.2"]


def test_with_an_example_the_last_linear_is_the_one_called_last():
    class HeadFirst(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.body = nn.Linear(6, 3), nn.Linear(6, 6)

        def forward(self, x):
            return self.head(self.body(x))

    assert ids(HeadFirst(), "fc") == ["head"]
    assert ids(HeadFirst(), "fc", X) == ["body"]


@pytest.mark.parametrize(
    ("model", "rule", "text"),
    [
        (Block, {"at": "hidden"}, "Block has no activation module; pass example_inputs="),
        (Keywords, {"at": "hidden"}, "example_inputs"),
        (Block, {"at": ":gelu#0"}, "pass example_inputs="),
        (MLP, {"at": "conv"}, "the model has no Conv module"),
        (nn.ReLU, {"at": "fc"}, "the model has no Linear module"),
        (Block, {"at": "fc"}, "the only Linear is 'mlp', the last one"),
        (lambda: nn.Linear(1, 1), {"at": "fc"}, "the only Linear is 'the model itself'"),
        (MLP, {"at": "nett.0"}, "no module has the name or the type 'nett.0'; nearest: 'net.0'"),
        (MLP, {"at": "Linaer"}, "nearest: 'Linear'"),
        (MLP, {"at": "hiden"}, "nearest: 'hidden'"),
        (MLP, {"at": "qqqq"}, "the model has the types Linear, MLP, ReLU, Sequential, Tanh"),
        (MLP, {"at": "re:0"}, "no dotted module name matches all of the pattern '0'"),
        (MLP, {"at": ["conv", "qqqq"]}, "no Conv module.*; no module has the name"),
        (MLP, {"at": "hidden", "except_": "net.*"}, "matches net.1, net.3, but except_ removes them all"),
        (MLP, {"at": "hidden", "except_": "nte.1"}, "except_='nte.1' .* nearest: 'net.1'"),
        (Functional, {"at": "blocks"}, "ModuleList 'blocks' is a container that is never called"),
        (lambda: nn.MultiheadAttention(4, 2), {"at": "out_proj"}, "never calls its child 'out_proj'"),
    ],
)
def test_a_rule_that_matches_nothing_says_why(model, rule, text):
    with pytest.raises(NoMatchError, match=text) as caught:
        dk.plan(model(), [dk.Rule(**rule)])
    assert "\n" not in str(caught.value)


def test_hidden_finds_nothing_even_with_an_example():
    with pytest.raises(NoMatchError, match="called no activation function on the example"):
        dk.plan(nn.Linear(6, 3), [dk.Rule(at="hidden")], example_inputs=X)


@pytest.mark.parametrize(("at", "text"), [("re:(", "not a regular expression")])
def test_addresses_that_cannot_be_used(at, text):
    with pytest.raises(PlanError, match=text):
        dk.plan(MLP(), [dk.Rule(at=at)])


def test_what_is_left_out_or_without_effect_is_noted():
    notes = dk.plan(MLP(), [dk.Rule(at=["hidden", "conv"], except_="net.0")]).notes
    assert any("no Conv module" in note for note in notes)
    assert any("except_='net.0' takes nothing away" in note for note in notes)
    (note,) = dk.plan(Holder(nn.MultiheadAttention(4, 2)), [dk.Rule(at="inner*")]).notes
    assert "never calls its child 'inner.out_proj'" in note


def test_a_module_that_the_example_does_not_call_is_noted():
    model = MLP()
    model.spare = nn.ReLU()
    plan = dk.plan(model, [dk.Rule(at="hidden")], example_inputs=X)
    assert plan.notes == ("module 'spare' was not called on the example",)


def test_integer_input_is_refused_when_the_example_shows_it():
    with pytest.raises(DtypeError, match=r"site ':input' is torch.int64"):
        dk.plan(Tokens(), [dk.Rule(at="input")], example_inputs=torch.tensor([[1, 2]]))


@pytest.mark.parametrize("rules", [dk.Rule(at="fc"), ["fc"]])
def test_only_lists_of_rules_are_taken(rules):
    with pytest.raises(PlanError, match="must be a list of Rule"):
        dk.plan(MLP(), rules)


# Random trees ------------------------------------------------------------------------------------------------

LEAVES = {
    "Linear": lambda: nn.Linear(1, 1),
    "ReLU": nn.ReLU,
    "Tanh": nn.Tanh,
    "Conv1d": lambda: nn.Conv1d(1, 1, 1),
}
NAMES = st.sampled_from(["a", "b", "fc", "conv", "layer", "0"])
TREES = st.recursive(
    st.sampled_from(sorted(LEAVES)), lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=10
)


def build(tree, kinds, prefix=""):
    if isinstance(tree, str):
        kinds[prefix] = tree
        return LEAVES[tree]()
    module = nn.Sequential()
    kinds[prefix] = "Sequential"
    for name, subtree in tree.items():
        module.add_module(name, build(subtree, kinds, f"{prefix}.{name}" if prefix else name))
    return module


def names(found):
    return [name or ":output" for name in found]


@given(TREES, st.sampled_from(["*", "a*", "*.b", "[ab].*", "?", "layer.*.fc"]))
def test_random_trees(tree, glob):
    kinds = {}
    model = build(tree, kinds)
    linears = [name for name, kind in kinds.items() if kind == "Linear"]
    expected = {
        "hidden": [name for name, kind in kinds.items() if kind in ("ReLU", "Tanh")],
        "fc": linears[:-1],
        "conv": [name for name, kind in kinds.items() if kind == "Conv1d"],
        "Tanh": [name for name, kind in kinds.items() if kind == "Tanh"],
        glob: [name for name in kinds if name and fnmatchcase(name, glob)],
        "re:.*[ab]": [name for name in kinds if re.fullmatch(".*[ab]", name)],
    }
    for at, found in expected.items():
        if found:
            assert ids(model, at) == names(found), at
        else:
            with pytest.raises(NoMatchError):
                dk.plan(model, [dk.Rule(at=at)])


@given(TREES, st.sampled_from(["hidden", "Linear", "*"]), st.sampled_from(["ReLU", "Linear", "a*"]))
def test_random_exceptions(tree, at, except_):
    model = build(tree, {})
    try:
        all_ids, out = set(ids(model, at)), set(ids(model, except_))
    except NoMatchError:
        return
    if all_ids - out:
        assert set(ids(model, at, except_=except_)) == all_ids - out
    else:
        with pytest.raises(NoMatchError, match="removes them all"):
            dk.plan(model, [dk.Rule(at=at, except_=except_)])
