import pytest

from dropkit.report import numbers as n


@pytest.mark.parametrize(
    ("metric", "number", "text"),
    [
        ("error", 0.02409, "2.41 %"),
        ("accuracy", 1.0, "100.00 %"),
        ("nll", 0.123456, "0.1235"),
        ("rmse", 12345.6, "1.235e+04"),
        ("r2", -0.5, "−0.5"),  # noqa: RUF001
        ("error", None, "–"),  # noqa: RUF001
    ],
)
def test_values(metric, number, text):
    assert n.value(metric, number) == text


@pytest.mark.parametrize(
    ("metric", "number", "text"),
    [
        ("error", -0.0108, "−1.08"),  # noqa: RUF001
        ("accuracy", 0.01, "+1.00"),
        ("rmse", 0.04, "+0.0400"),
        ("rmse", 123.4, "+123"),
        ("rmse", None, "–"),  # noqa: RUF001
    ],
)
def test_changes_have_a_sign(metric, number, text):
    assert n.change(metric, number) == text


def test_an_interval_may_be_open():
    assert n.interval("error", -0.01, 0.02) == "[−1.00, +2.00]"  # noqa: RUF001
    assert n.interval("error", None, 0.02) == "[−∞, +2.00]"  # noqa: RUF001
    assert n.interval("error", None, None) == n.NOTHING


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (1.0, "1"),
        (0.99, "0.99"),
        (0.0432, "0.043"),
        (0.0001, "0.0001"),
        (9e-5, "< 0.0001"),
        (0.0, "< 0.0001"),
    ],
)
def test_probabilities_never_round_to_zero(p, text):
    assert n.probability(p) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 µs"),
        (2.5e-5, "25 µs"),
        (1.1e-3, "1.1 ms"),
        (3.14159, "3.14 s"),
        (150, "2.5 min"),
        (7200, "2 h"),
        (None, n.NOTHING),
    ],
)
def test_durations(seconds, text):
    assert n.duration(seconds) == text


def test_counts():
    assert [n.count(number, "run") for number in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]
