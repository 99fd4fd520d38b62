"""One model that holds a case of every family."""

import torch
from torch import nn

import dropkit as dk
from tests.cases import (
    attention,
    functional,
    graphs,
    host,
    hugging_face,
    images,
    odd,
    paths,
    recurrent,
    torch_modules,
    wrapped,
)
from tests.cases.case import Case, seeded

_NAMES = (
    "nested", "shared", "functional", "helper", "sdpa", "multi-head-attention-weights", "encoder-layer", "lstm",
    "bert-sdpa", "llama-eager", "timm-drop-path", "torchvision-drop-block", "gcn", "ccexam-mnist", "ccexam-svhn",
    "compiled", "data-parallel", "quantised", "train-overridden", "called-twice", "tied", "lazy",
    "keywords-and-nested-dicts", "python", "numpy",
)  # fmt: skip
FAMILIES = (
    torch_modules, functional, attention, recurrent, hugging_face, paths, graphs, images, wrapped, odd, host,
)  # fmt: skip
_KNOWN = {case.name: case for family in FAMILIES for case in family.CASES}
PARTS = [_KNOWN[name] for name in _NAMES]


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
    leaves = torch.utils._pytree.tree_leaves(dict(value) if hasattr(value, "keys") else value)
    return sum(leaf.square().sum() for leaf in leaves if isinstance(leaf, torch.Tensor))


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
        refused="uses Python's or NumPy's random numbers",
    )
]
