"""What the metrics of this room have in common: which way is better, and how they differ between parts."""

from collections.abc import Mapping
from types import MappingProxyType

from dropkit.core import DataError

#: Whether a larger value of a scalar metric is the better one.
LARGER_IS_BETTER: Mapping[str, bool] = MappingProxyType(
    {
        "accuracy": True,
        "error": False,
        "nll": False,
        "brier": False,
        "ece": False,
        "macro_precision": True,
        "macro_recall": True,
        "macro_f1": True,
        "rmse": False,
        "mae": False,
        "r2": True,
    }
)

#: Scalar metrics in [0, 1], which people read as percentages.
SHARES = frozenset({"accuracy", "error", "macro_precision", "macro_recall", "macro_f1", "ece"})


def generalisation_gap(train: Mapping[str, float], test: Mapping[str, float]) -> dict[str, float]:
    """Return ``train - test`` of every metric that both hold.

    An over-fitted model has a positive gap where larger is better and a negative one where smaller is.

    Raises:
        DataError: The two have no metric in common.
    """
    common = [name for name in train if name in test]
    if not common:
        raise DataError(f"no metric in common: train has {sorted(train)}, test has {sorted(test)}")
    return {name: train[name] - test[name] for name in common}
