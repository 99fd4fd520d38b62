import copy
import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import dropkit as dk
from dropkit.core import PlanError
from tests.surgery.auditing import models


def found(model, *inputs):
    return {site.id: site for site in dk.audit(model, *inputs).sites}


def codes(model, *inputs):
    return {(w.code, w.site) for w in dk.audit(model, *inputs).warnings}


X = torch.ones(4, 2, 8)


def test_modules_of_torch():
    model = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.1), nn.Sequential(nn.ReLU(), nn.AlphaDropout(0.2)))
    sites = found(model, X)
    assert {id: (s.kind, s.rate, s.shape) for id, s in sites.items()} == {
        "1": ("dropout", 0.1, (4, 2, 8)),
        "2.1": ("alpha_dropout", 0.2, (4, 2, 8)),
    }
    assert all(s.controllable and not s.active_in_eval for s in sites.values())
    # four modules without children, all outputs of one size
    assert [s.share for s in sites.values()] == [0.25, 0.25]


def test_the_root_itself():
    assert found(nn.Dropout(0.3), X)[""].rate == 0.3


def test_functions_with_their_lines_and_what_they_do_in_eval():
    model = nn.Sequential(models.Functional())
    sites = found(model, X)
    assert {id: (s.rate, s.active_in_eval) for id, s in sites.items()} == {
        "0:dropout#0": (0.35, False),
        "0:dropout#1": (0.3, True),
        "0:dropout#2": (0.1, False),
    }
    for site in sites.values():
        file, line = site.source.rsplit(":", 1)
        assert file == models.__file__
        assert "dropout(x" in Path(file).read_text().splitlines()[int(line) - 1]
    assert ("active-in-eval", "0:dropout#1") in codes(model, X)


def test_attention():
    sites = found(
        nn.Sequential(models.Attention(), models.Attention(0.2, switched=False)), torch.ones(4, 2, 6, 8)
    )
    assert {id: (s.kind, s.rate, s.shape, s.active_in_eval) for id, s in sites.items()} == {
        "0:scaled_dot_product_attention#0": ("attention", 0.05, (4, 2, 6, 6), False),
        "1:scaled_dot_product_attention#0": ("attention", 0.2, (4, 2, 6, 6), True),
    }


@pytest.mark.parametrize("need_weights", [True, False])
def test_multihead_attention(need_weights):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.mha = nn.MultiheadAttention(8, 2, dropout=0.1)

        def forward(self, x):
            return self.mha(x, x, x, need_weights=need_weights)[0]

    (site,) = found(Net(), torch.ones(5, 3, 8)).values()
    assert (site.id, site.kind, site.rate, site.shape) == ("mha", "attention", 0.1, (3, 2, 5, 5))


def test_transformer_layers():
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
    sites = found(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), torch.ones(3, 5, 8))
    names = ["self_attn", "dropout1", "dropout", "dropout2"]
    assert list(sites) == [f"layers.{i}.{name}" for i in (0, 1) for name in names]
    assert {s.rate for s in sites.values()} == {0.1}
    assert not any(s.active_in_eval for s in sites.values())


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_layers(kind):
    (site,) = found(kind(8, 8, 2, dropout=0.25), X).values()
    assert (site.kind, site.rate, site.controllable) == ("recurrent", 0.25, True)
    with pytest.warns(UserWarning, match="dropout option"):
        one = kind(8, 8, 1, dropout=0.25)
    assert not found(one, X)
    assert ("recurrent-one-layer", "") in codes(one, X)


@pytest.mark.parametrize(
    ("module", "kind"),
    [(models.DropPath(0.3), "drop_path"), (models.StochasticDepth(0.3, "row"), "stochastic_depth")],
)
def test_classes_of_other_libraries_are_settable_by_their_attribute(module, kind):
    (site,) = found(nn.Sequential(module), X).values()
    assert (site.id, site.kind, site.rate, site.shape, site.controllable) == ("0", kind, 0.3, (4, 2, 8), True)


def test_a_class_that_draws_in_spite_of_rate_zero_is_settable_where_it_changes_nothing_then():
    (site,) = found(nn.Sequential(models.DropBlock2d(0.3)), X).values()
    assert (site.id, site.rate) == ("0", 0.3)


def test_numbers_drawn_by_hand_are_reported_and_not_settable():
    (site,) = found(nn.Sequential(models.ByHand()), X).values()
    assert (site.id, site.rate, site.controllable, site.shape) == ("0:rand#0", None, False, (4, 2, 8))
    assert ("not-controllable", "0:rand#0") in codes(nn.Sequential(models.ByHand()), X)
    (site,) = found(nn.Sequential(models.Graph()), X).values()
    assert (site.id, site.rate, site.controllable) == ("0:dropout_edge#0", 0.2, False)


def test_random_numbers_of_the_host_are_found_with_their_lines():
    model = nn.Sequential(models.Host())
    random.seed(2)  # whose first number is 0.96: the forward does not return early
    site = found(model, X)["0:random"]
    assert (site.rate, site.controllable, site.active_in_eval) == (None, False, True)
    text = Path(models.__file__).read_text().splitlines()
    lines = {text[int(part.rsplit(":", 1)[1]) - 1].strip() for part in site.source.split(", ")}
    assert lines == {
        "if self.training and random.random() < 0.2:",
        "x = x * np.random.rand()",
        "return x + self.own.normal()",
    }


def test_ours(seed):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop = dk.nn.SpatialDropout1d(0.4)

        def forward(self, x):
            return dk.ops.dropout(self.drop(x), 0.2, training=self.training)

    sites = found(Net(), X)
    assert {id: (s.kind, s.rate, s.shape) for id, s in sites.items()} == {
        "drop": ("spatial_dropout1d", 0.4, (4, 2, 8)),
        ":dropout#0": ("dropout", 0.2, (4, 2, 8)),
    }


def test_an_attached_plan():
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
    with dk.plan(model, [dk.Rule(at="hidden", rate=0.3)]).apply(model) as applied:
        sites = found(model, X)
        assert list(sites) == [applied.sites[0].id]
        assert next(iter(sites.values())).rate == 0.3
    assert not found(model, X)


def test_a_model_that_never_trains_is_not_random():
    model = nn.Sequential(models.Stubborn(), nn.Dropout(0.1)).train()
    sites = found(model, X)
    assert sites["1"].shape == (4, 2, 8)
    assert not model[0].training
    with torch.no_grad():
        assert torch.equal(model[0](X), X)


def test_known_mistakes():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.fc, self.bn = nn.Dropout(0.1), nn.Linear(8, 8), nn.BatchNorm1d(2)
            self.b, self.c, self.flat = nn.Dropout(0.2), nn.Dropout(0.3), nn.Dropout2d(0.4)

        def forward(self, x):
            x = self.bn(torch.relu(self.fc(self.a(x))))
            return self.c(self.flat(self.b(x.softmax(-1)) + 1))

    assert codes(Net(), torch.rand(4, 2, 8)) == {
        ("dropout-before-batch-norm", "a"),
        ("dropout-after-softmax", "b"),
        ("dropout2d-on-3d", "flat"),
        ("dropout-after-last-layer", "c"),
    }


def test_dropout_on_attention_probabilities_is_no_mistake():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop = nn.Dropout(0.1)

        def forward(self, x):
            return self.drop((x @ x.mT).softmax(-1)) @ x

    assert codes(Net(), X) == set()


def test_use_at_two_places_rate_zero_and_what_is_never_reached():
    model = models.Twice()
    assert ("module-used-twice", "drop") in codes(model, X)
    assert ("rate-zero-everywhere", "") in codes(nn.Sequential(nn.Dropout(0.0)), X)
    model.spare = nn.Dropout(0.5)
    site = found(model, X)["spare"]
    assert (site.shape, site.share) == (None, 0.0)
    assert ("not-reached", "spare") in codes(model, X)


def test_without_an_example_modules_alone():
    audit = dk.audit(nn.Sequential(nn.Dropout(0.1), models.Functional(), nn.LSTM(8, 8, 2, dropout=0.1)))
    assert [site.id for site in audit.sites] == ["0", "2"]
    assert not audit.traced
    assert "no example input" in str(audit)


class Rates(nn.Module):
    """Rates in attributes: of a call, for others to read, none, and no rate."""

    def __init__(self, rate=0.2):
        super().__init__()
        self.attention_dropout, self.unread_dropout, self.dropped, self.drops = rate, 0.3, 7.0, "0.1"

    def forward(self, x):
        drop = self.attention_dropout if self.training else 0.0
        return torch.nn.functional.scaled_dot_product_attention(x, x, x, dropout_p=drop) + self.dropped


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.dropout = 0.1

    def forward(self, x):
        return x * self.dropout


def test_without_an_example_rates_of_calls_are_said_to_be_missing():
    model = nn.Sequential(
        Rates(), Unused(), models.DropPath(0.2), nn.LSTM(8, 8, 2, dropout=0.1), Rates(), Rates(0.0)
    )
    audit = dk.audit(model)
    assert [site.id for site in audit.sites] == ["2", "3"]
    (warning,) = audit.warnings
    assert (warning.code, warning.site) == ("not-listed", "0")
    assert warning.message.startswith("attention_dropout = 0.2 of Rates and 1 more module(s) may be the rate")
    assert "not-listed" not in {warning.code for warning in dk.audit(model[:1], X).warnings}
    assert not dk.audit(nn.Sequential(Unused(), Rates(0.0), models.Functional())).warnings


def test_nothing_is_left_behind(seed):
    model = nn.Sequential(
        nn.Linear(8, 8), nn.BatchNorm1d(2), models.Host(), models.DropPath(0.3), nn.Dropout(0.1)
    )
    model[1].eval()
    before = copy.deepcopy(model.state_dict()), [m.training for m in model.modules()]
    own, python, numpy, torch_state = (
        model[2].own.bit_generator.state,
        random.getstate(),
        np.random.get_state()[1].tolist(),
        torch.get_rng_state(),
    )
    dk.audit(model, X)
    after = model.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before[0].items())
    assert [m.training for m in model.modules()] == before[1]
    assert model[2].own.bit_generator.state == own
    assert random.getstate() == python
    assert np.random.get_state()[1].tolist() == numpy
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert model[3].drop_prob == 0.3


def test_json_and_table():
    audit = dk.audit(nn.Sequential(nn.Dropout(0.1), models.ByHand()), X)
    body = json.loads(audit.to_json())
    assert [site["id"] for site in body["sites"]] == ["0", "1:rand#0"]
    assert set(body["sites"][0]) == {
        "id", "kind", "rate", "shape", "share", "active_in_eval", "controllable", "source",
    }  # fmt: skip
    assert [w["code"] for w in body["warnings"]] == [w.code for w in audit.warnings]
    text = str(audit)
    assert "unknown" in text
    assert "1 warning:" in text


def test_torchscript_and_wrong_inputs_are_refused():
    with pytest.warns(DeprecationWarning, match="deprecated"):
        scripted = torch.jit.trace(nn.Linear(8, 8), X)
    with pytest.raises(PlanError, match=r"TorchScript.*audit the Python model"):
        dk.audit(nn.Sequential(scripted), X)
    with pytest.raises(PlanError, match="fails on the example inputs"):
        dk.audit(nn.Linear(8, 8), torch.ones(4, 5))
    with pytest.raises(PlanError, match=r"must be a torch\.nn\.Module"):
        dk.audit("model")


def test_compiled_and_keyword_inputs():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop = nn.Dropout(0.1)

        def forward(self, *, words):
            return {"out": {"deep": self.drop(words)}}

    assert list(found(torch.compile(Net()), {"words": X})) == ["drop"]
    assert ("dropout-after-last-layer", "drop") in codes(Net(), {"words": X})


class Planted(nn.Module):
    """A random tree: a chain of parts, each of which may hold another chain."""

    def __init__(self, parts):
        super().__init__()
        self.parts = nn.ModuleList([Planted(p) if isinstance(p, list) else make(p) for p in parts])

    def forward(self, x):
        for part in self.parts:
            x = part(x)
        return x


class Call(nn.Module):
    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def forward(self, x):
        return torch.nn.functional.dropout(torch.tanh(x), self.rate, self.training)


class Inside(nn.Module):
    """One of torch's modules whose output is a tuple."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(*[x] * (3 if isinstance(self.inner, nn.MultiheadAttention) else 1))[0]


# kind -> what comes after the part's name in the id of its site
SUFFIX = {
    "call": ":dropout#0",
    "sdpa": ":scaled_dot_product_attention#0",
    "recurrent": ".inner",
    "heads": ".inner",
    "hand": ":rand#0",
}


def make(part):
    kind, rate = part
    return {
        "module": lambda: nn.Dropout(rate),
        "call": lambda: Call(rate),
        "path": lambda: models.DropPath(rate),
        "ours": lambda: dk.nn.Dropout(rate),
        "sdpa": lambda: models.Attention(rate),
        "recurrent": lambda: Inside(nn.GRU(8, 8, 2, dropout=rate)),
        "heads": lambda: Inside(nn.MultiheadAttention(8, 2, dropout=rate)),
        "hand": models.ByHand,
        "plain": lambda: nn.Linear(8, 8),
    }[kind]()


def planted(parts, prefix=""):
    sites = {}
    for i, part in enumerate(parts):
        name = f"{prefix}parts.{i}"
        if isinstance(part, list):
            sites |= planted(part, f"{name}.")
        elif part[0] != "plain":
            sites[name + SUFFIX.get(part[0], "")] = None if part[0] == "hand" else part[1]
    return sites


LEAF = st.tuples(st.sampled_from(["module", "path", "ours", "plain", *SUFFIX]), st.floats(0.01, 0.99))
TREES = st.recursive(
    st.lists(LEAF, max_size=4), lambda inner: st.lists(inner | LEAF, max_size=4), max_leaves=12
)


@settings(deadline=None)
@given(parts=TREES)
def test_in_any_tree_exactly_what_was_planted_is_found(parts):
    sites = found(Planted(parts), X)
    assert {id: site.rate for id, site in sites.items()} == planted(parts)
    assert all(site.controllable is (site.rate is not None) for site in sites.values())


def test_the_fast_path_of_eval_mode_is_reported_where_a_plan_ends_it():
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    x = torch.ones(2, 3, 8)
    plan = dk.plan(model, [dk.Rule(at="linear1", rate=0.5)])
    codes = {warning.code: warning for warning in dk.audit(model, x).warnings}
    assert "fast-path-lost" not in codes
    with plan.apply(model):
        codes = {warning.code: warning for warning in dk.audit(model, x).warnings}
        assert "'linear1'" in codes["fast-path-lost"].message
    with dk.plan(model, [dk.Rule(at=":relu#0", rate=0.5)], example_inputs=x).apply(model):
        assert "fast-path-lost" not in {warning.code for warning in dk.audit(model, x).warnings}


def test_a_random_activation_is_not_random_in_eval_mode():
    found = dk.audit(nn.Sequential(nn.Linear(3, 4), nn.RReLU(), nn.Linear(4, 2)), torch.ones(5, 3))
    assert [site.active_in_eval for site in found.sites] == [False]
    assert "active-in-eval" not in {warning.code for warning in found.warnings}
