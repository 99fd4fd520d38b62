"""docs/names.md: every name of ours on it exists, and what it says of our twins of torch's modules holds."""

import inspect
import re
from functools import reduce
from pathlib import Path

import pytest
import torch
from torch import nn

import dropkit as dk

PAGE = (Path(__file__).parent.parent / "docs" / "names.md").read_text()
OURS = sorted(set(re.findall(r"\bdk\.([\w.]*\w)", PAGE)))
TWINS = {
    nn.Dropout: dk.nn.Dropout,
    nn.Dropout1d: dk.nn.SpatialDropout1d,
    nn.Dropout2d: dk.nn.SpatialDropout2d,
    nn.Dropout3d: dk.nn.SpatialDropout3d,
    nn.AlphaDropout: dk.nn.AlphaDropout,
    nn.FeatureAlphaDropout: dk.nn.FeatureAlphaDropout,
}


def test_the_page_names_every_library():
    headings = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    assert {"PyTorch", "torchvision", "timm", "Keras", "fastai"} <= set(headings)
    assert len(OURS) > 30


@pytest.mark.parametrize("name", OURS)
def test_every_name_of_ours_exists(name):
    assert reduce(getattr, name.split("."), dk) is not None


@pytest.mark.parametrize("call", sorted(set(re.findall(r"`dk\.((?:nn|ops)\.\w+\(.*?\))`", PAGE))))
def test_the_arguments_it_shows_are_arguments(call):
    name, arguments = re.fullmatch(r"([\w.]+)\((.*)\)", call).groups()
    parameters = inspect.signature(reduce(getattr, name.split("."), dk)).parameters
    positional = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    for position, argument in enumerate(a.strip() for a in arguments.split(",")):
        if "=" in argument:
            assert argument.split("=")[0] in parameters
        else:
            assert argument == positional[position] or (argument, positional[position]) == ("edge_index", "x")


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.__name__)
def test_twins_take_the_positional_form_and_have_the_default(twin):
    ours = TWINS[twin]
    assert f"`nn.{twin.__name__}`" in PAGE
    assert f"`dk.nn.{ours.__name__}`" in PAGE
    assert ours().rate == twin().p
    assert ours(0.25).rate == twin(0.25).p
    x = torch.ones([2] * {"1d": 3, "2d": 4, "3d": 5}.get(twin.__name__[-2:], 3))
    assert ours(0.0)(x) is x
    assert ours().eval()(x) is x


def test_a_torch_dropout_drops_the_share_that_ours_does(rng):
    # the number means the same: both drop with it, and scale by the same factor
    with torch.random.fork_rng():
        torch.manual_seed(int(torch.randint(2**31, (), generator=rng)))
        theirs = nn.Dropout(0.2)(torch.ones(100_000))
    ours = dk.ops.dropout(torch.ones(100_000), 0.2, training=True, generator=rng)
    assert set(theirs.unique().tolist()) == set(ours.unique().tolist()) == {0.0, 1.25}
    assert abs((theirs == 0).double().mean() - (ours == 0).double().mean()) < 0.01
