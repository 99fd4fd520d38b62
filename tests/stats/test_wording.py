"""The sentence of a comparison, in the unit of the results or in percentage points."""

import pytest

from dropkit import stats
from dropkit.stats.wording import Finding

HELPED = {
    "treatment": "hidden",
    "baseline": "none",
    "metric": "error",
    "verdict": "helped",
    "difference": -0.0144,
    "low": -0.0177,
    "high": -0.0112,
    "level": 0.95,
    "sd": 0.004,
    "p": 3.3e-6,
    "family": 2,
    "n": 10,
    "overlapping": False,
    "degenerate": False,
}
INF = float("inf")


def said(points=False, **changes):
    return Finding(**(HELPED | changes)).sentence(points=points)


def test_the_unit_is_that_of_the_results():
    assert said() == (
        "hidden helped: error was 0.0144 lower than with none (95 % interval of the difference -0.0177 to -0.0112, "
        "Holm-adjusted p = 3.3e-06, 10 paired seeds)."
    )


def test_a_share_can_be_told_in_points_all_through():
    assert said(points=True) == (
        "hidden helped: error was 1.44 percentage points lower than with none (95 % interval of the difference -1.77 "
        "to -1.12, Holm-adjusted p = 3.3e-06, 10 paired seeds)."
    )


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"verdict": "no difference", "low": -0.02, "high": 0.01},
            "hidden against none, error: no difference larger than 2 percentage points found (95 % interval of the "
            "difference -2 to 1, ",
        ),
        (
            {"verdict": "no difference", "low": -INF, "high": INF, "degenerate": True, "family": 1},
            "no difference established, though it was -1.44 percentage points in every pair: without spread no limit "
            "can be given (the same difference in every pair, sign-flip p = 3.3e-06, 10 paired seeds).",
        ),
        (
            {"verdict": "no difference", "low": 0.0, "high": 0.0, "sd": 0.0, "difference": 0.0, "p": 1.0},
            "no difference larger than 0 percentage points found (both are equal in every pair, Holm-adjusted p = 1, ",
        ),
        ({"overlapping": True}, "10 paired splits, corrected for their overlap)."),
        (
            {"difference": 0.0144, "verdict": "hurt"},
            "hidden hurt: error was 1.44 percentage points higher than",
        ),
    ],
)
def test_the_other_cases(changes, text):
    assert text in said(points=True, **changes)


def test_a_comparison_says_it_in_its_own_unit():
    found = stats.compare(
        [0.031, 0.029, 0.035], [0.021, 0.022, 0.024], names=("none", "hidden"), metric="error"
    )
    assert "points" not in found.sentence
    assert f"{abs(found.difference):.3g}" in found.sentence
