"""Every entry of the catalogue can be attached to a model, or is refused with a reason."""

import pytest
import torch
from torch import nn

import dropkit as dk
from dropkit.core import InputError
from dropkit.surgery.forms import (
    acts_on_a_sum,
    acts_on_a_tensor,
    acts_on_weights_only,
    is_held,
    skips_layers,
    wraps_module,
)

NEEDED = {"lima_dropout": {"layer": 1, "layers": 2}, "scheduled_drop_path": {"steps": 10}}


def place_for(entry):
    """A model in which there is a place for ``entry``, its address, and an input."""
    _, x = entry.example()
    if wraps_module(entry) or entry.name == "weight_drop":
        return nn.Sequential(nn.LSTM(x.shape[-1], 4, batch_first=True)), "recurrent", x
    if entry.name == "embedding_dropout":
        return nn.Sequential(nn.Embedding(12, 3)), "embedding", x
    if acts_on_weights_only(entry):
        return nn.Sequential(nn.Linear(x.shape[-1], 4), nn.Linear(4, 2)), "weights", x
    return nn.Sequential(nn.Identity()), "0", x


@pytest.mark.parametrize("entry", dk.catalogue(), ids=lambda entry: entry.name)
def test_every_entry_is_attachable_or_refused_with_a_reason(entry):
    if acts_on_a_sum(entry) or skips_layers(entry):
        dk.Rule(at="residual", variant=entry.name)  # attached in the tests of branches and layers
        return
    taken = acts_on_a_tensor(entry) or acts_on_weights_only(entry) or wraps_module(entry) or is_held(entry)
    if not taken:
        with pytest.raises(InputError, match=r"cannot be attached|no default rate|not supported") as caught:
            dk.Rule(at=entry.at or "hidden", variant=entry.name)
        assert "\n" not in str(caught.value)
        return
    model, at, x = place_for(entry)
    rule = dk.Rule(at=at, variant=entry.name, options=NEEDED.get(entry.name, {}))
    made = dk.plan(model, [rule], example_inputs=x)
    (site,) = made.sites
    assert site.variant == entry.name
    assert type(made).from_json(made.to_json()) == made
    keys, plain = list(model.state_dict()), model.eval()(x)
    model.train()
    applied, changed = made.apply(model), False
    if entry.name == "mixout":
        with torch.no_grad():
            model[0].weight.add_(1.0)
    for step in range(20):
        with dk.random.stream(3, step=step):
            y, z = model(x), plain
            y, z = (y[0], z[0]) if isinstance(y, tuple) else (y, z)
            changed |= not torch.equal(y, z)
    assert changed
    applied.revert()
    assert list(model.state_dict()) == keys
    assert model.state_dict().keys() == set(keys)
