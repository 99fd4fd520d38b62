import pytest
import torch

from dropkit.core import DataError
from dropkit.infer import geometric_mean


def test_products_of_powers(rng):
    p = torch.rand(5, 4, 3, generator=rng, dtype=torch.float64).softmax(-1)
    product = p.prod(0) ** (1 / 5)
    torch.testing.assert_close(geometric_mean(p), product / product.sum(-1, keepdim=True))
    w = torch.tensor([1.0, 0.0, 2.0, 0.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(geometric_mean(p, w), geometric_mean(p[[0, 2, 2, 4]]))


def test_a_class_that_a_member_rules_out_is_ruled_out():
    p = torch.tensor([[0.0, 0.5, 0.5], [0.4, 0.4, 0.2]])
    got = geometric_mean(p)
    assert got[0] == 0
    torch.testing.assert_close(got.sum(), torch.tensor(1.0))
    torch.testing.assert_close(geometric_mean(p, torch.tensor([0.0, 1.0])), p[1])
    assert geometric_mean(torch.eye(2)).isnan().all()


@pytest.mark.parametrize(
    ("p", "w", "text"),
    [
        (torch.ones(3), None, r"must be floating point of shape \(T, \*, C\)"),
        (torch.ones(0, 3), None, "T >= 1"),
        (torch.ones(2, 3), torch.ones(3), "weights must be 2 numbers"),
        (torch.ones(2, 3), torch.tensor([1.0, -1.0]), "at least 0"),
        (torch.ones(2, 3), torch.zeros(2), "positive sum"),
        (torch.tensor([[0.5, -0.5]]), None, r"must be in \[0, 1\]; of logits take softmax"),
        (torch.full((2, 3), torch.nan), None, "must be in"),
    ],
)
def test_bad_input(p, w, text):
    with pytest.raises(DataError, match=text):
        geometric_mean(p, w)
