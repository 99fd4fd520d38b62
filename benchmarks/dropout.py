"""Dropout against a multiplication by a constant, PyTorch's own dropout, and that compiled.

    python benchmarks/dropout.py [--threads 1 2] [--repetitions 21] [--json PATH] [--rows NAME ...]

Every row is one process for each number of threads. In it the contestants take turns, so that a disturbance hits
all of them, and each figure is the median over the turns of (contestant / multiplication in the same turn). A turn
is long enough for the clock. With one thread the time is that of the thread's own work, which a busy machine does not
stretch; with more it is the wall clock's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

import dropkit as dk
from dropkit.ops import kernels

ROWS = {
    "128x512": ((128, 512), torch.float32),
    "128x4096": ((128, 4096), torch.float32),
    "64x256x27x27": ((64, 256, 27, 27), torch.float32),
    "64x256x27x27 channels-last": ((64, 256, 27, 27), torch.float32),
    "4096x4096": ((4096, 4096), torch.float32),
    "4096x4096 bf16": ((4096, 4096), torch.bfloat16),
}
RATE, TURN_SECONDS = 0.5, 0.02


def contestants(x: Tensor, gradient: Tensor) -> dict[str, Callable[[], object]]:
    def step(function: Callable[[Tensor], Tensor]) -> Callable[[], object]:
        return lambda: torch.autograd.grad(function(x), x, gradient)

    module = dk.nn.Dropout(RATE)
    return {
        "x * c": step(lambda x: x * 1.5),
        "dropkit": step(module),
        "F.dropout": step(lambda x: F.dropout(x, RATE)),
        "F.dropout compiled": step(torch.compile(lambda x: F.dropout(x, RATE), fullgraph=True)),
    }


def measure(name: str, threads: int, repetitions: int) -> dict[str, object]:
    torch.set_num_threads(threads)
    shape, dtype = ROWS[name]
    layout = torch.channels_last if "channels-last" in name else torch.contiguous_format
    x = torch.randn(shape).to(dtype).contiguous(memory_format=layout).requires_grad_()
    gradient = torch.randn(shape).to(dtype).contiguous(memory_format=layout)
    clock = time.thread_time if threads == 1 else time.perf_counter
    with dk.random.stream(1):
        runs = contestants(x, gradient)
        calls = {}
        for label, run in runs.items():
            run(), run()
            begin = time.perf_counter()
            run()
            calls[label] = max(1, int(TURN_SECONDS / (time.perf_counter() - begin)))
        seconds: dict[str, list[float]] = {label: [] for label in runs}
        for _ in range(repetitions):
            for label, run in runs.items():
                begin = clock()
                for _ in range(calls[label]):
                    run()
                seconds[label].append((clock() - begin) / calls[label])
    base = seconds["x * c"]
    return {
        "row": name,
        "threads": threads,
        "microseconds": {label: round(statistics.median(v) * 1e6, 2) for label, v in seconds.items()},
        "ratio": {
            label: round(statistics.median(a / b for a, b in zip(v, base, strict=True)), 2)
            for label, v in seconds.items()
            if v is not base
        },
    }


def table(results: list[dict[str, object]]) -> str:
    labels = list(results[0]["ratio"])
    lines = ["| forward + backward | threads | x * c, us | " + " | ".join(labels) + " |"]
    lines.append("| --- " * (3 + len(labels)) + "|")
    for result in results:
        ratios = " | ".join(f"{result['ratio'][label]:.2f}x" for label in labels)
        lines.append(
            f"| {result['row']} | {result['threads']} | {result['microseconds']['x * c']:.0f} | {ratios} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Dropout against x * c, in one run.")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repetitions", type=int, default=21)
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
    print(table(results))
    if options.json:
        record = {
            "kernels": kernels.status().active,
            "torch": torch.__version__,
            "machine": platform.machine(),
            "rate": RATE,
            "results": results,
        }
        with open(options.json, "w") as file:
            file.write(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
