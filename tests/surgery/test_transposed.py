"""Hugging Face's ``Conv1D`` is a linear layer, whatever its name and the shape of its weight."""

import copy

import pytest
import torch
from torch import nn

import dropkit as dk
from dropkit.core import NoMatchError
from dropkit.random import stream
from dropkit.surgery.transposed import is_transposed_linear

transformers = pytest.importorskip("transformers")
from transformers.pytorch_utils import Conv1D  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

IDS = torch.arange(8).view(2, 4)
SMALL = {"vocab_size": 20, "n_positions": 8, "n_embd": 8, "n_layer": 2, "n_head": 2}
OFF = {"attn_pdrop": 0.0, "resid_pdrop": 0.0, "embd_pdrop": 0.0}


def gpt2():
    return transformers.GPT2Model(transformers.GPT2Config(**SMALL, **OFF))


def gpt2_head():
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(**SMALL, **OFF))


def openai():
    return transformers.OpenAIGPTModel(transformers.OpenAIGPTConfig(**SMALL, **OFF))


def openai_head():
    return transformers.OpenAIGPTLMHeadModel(transformers.OpenAIGPTConfig(**SMALL, **OFF))


def linears(model):
    return [name for name, m in model.named_modules() if isinstance(m, nn.Linear | Conv1D)]


@pytest.mark.parametrize("example", [None, {"input_ids": IDS}], ids=["names", "example"])
@pytest.mark.parametrize("make", [gpt2, gpt2_head, openai, openai_head])
def test_every_linear_layer_but_the_last_is_found(make, example):
    model = make()
    expected = linears(model)[:-1]
    assert len(expected) == (8 if "head" in make.__name__ else 7)
    for at, end in (("fc", ""), ("weights", ":weight")):
        plan = dk.plan(model, [dk.Rule(at=at)], example_inputs=example)
        assert [site.id for site in plan.sites] == [f"{name}{end}" for name in expected]


@pytest.mark.parametrize("at", ["fc", "weights"])
@pytest.mark.parametrize("make", [gpt2_head, openai_head])
def test_they_drop_in_training_and_nothing_is_left_behind(make, at, seed):
    model = make()
    before, quiet = copy.deepcopy(model.state_dict()), model(IDS).logits
    with dk.plan(model, [dk.Rule(at=at, rate=0.5)]).apply(model):
        with stream(seed):
            first = model(IDS).logits
        with stream(seed):
            assert torch.equal(model(IDS).logits, first)
        first.square().mean().backward()
        assert not torch.equal(first, quiet)
        assert torch.equal(model.eval()(IDS).logits, make_like(model, before)(IDS).logits)
        model.train()
    assert torch.equal(model(IDS).logits, quiet)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(model.get_submodule(name).weight.grad is not None for name in linears(model))


def make_like(model, state):
    plain = type(model)(model.config).eval()
    plain.load_state_dict(state)
    return plain


@pytest.mark.parametrize("variant", ["targeted_unit_dropout", "targeted_weight_dropout"])
def test_units_are_columns_as_rows_are_those_of_a_linear_layer(variant, seed, rng):
    theirs, ours = nn.Sequential(Conv1D(6, 5)), nn.Sequential(nn.Linear(5, 6))
    with torch.no_grad():
        theirs[0].weight.copy_(torch.randn(5, 6, generator=rng))
        ours[0].weight.copy_(theirs[0].weight.t())
        ours[0].bias.copy_(theirs[0].bias)
    x, found = torch.randn(3, 5, generator=rng), []
    for model in (theirs, ours):
        rule = dk.Rule(at="0", on="weight", variant=variant, rate=0.5, options={"share": 0.7})
        with dk.plan(model, [rule]).apply(model), stream(seed):
            found.append(model(x))
    torch.testing.assert_close(found[0], found[1])


def test_the_mask_of_a_weight_has_the_weights_own_shape(seed):
    model = nn.Sequential(Conv1D(6, 5))
    with torch.no_grad():
        model[0].weight.fill_(1.0)
    with dk.plan(model, [dk.Rule(at="0", on="weight", rate=0.5)]).apply(model), stream(seed):
        y = model(torch.eye(5))
    kept = torch.from_numpy(dk.random.mask((5, 6), 0.5, seed=seed, site="0:weight"))
    assert torch.equal(y, kept * 2.0)


def test_others_of_that_name_are_something_else():
    class Conv1D(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2, 2))

    model = nn.Sequential(Conv1D(), Conv1D())
    assert not is_transposed_linear(model[0])
    with pytest.raises(NoMatchError, match="the model has no Linear module"):
        dk.plan(model, [dk.Rule(at="fc")])


def test_the_only_one_is_the_last():
    with pytest.raises(NoMatchError, match="the only Linear is '0', the last one"):
        dk.plan(nn.Sequential(Conv1D(6, 5)), [dk.Rule(at="fc")])
