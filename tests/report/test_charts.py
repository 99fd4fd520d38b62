import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropkit.report.charts import Axis

finite = st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-6)


@given(st.lists(finite, min_size=1, max_size=6))
def test_every_value_has_its_place_in_order_inside_the_picture(values):
    axis = Axis.over(values)
    places = [float(axis.at(x).rstrip("%")) for x in sorted(values)]
    assert places == sorted(places)
    assert 0 < places[0] <= places[-1] < 100


@given(finite, st.floats(1e-6, 1e6))
def test_ticks_are_few_round_and_inside(low, width):
    axis = Axis(low, low + width)
    if axis.low == axis.high:
        return
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 6
    slack = 1e-6 * width
    assert all(axis.low - slack <= tick <= axis.high + slack for tick in ticks)


def test_ticks_are_the_numbers_that_people_expect():
    assert Axis(-0.02, 0.003).ticks() == pytest.approx([-0.02, -0.01, 0.0], abs=1e-12)
    assert Axis(0.0, 1.0).ticks() == pytest.approx([0.0, 0.25, 0.5, 0.75, 1.0])
    assert Axis(3.0, 27.0).ticks() == pytest.approx([10.0, 20.0])


def test_ends_are_at_the_margins_and_what_is_beyond_is_clipped():
    axis = Axis(0.0, 10.0)
    assert [axis.at(x) for x in (0.0, 5.0, 10.0, -3.0, 99.0)] == [
        "4.00%",
        "50.00%",
        "96.00%",
        "4.00%",
        "96.00%",
    ]


@pytest.mark.parametrize("values", [[], [None], [math.inf], [2.0], [0.0, 0.0]])
def test_an_axis_is_never_empty(values):
    axis = Axis.over(values)
    assert axis.low < axis.high
