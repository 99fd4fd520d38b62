import pytest

from dropkit.core import RateError, check_rate


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
