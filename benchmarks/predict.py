"""What ``dk.predict`` costs: T members in every mode, against a loop of plain forward passes in training mode.

    python benchmarks/predict.py [--threads 2] [--members 50] [--json PATH]

"Plain" is one forward pass in eval mode under ``inference_mode``; the loop is T passes with PyTorch's dropout active,
without anything of this library. A ratio below 1x means faster than the loop. Everything takes turns in one process. A
dash stands for a mode that the model does not allow.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

import dropkit as dk
from dropkit.cli.bench.turns import Turns, repeated, take_turns
from dropkit.core import ConfigError

MODES = ("auto", "vmap", "expand", "loop")


def convolutions(*, everywhere: bool) -> nn.Module:
    def block(inputs: int, outputs: int) -> list[nn.Module]:
        drop = [nn.Dropout2d(0.1)] if everywhere else []
        return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), *drop, nn.MaxPool2d(2)]

    head = [nn.Flatten(), nn.Dropout(0.5), nn.Linear(1024, 10)]
    return nn.Sequential(*block(3, 32), *block(32, 64), *block(64, 64), *head)


def small() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 50), nn.ReLU(), nn.Dropout(0.1), nn.Linear(50, 1))


def mlp() -> nn.Module:
    layers: list[nn.Module] = [nn.Dropout(0.2)]
    for inputs in (784, 1024, 1024):
        layers += [nn.Linear(inputs, 1024), nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(*layers, nn.Linear(1024, 10))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(32, 64, 2, dropout=0.3, batch_first=True)
        self.head = nn.Linear(64, 5)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.lstm(x)[0][:, -1])
        return out


def transformer() -> nn.Module:
    layer = nn.TransformerEncoderLayer(128, 4, 512, dropout=0.1, batch_first=True)
    return nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)


CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "CNN, head only, batch 64": (lambda: convolutions(everywhere=False), (64, 3, 32, 32)),
    "CNN, everywhere, batch 64": (lambda: convolutions(everywhere=True), (64, 3, 32, 32)),
    "MLP 8-50-1, hidden, batch 100": (small, (100, 8)),
    "MLP 784-3x1024, everywhere, batch 32": (mlp, (32, 784)),
    "MLP 784-3x1024, everywhere, batch 1024": (mlp, (1024, 784)),
    "LSTM, between layers, batch 16x20": (Recurrent, (16, 20, 32)),
    "transformer, 4 layers, batch 8x32": (transformer, (8, 32, 128)),
}


def measure(
    make: Callable[[], nn.Module], shape: tuple[int, ...], members: int, turns: int, threads: int
) -> Turns:
    """Take turns at the loop, a plain pass, and predicting in each mode."""
    model, x = make().eval(), torch.randn(shape)
    dropping = make().train()

    @torch.inference_mode()
    def plain() -> None:
        model(x)

    @torch.inference_mode()
    def loop() -> None:
        torch.stack([dropping(x) for _ in range(members)]).mean(0)

    contestants = {"loop of passes": repeated(loop), "plain": repeated(plain)}
    for mode in MODES:
        call = partial(dk.predict, model, x, members=members, seed=1, mode=mode)
        with suppress(ConfigError):
            call()
            contestants[mode] = repeated(call)
    return take_turns(contestants, repetitions=turns, threads=threads)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--members", type=int, default=50)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    print(f"{asked.members} members, {asked.threads} threads, {asked.repetitions} turns\n")
    print("| model | plain, ms | auto, plain passes | loop, ms |", " | ".join(MODES), "|")
    print("| --- | --- | --- | --- |", " | ".join("---" for _ in MODES), "|")
    found = {}
    for name, (make, shape) in CASES.items():
        turns = measure(make, shape, asked.members, asked.repetitions, asked.threads)
        plain, loop = turns.seconds["plain"] * 1e3, turns.seconds["loop of passes"] * 1e3
        passes = turns.seconds["auto"] * 1e3 / plain
        ratios = " | ".join(f"{turns.ratio[mode]:.2f}x" if mode in turns.ratio else "-" for mode in MODES)
        print(f"| {name} | {plain:.2f} | {passes:.1f} | {loop:.1f} | {ratios} |", flush=True)
        found[name] = {"seconds": turns.seconds, "ratio": turns.ratio}
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
