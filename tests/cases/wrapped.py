"""Case 11: models inside wrappers, and with parts replaced."""

import warnings

import torch
from torch import nn

import dropkit as dk
from tests.cases.case import Case, Planted, ramp, seeded
from tests.cases.functional import Outer


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.act, self.drop, self.two = nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3)

    def forward(self, x):
        return self.two(self.drop(self.act(self.one(x))))


def compiled():
    return torch.compile(Plain(), backend="eager")


def quantised():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that torch.ao.quantization moves elsewhere
        return torch.ao.quantization.quantize_dynamic(Plain(), {nn.Linear}, dtype=torch.qint8)


def lora():
    from peft import LoraConfig, get_peft_model

    return get_peft_model(Plain(), LoraConfig(r=2, target_modules=["one"], lora_dropout=0.15))


def parallel(make):
    return nn.DataParallel(make())


SITES = {"drop": Planted("dropout", 0.2)}
RULES = (dk.Rule(at="hidden", rate=0.3), dk.Rule(at="two", on="input"))

CASES = [
    Case("compiled", seeded(compiled), (ramp(4, 6),), SITES, (dk.Rule(at="hidden"),)),
    Case("data-parallel", seeded(lambda: parallel(Plain)), (ramp(4, 6),), SITES, (dk.Rule(at="one"),)),
    Case(
        "data-parallel-functional",
        seeded(lambda: parallel(Outer)),
        (ramp(4, 6),),
        {"inner:dropout#0": Planted("dropout", 0.35), ":dropout#0": Planted("dropout", 0.1)},
        (dk.Rule(at="inner"),),
    ),
    # activations are quantised by the range that the batch has
    Case("quantised", seeded(quantised), (ramp(4, 6),), SITES, (dk.Rule(at="hidden"),), mixes=True),
]

LORA = Case(
    "lora",
    seeded(lora),
    (ramp(4, 6),),
    {
        "base_model.model.one.lora_dropout.default": Planted("dropout", 0.15),
        "base_model.model.drop": Planted("dropout", 0.2),
    },
    (dk.Rule(at="hidden"),),
)
