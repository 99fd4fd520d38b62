"""How a report writes numbers: as few digits as say something, shares as percentages, a true minus sign."""

from __future__ import annotations

from dropkit.stats import SHARES

_LABELS = {
    "nll": "NLL",
    "ece": "ECE",
    "brier": "Brier score",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
    "log_likelihood": "log-likelihood",
    "macro_precision": "macro precision",
    "macro_recall": "macro recall",
    "macro_f1": "macro F1",
}
NOTHING, MINUS, _TIMES = "\N{EN DASH}", "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"


def label(metric: str) -> str:
    """Return the name of a metric as people write it."""
    return _LABELS.get(metric, metric.replace("_", " "))


def is_share(metric: str) -> bool:
    """Whether ``metric`` is in ``[0, 1]`` and shown as a percentage."""
    return metric in SHARES


def value(metric: str, number: float | None, *, unit: bool = True) -> str:
    """Return ``0.0241`` of the error as ``2.41 %``, and of anything else as ``0.0241``."""
    if number is None:
        return NOTHING
    if is_share(metric):
        return _minus(f"{100 * number:.2f}") + (" %" if unit else "")
    return plain(number)


def change(metric: str, number: float | None) -> str:
    """Return a difference with its sign, that of a share in percentage points."""
    if number is None:
        return NOTHING
    return _minus(f"{100 * number:+.2f}" if is_share(metric) else f"{number:+#.3g}".rstrip("."))


def change_unit(metric: str) -> str:
    """Return the unit of :func:`change`, or nothing."""
    return "points" if is_share(metric) else ""


def interval(metric: str, low: float | None, high: float | None) -> str:
    """Return ``[low, high]`` as differences; a side that is missing is infinite."""
    left = change(metric, low) if low is not None else f"{MINUS}∞"
    right = change(metric, high) if high is not None else "+∞"
    return NOTHING if low is None and high is None else f"[{left}, {right}]"


def plain(number: float | None) -> str:
    """Return four significant digits."""
    return NOTHING if number is None else _minus(f"{number:.4g}")


def probability(number: float | None) -> str:
    """Return a p-value with two significant digits, and no more zeros than anyone reads."""
    if number is None:
        return NOTHING
    return "< 0.0001" if number < 0.0001 else f"{number:.2g}" if number < 0.995 else "1"


def times(ratio: float | None) -> str:
    """Return a ratio: ``1.22`` and a multiplication sign."""
    return NOTHING if ratio is None else f"{ratio:.2f}{_TIMES}"


def duration(seconds: float | None) -> str:
    """Return a duration in the unit that suits it."""
    if seconds is None:
        return NOTHING
    for limit, size, unit in (
        (1e-3, 1e-6, "µs"),
        (1.0, 1e-3, "ms"),
        (120.0, 1.0, "s"),
        (7200.0, 60.0, "min"),
    ):
        if seconds < limit:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 3600:.3g} h"


def count(number: int, noun: str) -> str:
    """Return ``1 run`` or ``2 runs``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _minus(text: str) -> str:
    return text.replace("-", MINUS)
