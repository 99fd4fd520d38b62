"""Laws of dropkit.nn.QuantalSynapticDilution."""

import numpy as np
import pytest
import torch
from scipy import stats

import dropkit as dk
from dropkit.core import OptionError, RateError
from dropkit.random import Schedule
from tests.laws import assert_frequency


class Ramp(Schedule):
    def at(self, step):
        return step / 8


@pytest.mark.parametrize("rate", [0.2, 0.5])
@pytest.mark.parametrize("concentration", [2.0, 50.0])
def test_units_release_by_quantiles_of_a_beta_distribution(rate, concentration):
    module = dk.nn.QuantalSynapticDilution(rate, features=101, concentration=concentration)
    release = 1 - module.rates.double().numpy()
    law = stats.beta(concentration * (1 - rate), concentration * rate)
    expected = law.ppf((np.arange(101) + 0.5) / 101)
    np.testing.assert_allclose(np.sort(release), expected, rtol=1e-4, atol=1e-5)
    assert abs(module.rates.mean().item() - rate) < 0.01
    assert not np.array_equal(np.sort(release), release)  # neighbours do not release alike


def test_each_unit_is_silent_at_its_rate(seed):
    module = dk.nn.QuantalSynapticDilution(0.5, features=4, concentration=3.0)
    with dk.random.stream(seed):
        y = module(torch.ones(5000, 4, 6))
    for unit, rate in enumerate(module.rates.tolist()):
        assert_frequency(y[:, unit] == 0, rate)
    assert module.rates.max() > 2 * module.rates.min()


def test_a_new_rate_is_spread_again_and_saved():
    module = dk.nn.QuantalSynapticDilution(0.5, features=7)
    module.rate = 0.2
    assert module.rate == 0.2
    torch.testing.assert_close(module.rates, dk.nn.QuantalSynapticDilution(0.2, features=7).rates)
    other = dk.nn.QuantalSynapticDilution(0.9, features=7)
    other.load_state_dict(module.state_dict())
    assert torch.equal(other.rates, module.rates)
    module.rate = 1.0
    assert torch.equal(module.rates, torch.ones(7))
    assert not module(torch.ones(3, 7)).any()


def test_it_refuses_what_it_cannot_use():
    module = dk.nn.QuantalSynapticDilution(0.5, features=7)
    with pytest.raises(RateError, match=r"rate must be a number in \[0, 1\], got"):
        module.rate = Ramp()
    assert module.rate == 0.5
    with pytest.raises(OptionError, match="concentration must be positive and finite, got 0"):
        dk.nn.QuantalSynapticDilution(0.5, concentration=0.0)
    with pytest.raises(OptionError, match="shape must be a whole number"):
        dk.nn.QuantalSynapticDilution(0.5, shape=0)
