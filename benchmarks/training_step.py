"""A training step of models that have dropout: without it, with PyTorch's, and accelerated.

    python benchmarks/training_step.py [--threads 1 2] [--rows NAME ...] [--repetitions 31] [--json PATH]

The models are written with `nn.Dropout` and `F.scaled_dot_product_attention(dropout_p=)`, and accelerated by one line,
`dk.accelerate(model)`. A step is forward, loss, backward and SGD with momentum. The contestants take turns in one
process for each row and number of threads; a figure is the median over the turns of (contestant / without dropout in
the same turn). Rates are those of the row; without dropout the model has no dropout module.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import dropkit as dk
from dropkit.cli.bench import machine
from dropkit.cli.bench.turns import repeated, take_turns


def dropout(rate: float) -> list[nn.Module]:
    return [nn.Dropout(rate)] if rate else []


def mlp(rate: float, _: float) -> nn.Module:
    layers: list[nn.Module] = []
    for inputs in (784, 1024, 1024):
        layers += [nn.Linear(inputs, 1024), nn.ReLU(), *dropout(rate)]
    return nn.Sequential(*layers, nn.Linear(1024, 10))


def cnn(rate: float, _: float) -> nn.Module:
    layers: list[nn.Module] = []
    for inputs, channels in ((3, 32), (32, 64), (64, 64)):
        layers += [nn.Conv2d(inputs, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
        layers += [nn.MaxPool2d(2), *dropout(rate)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 4 * 4, 10))


class Block(nn.Module):
    """A pre-norm transformer block: 4 heads over a width of 256."""

    def __init__(self, rate: float, attention: float) -> None:
        super().__init__()
        self.attention = attention
        self.norm1, self.norm2 = nn.LayerNorm(256), nn.LayerNorm(256)
        self.qkv, self.out = nn.Linear(256, 768), nn.Linear(256, 256)
        self.up, self.down = nn.Linear(256, 1024), nn.Linear(1024, 256)
        self.drop1, self.drop2, self.drop3 = (nn.Sequential(*dropout(rate)) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3, 4, 64)).permute(2, 0, 3, 1, 4)
        rate = self.attention if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=rate).transpose(1, 2).flatten(2)
        x = x + self.drop1(self.out(y))
        return x + self.drop3(self.down(self.drop2(F.gelu(self.up(self.norm2(x))))))


def transformer(rate: float, attention: float) -> nn.Module:
    return nn.Sequential(*(Block(rate, attention) for _ in range(4)), nn.Linear(256, 10))


# name -> model, rate, rate of attention, input, targets, what dropout may cost
ROWS: dict[
    str, tuple[Callable[[float, float], nn.Module], float, float, tuple[int, ...], tuple[int, ...], float]
] = {
    "MLP 784-3x1024, batch 128, rate 0.5": (mlp, 0.5, 0.0, (128, 784), (128,), 0.05),
    "CNN of 3 blocks, 64x3x32x32, rate 0.2": (cnn, 0.2, 0.0, (64, 3, 32, 32), (64,), 0.05),
    "4 transformer blocks, 16x128 tokens, rate 0.1": (transformer, 0.1, 0.0, (16, 128, 256), (16, 128), 0.05),
    "the same with attention dropout 0.1": (transformer, 0.1, 0.1, (16, 128, 256), (16, 128), 0.12),
}


def stepping(model: nn.Module, x: Tensor, y: Tensor) -> Callable[[], None]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x).flatten(0, -2), y.flatten()).backward()
        optimizer.step()

    return step


def measure(name: str, threads: int, repetitions: int) -> dict[str, object]:
    torch.set_num_threads(threads)
    make, rate, attention, shape, targets, bar = ROWS[name]
    x, y = torch.randn(shape), torch.randint(10, targets)
    accelerated = make(rate, attention)
    dk.accelerate(accelerated)
    models = {"none": make(0.0, 0.0), "PyTorch": make(rate, attention), "accelerated": accelerated}
    loops = {label: repeated(stepping(model, x, y)) for label, model in models.items()}
    turns = take_turns(loops, repetitions=repetitions, threads=threads)
    return {"row": name, "threads": threads, "bar": bar, "seconds": turns.seconds, "ratio": turns.ratio}


def table(results: list[dict[str, object]]) -> str:
    lines = ["| a training step | threads | without, ms | PyTorch's dropout | accelerated | to reach |"]
    lines.append("| --- " * 6 + "|")
    for result in results:
        ratio, seconds = result["ratio"], result["seconds"]
        slower = [f"{100 * ratio[label] - 100:+.1f} %" for label in ("PyTorch", "accelerated")]
        cells = [result["row"], str(result["threads"]), f"{seconds['none'] * 1e3:.1f}", *slower]
        lines.append(f"| {' | '.join(cells)} | {100 * result['bar']:+.0f} % |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="What dropout costs a training step.")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repetitions", type=int, default=31)
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--json", help="write the results to this file too")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.rows[0], options.threads[0], options.repetitions)))
        return
    results = []
    for threads in options.threads:
        for row in options.rows:
            command = [sys.executable, __file__, "--one", "--rows", row, "--threads", str(threads)]
            command += ["--repetitions", str(options.repetitions)]
            environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            results.append(json.loads(done.stdout.splitlines()[-1]))
            print(f"{row}: {threads} thread(s) done", file=sys.stderr, flush=True)
    print(table(results))
    if options.json:
        with open(options.json, "w") as file:
            file.write(json.dumps({"machine": machine.describe(), "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
