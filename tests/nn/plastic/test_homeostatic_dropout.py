"""Laws of dropkit.nn.HomeostaticDropout."""

import pytest
import torch
from torch.utils.checkpoint import checkpoint

import dropkit as dk
from dropkit.core import OptionError, RateError, ShapeError
from tests.laws import assert_frequency

# Units that are positive in 100, 60, 25 and 0 of 100 samples.
FIRING = torch.tensor([1.0, 0.6, 0.25, 0.0])
X = (torch.arange(100).unsqueeze(1) < torch.tensor([100, 60, 25, 0])).float() * 2 - 1


def test_the_activity_comes_to_the_target(seed):
    module = dk.nn.HomeostaticDropout(4, target=0.2, speed=0.5)
    with dk.random.stream(seed) as stream:
        for _ in range(300):
            module(X)
            stream.advance()
        big = X.repeat(500, 1)
        y = module(big)
    torch.testing.assert_close(module.rates, torch.tensor([0.8, 1 - 0.2 / 0.6, 0.2, 0.0]))
    for unit in range(3):
        fires = y[big[:, unit] > 0, unit] > 0
        assert_frequency(fires, 0.2 / FIRING[unit].item())


def test_one_move_is_the_rule():
    module = dk.nn.HomeostaticDropout(4, target=0.2, rate=0.3, speed=0.1, limit=0.35)
    module(X)
    torch.testing.assert_close(module.rates, torch.full((4,), 0.3))
    module(X)
    torch.testing.assert_close(module.rates, (0.3 + 0.1 * (0.7 * FIRING - 0.2)).clamp(0.0, 0.35))
    assert module.rates[0] == 0.35


def test_rates_move_once_a_step_by_the_mean_activity_of_its_calls(seed):
    module = dk.nn.HomeostaticDropout(4, target=0.2, rate=0.3, speed=0.1)
    with dk.random.stream(seed) as stream:
        module(X)
        module(torch.ones(10, 4))
        assert torch.equal(module.rates, torch.full((4,), 0.3))
        stream.advance()
        module(X)
        moved = module.rates.clone()
        module(X)
        assert torch.equal(module.rates, moved)
    torch.testing.assert_close(moved, 0.3 + 0.1 * (0.7 * (FIRING + 1) / 2 - 0.2))


def test_the_mask_is_dropout_at_the_rates_of_the_units(seed):
    module, x = dk.nn.HomeostaticDropout(4, site="a"), torch.linspace(1, 2, 4000).view(1000, 4)
    with torch.no_grad():
        module.rates.copy_(torch.tensor([0.0, 0.2, 0.5, 0.9]))
    with dk.random.stream(seed):
        y = module(x)
    with dk.random.stream(seed):
        assert torch.equal(y, dk.ops.dropout(x, module.rates, training=True, site="a"))


def test_positions_of_a_map_are_samples_of_the_activity():
    module = dk.nn.HomeostaticDropout(4, target=0.2, rate=0.3, speed=0.1, axis=-1)
    maps = X.view(10, 5, 2, 4)
    module(maps)
    module(maps)
    torch.testing.assert_close(module.rates, 0.3 + 0.1 * (0.7 * FIRING - 0.2))


@pytest.mark.parametrize("how", ["eval", "no_grad", "inference", "vmap"])
def test_predictions_move_nothing(how, seed):
    module = dk.nn.HomeostaticDropout(4, rate=0.5)
    module(X)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    if how == "eval":
        module.eval()(X)
    elif how == "vmap":
        torch.vmap(module, randomness="different")(torch.stack([X] * 3))
    else:
        with torch.no_grad() if how == "no_grad" else torch.inference_mode():
            module(X)
            module(X)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_recomputation_has_the_rates_of_its_forward(reentrant, seed):
    """Two calls in one step: were rates to move between them, the first would be recomputed with other masks."""

    def run(wrap):
        module = dk.nn.HomeostaticDropout(4, rate=0.5, speed=1.0)
        x = X.clone().requires_grad_()
        with dk.random.stream(seed) as stream:
            module(X)
            stream.advance()
            y = wrap(lambda v: module(v).sin(), x) + wrap(lambda v: module(v).cos(), x)
            (y.sum() + module(torch.ones(10, 4)).sum()).backward()
            stream.advance()
            module(-X)  # moves by what the step before has recorded, once
        return x.grad, module.rates

    plain, rates = run(lambda f, v: f(v))
    again, others = run(lambda f, v: checkpoint(f, v, use_reentrant=reentrant))
    assert torch.equal(again, plain)
    assert torch.equal(others, rates)


def test_rates_are_saved():
    module, other = dk.nn.HomeostaticDropout(4, rate=0.5), dk.nn.HomeostaticDropout(4)
    for _ in range(3):
        module(X)
    other.load_state_dict(module.state_dict())
    assert torch.equal(other.rates, module.rates)
    assert not list(module.parameters())


def test_it_refuses_what_it_cannot_use():
    with pytest.raises(OptionError, match=r"target must be in \[0, 1\], got 1.5"):
        dk.nn.HomeostaticDropout(4, target=1.5)
    with pytest.raises(OptionError, match="speed must be positive and finite, got 0"):
        dk.nn.HomeostaticDropout(4, speed=0.0)
    with pytest.raises(OptionError, match=r"rate must be at most the limit 0.5, got 0.6"):
        dk.nn.HomeostaticDropout(4, rate=0.6, limit=0.5)
    with pytest.raises(RateError, match=r"limit must be in \[0, 1\], got 2"):
        dk.nn.HomeostaticDropout(4, limit=2.0)
    with pytest.raises(ShapeError, match=r"has 4 units along axis 1, got an input of shape \(2, 3\)"):
        dk.nn.HomeostaticDropout(4)(torch.ones(2, 3))
