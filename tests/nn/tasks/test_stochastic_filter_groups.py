"""Laws of dropkit.nn.StochasticFilterGroups. See tests/README.md for the false-alarm budget."""

import pytest
import torch
from torch import nn

from dropkit.core import OptionError
from dropkit.nn import StochasticFilterGroups
from dropkit.random import stream
from tests.laws import assert_frequency

GROUPS = torch.tensor([[0.5, 0.3, 0.2]])  # shared, task 0, task 1


def many(units, temperature):
    layer = StochasticFilterGroups(2, units, temperature, site="s")
    layer.logits.data.copy_(GROUPS.log().expand(units, 3))
    return layer


def test_near_temperature_zero_units_choose_groups_by_their_probabilities(seed):
    layer, x = many(20_000, 1e-3), torch.ones(2, 20_000)
    with stream(seed):
        y = layer(x, torch.tensor([0, 1]))
    sharp = ((y < 0.01) | (y > 0.99)).all(0)
    assert sharp.double().mean() > 0.98  # the rest lies where two groups are nearly tied
    first, second = y > 0.5
    assert_frequency(first & second, 0.5)
    assert_frequency(first & ~second, 0.3)
    assert_frequency(second & ~first, 0.2)


def test_warm_choices_are_shares_of_one_whole(seed):
    layer = many(500, 1.0)
    with stream(seed):
        first, second = layer(torch.ones(2, 500), torch.tensor([0, 1])).detach()
    assert ((first > 0) & (first < 1) & (second > 0) & (second < 1)).all()
    shared = first + second - 1  # what both are given: w_shared, as all three add up to 1
    assert (shared > -1e-5).all()
    assert first.std() > 0.1


def test_one_draw_serves_the_whole_batch_and_every_chunk(seed):
    layer = many(9, 1.0)
    with stream(seed):
        whole = layer(torch.ones(4, 9), 1)
    assert torch.equal(whole, whole[:1].expand(4, 9))
    with stream(seed, sample=2):
        assert torch.equal(layer(torch.ones(2, 9), 1), whole[2:])


def test_in_eval_mode_every_unit_goes_to_its_likeliest_group():
    layer = StochasticFilterGroups(2, 3).eval()
    layer.logits.data.copy_(torch.eye(3))  # shared, task 0, task 1
    x = torch.tensor([[5.0, float("inf"), float("nan")]])
    assert torch.equal(layer(x, 0), torch.tensor([[5.0, float("inf"), 0.0]]))
    assert layer(x, 1).isnan().tolist() == [[False, False, True]]
    assert layer(x, 1)[0, :2].tolist() == [5.0, 0.0]


def test_it_learns_which_units_a_task_needs(seed):
    """Unit 0 helps task 0 and hurts task 1, unit 1 the other way, unit 2 helps both."""
    with stream(seed) as s:
        layer = StochasticFilterGroups(2, 3, site="s")
        gains = torch.tensor([[1.0, -1.0, 1.0], [-1.0, 1.0, 1.0]])
        optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
        for _ in range(300):
            optimizer.zero_grad()
            loss = -(layer(torch.ones(2, 3), torch.tensor([0, 1])) * gains).sum()
            loss.backward()
            optimizer.step()
            s.advance()
    assert layer.logits.argmax(1).tolist() == [1, 2, 0]


def test_the_temperature_may_be_set_at_any_time_and_is_checked():
    layer = StochasticFilterGroups(2, 3)
    layer.temperature = 1
    assert repr(layer) == "StochasticFilterGroups(tasks=2, units=3, temperature=1)"
    assert "temperature=0.5, site='s'" in repr(StochasticFilterGroups(2, 3, 0.5, site="s"))
    for bad in (0, -1.0, float("nan"), float("inf"), True, "warm"):
        with pytest.raises(OptionError, match="temperature must be a positive number, got"):
            layer.temperature = bad
    assert layer.temperature == 1.0
    for name in ("tasks", "units"):
        with pytest.raises(OptionError, match=f"{name} must be a positive int, got 0"):
            StochasticFilterGroups(**{"tasks": 2, "units": 3, name: 0})


def test_it_fits_between_layers():
    groups = StochasticFilterGroups(2, 8)
    groups.task = 0
    model = nn.Sequential(nn.Conv2d(3, 8, 3), groups, nn.ReLU())
    assert model(torch.ones(2, 3, 5, 5)).shape == (2, 8, 3, 3)
    assert set(model.state_dict()) == {"0.weight", "0.bias", "1.logits"}
