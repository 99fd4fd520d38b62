"""Contestants take turns, and a figure is the median of ratios within a turn."""

import pytest

from dropkit.cli.bench import turns
from dropkit.cli.bench.turns import take_turns


class World:
    """A clock that only contestants move."""

    def __init__(self, monkeypatch):
        self.now, self.order = 0.0, []
        monkeypatch.setattr(turns.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(turns.time, "thread_time", lambda: self.now)

    def contestant(self, name, seconds, late=()):
        """Return a loop that takes ``seconds`` a call, ten times that in the runs listed in ``late``."""
        runs = 0

        def loop(times):
            nonlocal runs
            self.order.append((name, times))
            self.now += times * seconds * (10.0 if runs in late else 1.0)
            runs += 1

        return loop


@pytest.fixture
def world(monkeypatch):
    return World(monkeypatch)


@pytest.mark.parametrize("threads", [1, 2])
def test_ratios_are_against_the_first(world, threads):
    found = take_turns(
        {"x * c": world.contestant("x * c", 0.5), "other": world.contestant("other", 1.25)},
        repetitions=3,
        threads=threads,
    )
    assert found.ratio == {"x * c": 1.0, "other": pytest.approx(2.5)}
    assert found.seconds == {"x * c": pytest.approx(0.5), "other": pytest.approx(1.25)}
    assert found.repetitions == 3


def test_a_disturbance_of_some_turns_changes_nothing(world):
    late = {3, 5}  # two of the five turns, after two runs that warm up
    found = take_turns(
        {"x * c": world.contestant("x * c", 0.5), "other": world.contestant("other", 1.0, late)},
        repetitions=5,
        threads=1,
    )
    assert found.ratio["other"] == pytest.approx(2.0)


def test_another_one_begins_each_turn(world):
    take_turns({name: world.contestant(name, 1.0) for name in "abc"}, repetitions=3, threads=1)
    measured = [name for name, times in world.order[6:]]
    assert measured == list("abc" + "bca" + "cab")


def test_a_quick_call_is_repeated_until_it_fills_a_turn(world):
    found = take_turns(
        {"quick": world.contestant("quick", turns.TURN_SECONDS / 50)}, repetitions=1, threads=1
    )
    assert world.order[-1][1] in (49, 50)
    assert found.seconds["quick"] == pytest.approx(turns.TURN_SECONDS / 50)
