"""Laws of dropkit.nn.plastic.evidence, against the rule written as loops."""

import pytest
import torch
from torch import nn

import dropkit as dk
from dropkit.core import ModuleError, ShapeError
from dropkit.nn.plastic.evidence import evidence


def by_hand(weight, inputs, winning):
    """Return what one linear layer passes down, unit by unit."""
    passed = torch.zeros_like(inputs)
    for sample, a in enumerate(inputs):
        for out, row in enumerate(weight):
            drive = [max(w, 0.0) * max(v, 0.0) for w, v in zip(row.tolist(), a.tolist(), strict=True)]
            if sum(drive) > 0:
                for unit, part in enumerate(drive):
                    passed[sample, unit] += winning[sample, out] * part / sum(drive)
    return passed


def test_linear_layers_pass_probability_on_by_weight_and_activation(rng):
    inner, outer = nn.Linear(5, 40), nn.Linear(40, 3)
    x = torch.randn(6, 5, generator=rng)  # what is negative drives nobody
    target = torch.tensor([0, 1, 2, 0, 1, 2])
    hidden = inner(x).relu()
    expected = by_hand(
        inner.weight, x, by_hand(outer.weight, hidden, nn.functional.one_hot(target, 3).float())
    )
    got = evidence(nn.Sequential(inner, nn.ReLU(), outer), x, target)
    torch.testing.assert_close(got, expected)
    assert got.std() > 0
    dropping = nn.Sequential(inner, nn.ReLU(), nn.Dropout(0.9), dk.nn.Dropout(0.9), nn.Sequential(outer))
    torch.testing.assert_close(evidence(dropping, x, target), expected)


def test_without_a_target_it_is_that_of_the_predicted_class(rng):
    head, x = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)), torch.rand(6, 5, generator=rng)
    assert torch.equal(evidence(head, x), evidence(head, x, head(x).argmax(1)))


def test_it_sums_to_one_through_convolution_and_pooling(rng):
    head = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(3, 4, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.abs_()
    got = evidence(head, torch.rand(5, 2, 6, 6, generator=rng) + 0.1)
    torch.testing.assert_close(got.flatten(1).sum(1), torch.ones(5))
    assert (got >= 0).all()
    assert got.std() > 0


def test_it_goes_to_the_units_that_the_class_was_read_from():
    head = nn.Linear(4, 2, bias=False)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0, 1.0, 0.0, -5.0], [0.0, 0.0, 1.0, 0.0]]))
    x = torch.tensor([[3.0, 1.0, 9.0, 0.1]])
    torch.testing.assert_close(evidence(head, x, torch.tensor([0])), torch.tensor([[0.75, 0.25, 0.0, 0.0]]))
    torch.testing.assert_close(evidence(head, x), torch.tensor([[0.0, 0.0, 1.0, 0.0]]))


def test_it_refuses_what_it_cannot_use():
    with pytest.raises(
        ModuleError, match="of linear, convolution, pooling, flatten and activation layers, got BatchNorm1d"
    ):
        evidence(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)), torch.ones(2, 3))
    with pytest.raises(ShapeError, match=r"needs class scores \(N, classes\), got \(2, 4, 3\)"):
        evidence(nn.Linear(3, 3), torch.ones(2, 4, 3))
