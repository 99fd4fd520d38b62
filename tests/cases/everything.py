"""One model that holds a case of every family."""

import torch
from torch import nn

import dropkit as dk
from tests.cases import (
    attention,
    functional,
    graphs,
    host,
    images,
    odd,
    paths,
    recurrent,
    torch_modules,
    wrapped,
)
from tests.cases.case import Case, seeded

PARTS = [
    case
    for family in (
        torch_modules, functional, attention, recurrent, paths, graphs, images, wrapped, odd, host,
    )
    for case in family.CASES
    if case.name != "dropkit"  # whose unnamed ops keep the order of their calls
]  # fmt: skip


class Everything(nn.Module):
    """Runs each part on its own example, and adds up what they return."""

    def __init__(self, parts):
        super().__init__()
        self.parts = nn.ModuleList([case.make() for case in parts])
        self.cases = parts

    def forward(self, x):
        total = x.sum()
        for case, part in zip(self.cases, self.parts, strict=True):
            total = total + added(case.call(part))
        return total.reshape(1)


def added(value):
    """Add up every floating-point tensor in what a model returned."""
    leaves = torch.utils._pytree.tree_leaves(value)
    return sum(leaf.double().square().sum() for leaf in leaves if isinstance(leaf, torch.Tensor))


def inside(name, id):
    module, colon, function = id.partition(":")
    return f"{name}.{module}".rstrip(".") + colon + function


CASES = [
    Case(
        "everything",
        seeded(lambda: Everything(PARTS)),
        (torch.zeros(2),),
        {
            inside(f"parts.{i}", id): planted
            for i, case in enumerate(PARTS)
            for id, planted in case.sites.items()
        },
        (dk.Rule(at="input"), dk.Rule(at="hidden", rate=0.2)),
        refused=".",
        host=True,
    )
]
