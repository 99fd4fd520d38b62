import numpy as np
import pytest


@pytest.fixture
def numbers(seed) -> np.random.Generator:
    return np.random.default_rng(seed)
