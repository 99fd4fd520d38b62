"""Statistical checks with the suite's false-alarm budget."""

import torch
from scipy import stats

FALSE_ALARM = 1e-6  # per statistical assertion: changing seeds must not redden CI


def assert_frequency(hits: torch.Tensor, probability: float) -> None:
    """Each element of a boolean tensor is an independent hit with the given probability."""
    assert hits.dtype == torch.bool
    assert hits.numel() >= 1000
    result = stats.binomtest(int(hits.sum()), hits.numel(), probability)
    assert result.pvalue > FALSE_ALARM, result


def assert_independent(a: torch.Tensor, b: torch.Tensor, probability: float) -> None:
    """Two boolean tensors of equal hit probability agree as often as independent ones do."""
    assert_frequency(a == b, probability**2 + (1 - probability) ** 2)
