"""The built-in study: what a training step costs with dropout, native, in plain torch, and PyTorch's own.

    python benchmarks/study_step.py            # a step, all kinds of dropout in turns
    python benchmarks/study_step.py --study    # also the whole study, with the kernels and without, same records?

The step is the study's: the MLP 64-512-512-10, batch 64, dropout 0.5 on both hidden layers, SGD with momentum, one
thread. `nn.Dropout` stands in the model; dropkit's is attached by the study's plan.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

import dropkit as dk
from dropkit.cli.bench.turns import Loop, repeated, take_turns
from dropkit.ops import kernels

RATE = 0.5


def mlp(*, dropout: bool) -> nn.Sequential:
    def hidden(inputs: int) -> list[nn.Module]:
        return [nn.Linear(inputs, 512), nn.ReLU(), *([nn.Dropout(RATE)] if dropout else [])]

    return nn.Sequential(*hidden(64), *hidden(512), nn.Linear(512, 10))


def stepping(model: nn.Module) -> Callable[[], None]:
    x, y = torch.rand(64, 64), torch.arange(64) % 10
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def streamed(step: Callable[[], None], name: str) -> Loop:
    def loop(times: int) -> None:
        before = kernels.status().active
        kernels.use(name)
        with dk.random.stream(1):
            for _ in range(times):
                step()
                dk.step()
        kernels.use(before)

    return loop


def contestants() -> dict[str, Loop]:
    rule = dk.Rule(at="hidden", rate=RATE)

    def attached() -> nn.Module:
        model = mlp(dropout=False)
        dk.plan(model, [rule]).apply(model)
        return model

    return {
        "no dropout": repeated(stepping(mlp(dropout=False))),
        f"dropkit, {kernels.status().active}": streamed(stepping(attached()), kernels.status().active),
        "dropkit, reference": streamed(stepping(attached()), "reference"),
        "nn.Dropout": repeated(stepping(mlp(dropout=True))),
    }


def whole_study(name: str, folder: Path) -> tuple[float, str, dict[str, bytes]]:
    """Run the built-in study with the kernels called ``name``; return seconds, verdict and run files."""
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "dropkit.cli", "study", "--out", str(folder), "--json"],
        env=os.environ | {"DROPKIT_KERNELS": name, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    seconds = time.perf_counter() - begin
    runs = {path.name: path.read_bytes() for path in (folder / "runs").iterdir()}
    return seconds, json.loads(done.stdout)["verdict"], runs


def main() -> None:
    parser = argparse.ArgumentParser(description="What dropout costs the built-in study.")
    parser.add_argument("--repetitions", type=int, default=31)
    parser.add_argument("--study", action="store_true", help="run the whole study too, twice")
    options = parser.parse_args()
    torch.set_num_threads(1)
    turns = take_turns(contestants(), repetitions=options.repetitions, threads=1)
    print("| a training step, MLP 64-512-512-10, 1 thread | µs | against no dropout |")
    print("| --- | --- | --- |")
    for name, seconds in turns.seconds.items():
        print(f"| {name} | {seconds * 1e6:.0f} | {turns.ratio[name]:.2f}x |")
    if not options.study:
        return
    print()
    print("| the whole study, 30 runs | seconds | verdict |")
    print("| --- | --- | --- |")
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in (kernels.status().active, "reference"):
            seconds, verdict, found[name] = whole_study(name, Path(folder) / name)
            print(f"| {name} | {seconds:.0f} | {verdict} |", flush=True)
    native, reference = found.values()
    print()
    print(f"Run files of both: {'equal, byte for byte' if native == reference else 'DIFFERENT'}.")


if __name__ == "__main__":
    main()
