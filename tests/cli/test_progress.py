"""What a study shows while it works."""

import io

import pytest
from rich.console import Console

from dropkit.cli import progress
from dropkit.cli.progress import Bars, Clock, Lines, duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1 s"),
        (8.4, "8 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (3599.7, "1 h 0 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations_are_for_people(seconds, text):
    assert duration(seconds) == text


def test_the_time_left_is_estimated_then_measured(monkeypatch):
    now = 100.0
    monkeypatch.setattr(progress, "monotonic", lambda: now)
    clock = Clock(runs=10, kept=2, seconds=80.0)
    assert clock.left() == 80.0
    now += 10.0
    assert clock.left() == 70.0
    clock.note("a", 1.0)
    clock.note("b", 0.5)
    clock.note("b", 1.0)
    now += 10.0
    assert clock.left() == pytest.approx(60.0)  # two of eight took 20 s


def tell(observer):
    observer.begin(4, 1, 90.0)
    observer.standing("so far, error on validation against none: hidden -0.1 (2 seeds)")
    observer.started("none--0")
    observer.started("hidden--0")
    observer.epoch("none--0", 3, 8, 0.25)
    observer.epoch("hidden--0", 1, 8, 0.5)


def test_a_terminal_shows_a_bar_for_the_study_and_each_run_with_time_and_standing():
    screen = io.StringIO()
    bars = Bars(Console(file=screen, force_terminal=True, width=100, color_system=None))
    tell(bars)
    bars._live.refresh()
    shown = screen.getvalue()
    for word in (
        "study",
        "1/4",
        "none--0",
        "3/8",
        "validation 0.25",
        "hidden--0",
        "1/8",
        "about",
        "left",
        "hidden -0.1",
    ):
        assert word in shown
    screen.truncate(0)
    bars.ended("none--0", "ok", None)
    bars.ended("hidden--0", "failed", "RuntimeError: [red] is no colour here")
    bars._live.refresh()
    assert "3/4" in screen.getvalue()
    assert "hidden--0: RuntimeError: [red] is no colour here" in screen.getvalue()
    screen.truncate(0)
    bars.asking(["none--0", "hidden--0"])
    bars._live.refresh()
    assert "asking none--0 and hidden--0 how sure they are" in screen.getvalue()
    assert "left" not in screen.getvalue()
    bars.end()
    assert screen.getvalue().endswith("\x1b[2K") or "\x1b[?25h" in screen.getvalue()  # the cursor is back


def test_elsewhere_there_is_a_line_a_run(capsys):
    lines = Lines()
    tell(lines)
    lines.ended("none--0", "ok", None)
    lines.ended("hidden--0", "failed", "RuntimeError: no")
    lines.asking(["none--0", "hidden--0"])
    lines.end()
    out, err = capsys.readouterr()
    assert out == ""
    first, second, third, fourth = err.splitlines()
    assert fourth == "asking none--0 and hidden--0 how sure they are of each test example"
    assert first == "4 runs, 1 done before; about 1 min 30 s"
    assert second.startswith("[2/4] none--0: ok, validation 0.25; about ")
    assert third.startswith("[3/4] hidden--0: RuntimeError: no; about ")
