import numpy as np
import pytest
import torch

from dropkit.core import RateError, called_rate, check_rate, whole_number


@pytest.mark.parametrize("rate", [0, 0.0, 0.25, 1, 1.0])
def test_a_legal_rate_comes_back_as_a_float(rate):
    value = check_rate(rate)
    assert value == rate
    assert type(value) is float


@pytest.mark.parametrize("rate", [-0.1, 1.7, float("nan"), float("inf")])
def test_a_rate_out_of_range_is_named(rate):
    with pytest.raises(RateError, match=r"rate must be in \[0, 1\], got") as caught:
        check_rate(rate)
    assert repr(rate) in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("rate", ["half", "0.5", True, None, [0.5]])
def test_something_else_than_a_number_is_refused_under_its_name(rate):
    with pytest.raises(RateError, match=r"keep must be a number in \[0, 1\], got"):
        check_rate(rate, "keep")


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.int32(3)])
def test_a_whole_number_of_any_integral_type_comes_back_as_an_int(value):
    found = whole_number(value)
    assert found == 3
    assert type(found) is int


@pytest.mark.parametrize(
    "value", [True, np.bool_(True), 3.0, np.float64(3), "3", None, torch.tensor(3), torch.tensor(True), [3]]
)
def test_nothing_else_is_a_whole_number(value):
    assert whole_number(value) is None


@pytest.mark.parametrize("name", ["p", "dropout_rate", "drop_prob"])
def test_other_libraries_names_for_a_rate_are_known(name):
    assert called_rate(name) == f"{name!r} is called rate here: the probability of dropping"


def test_a_probability_of_keeping_is_turned_round():
    assert called_rate("keep_prob").endswith("give rate, the probability of dropping: 1 - keep_prob")
    assert called_rate("rat") is None
