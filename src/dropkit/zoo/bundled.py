"""The data sets that come inside scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core import DataError
from dropkit.zoo.source import Source

BUNDLED = ("breast-cancer", "digits")


def load_bundled(name: str) -> Source:
    """Return ``digits`` (1797 images of 8x8, 10 classes) or ``breast-cancer`` (569 rows of 30 columns, 2 classes).

    Raises:
        DataError: scikit-learn is not installed.

    Reference:
        Alpaydin and Kaynak, "Optical recognition of handwritten digits", and Wolberg et al., "Breast cancer
        Wisconsin (diagnostic)", UCI Machine Learning Repository.
    """
    try:
        from sklearn import datasets  # half a second, needed only here
    except ImportError:
        raise DataError(
            f"{name} comes with scikit-learn, which is not here: pip install 'dropkit[zoo]'"
        ) from None
    bunch: Any = datasets.load_digits() if name == "digits" else datasets.load_breast_cancer()
    labels = bunch.target.astype(np.int64)
    common: dict[str, Any] = {
        "name": name,
        "task": "classification",
        "y": labels,
        "outputs": len(bunch.target_names),
        "class_names": tuple(str(label) for label in bunch.target_names),
        "sizes": (len(labels), 0, 0),
    }
    if name == "digits":  # 797 for testing; 0.2 of the other 1000 are 200 for validation, 800 for training
        return Source(x=bunch.data.reshape(-1, 1, 8, 8), scaling=16.0, image=True, test=797, **common)
    return Source(x=bunch.data, scaling="standardise", **common)
