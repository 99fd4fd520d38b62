import numpy as np
import pytest


@pytest.fixture
def numbers() -> np.random.Generator:
    """A private generator: no test may depend on, or disturb, global random state."""
    return np.random.default_rng(0)
