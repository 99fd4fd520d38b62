"""The rate of every schedule at chosen steps, and what each refuses."""

import math

import pytest

import dropkit as dk
from dropkit.core import OptionError, RateError
from dropkit.nn import (
    AnnealedSchedule,
    ByEpoch,
    CallableSchedule,
    CosineSchedule,
    CurriculumSchedule,
    EarlyDropout,
    LateDropout,
    LinearSchedule,
)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (LinearSchedule(0.2, 0.6, 4), {0: 0.2, 1: 0.3, 2: 0.4, 4: 0.6, 5: 0.6, 1000: 0.6}),
        (LinearSchedule(1.0, 0.0, 3), {0: 1.0, 1: 2 / 3, 3: 0.0, 4: 0.0}),
        (CosineSchedule(0.2, 0.6, 4), {0: 0.2, 2: 0.4, 4: 0.6, 9: 0.6, 1: 0.6 - 0.2 * (1 + math.sqrt(0.5))}),
        (AnnealedSchedule(0.5, 10), {0: 0.5, 1: 0.45, 5: 0.25, 10: 0.0, 11: 0.0}),
        (CurriculumSchedule(0.5, 0.1), {0: 0.0, 10: 0.5 * (1 - math.exp(-1)), 10_000: 0.5}),
        (EarlyDropout(0.4, 4), {0: 0.4, 1: 0.3, 3: 0.1, 4: 0.0, 9: 0.0}),
        (EarlyDropout(0.4, 4, "constant"), {0: 0.4, 3: 0.4, 4: 0.0}),
        (LateDropout(0.4, 4), {0: 0.0, 3: 0.0, 4: 0.4, 99: 0.4}),
        (CallableSchedule(lambda step: step / 8), {0: 0.0, 2: 0.25, 8: 1.0}),
        (ByEpoch(LinearSchedule(0.0, 0.5, 5), 3), {0: 0.0, 2: 0.0, 3: 0.1, 5: 0.1, 6: 0.2, 14: 0.4, 15: 0.5}),
    ],
    ids=lambda v: type(v).__name__,
)
def test_the_rate_at_a_step(schedule, expected):
    assert {step: schedule.at(step) for step in expected} == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("kind", [LinearSchedule, CosineSchedule])
def test_no_rounding_leaves_the_interval(kind):
    for start, end in ((0.0, 1.0), (1.0, 0.0), (0.3, 0.3), (0.1, 0.7)):
        schedule = kind(start, end, 7)
        for step in range(9):
            schedule.checked(step)
        assert (schedule.at(0), schedule.at(7)) == (start, end)


def test_curriculum_keeps_by_the_papers_formula():
    schedule = CurriculumSchedule(0.5, 0.03)
    for step in (0, 1, 17, 400):
        assert 1 - schedule.at(step) == pytest.approx((1 - 0.5) * math.exp(-0.03 * step) + 0.5)


def test_rates_grow_with_depth():
    assert dk.nn.linear_by_depth(4, 0.5) == [0.125, 0.25, 0.375, 0.5]
    assert dk.nn.linear_by_depth(1, 0.5) == [0.5]
    assert dk.nn.LinearByDepth(0.5).rates(4) == [0.125, 0.25, 0.375, 0.5]
    assert dk.nn.LinearByDepth(0.6, from_zero=True).rates(4) == pytest.approx([0.0, 0.2, 0.4, 0.6])
    assert dk.nn.LinearByDepth(0.6, from_zero=True).rates(1) == [0.6]


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: LinearSchedule(-0.1, 0.5, 3), RateError, r"start must be in \[0, 1\], got -0.1"),
        (lambda: LinearSchedule(0.1, 1.5, 3), RateError, r"end must be in \[0, 1\], got 1.5"),
        (
            lambda: LinearSchedule(0.1, 0.5, 0),
            OptionError,
            "steps must be a whole number of at least 1, got 0",
        ),
        (lambda: CosineSchedule(0.1, 0.5, 2.5), OptionError, "steps must be a whole number"),
        (lambda: CosineSchedule(0.1, float("nan"), 2), RateError, "end must be"),
        (lambda: CosineSchedule(2, 0.5, 2), RateError, "start must be"),
        (lambda: AnnealedSchedule(1.5, 3), RateError, "rate must be"),
        (lambda: AnnealedSchedule(0.5, True), OptionError, "steps must be"),
        (lambda: CurriculumSchedule(0.5, 0.0), OptionError, "gamma must be a finite number above 0, got 0.0"),
        (lambda: CurriculumSchedule(1.5, 0.1), RateError, "rate must be"),
        (
            lambda: EarlyDropout(0.5, 3, "round"),
            OptionError,
            "shape must be 'linear' or 'constant', got 'round'",
        ),
        (lambda: EarlyDropout(0.5, 0), OptionError, "steps must be"),
        (lambda: EarlyDropout(1.5, 3), RateError, "rate must be"),
        (lambda: LateDropout(0.5, -1), OptionError, "steps must be"),
        (lambda: LateDropout(1.5, 3), RateError, "rate must be"),
        (lambda: CallableSchedule(0.5), OptionError, "function must be callable with a step, got 0.5"),
        (lambda: ByEpoch(0.5, 3), OptionError, "schedule must be a Schedule, got 0.5"),
        (lambda: ByEpoch(LateDropout(0.5, 1), 0), OptionError, "steps_per_epoch must be"),
        (lambda: dk.nn.linear_by_depth(0, 0.5), OptionError, "layers must be a whole number"),
        (lambda: dk.nn.linear_by_depth(2, 1.5), RateError, "rate must be"),
        (lambda: dk.nn.LinearByDepth(1.5), RateError, "rate must be"),
        (lambda: dk.nn.LinearByDepth(0.5, "yes"), OptionError, "from_zero must be True or False, got 'yes'"),
        (lambda: dk.nn.LinearByDepth(0.5, from_zero=True).rates(0), OptionError, "layers must be"),
    ],
)
def test_illegal_numbers_are_named(make, error, text):
    with pytest.raises(error, match=text):
        make()
