"""What an attached plan costs where it does nothing: at rate 0, in eval mode, and after ``revert``.

    python benchmarks/plan_cost.py

Microseconds a site and call above the bare module, one thread, the least of some turns; and the share of a forward pass
of 10 ms and more.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import dropkit as dk
from dropkit.cli.bench.turns import repeated, take_turns

CALLS, TURNS = 20_000, 7


class Calls(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x)


def least(call: Callable[[], object], calls: int = CALLS) -> float:
    """Return the least time of a call over the turns, in seconds."""
    found = []
    for _ in range(TURNS):
        begin = time.thread_time()
        for _ in range(calls):
            call()
        found.append((time.thread_time() - begin) / calls)
    return min(found)


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    torch.set_num_threads(1)
    x = torch.zeros(1)
    print(f"1 thread, {TURNS} turns\n")
    print("| site | mode | bare, microseconds | attached | under a stream | after revert |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, model, at in (
        ("output", nn.ReLU(), "ReLU"),
        ("input", nn.ReLU(), "input"),
        ("function call", Calls(), ":relu#0"),
    ):
        for training, rate, mode in ((True, 0.0, "training, rate 0"), (False, 0.5, "eval, rate 0.5")):
            model.train(training)
            plan = dk.plan(model, [dk.Rule(at=at, rate=rate)], example_inputs=x)
            bare = least(lambda: model(x))  # noqa: B023
            with plan.apply(model):
                attached = least(lambda: model(x))  # noqa: B023
                with dk.random.stream(1):
                    streamed = least(lambda: model(x))  # noqa: B023
            after = least(lambda: model(x))  # noqa: B023
            extra = " | ".join(f"{1e6 * (each - bare):+.2f}" for each in (attached, streamed, after))
            print(f"| {name} | {mode} | {1e6 * bare:.2f} | {extra} |")
    large = nn.Sequential(*[layer for _ in range(8) for layer in (nn.Linear(1024, 1024), nn.ReLU())])
    rows = torch.randn(128, 1024)
    planned = copy.deepcopy(large)
    with dk.plan(planned, [dk.Rule(at="hidden", rate=0.0)]).apply(planned):
        contestants = {"bare": repeated(lambda: large(rows)), "planned": repeated(lambda: planned(rows))}
        turns = take_turns(contestants, repetitions=31, threads=1)
    extra = 100 * (turns.ratio["planned"] - 1)
    print(f"\nA forward pass of {1e3 * turns.seconds['bare']:.1f} ms with 8 sites at rate 0: {extra:+.2f} %")


if __name__ == "__main__":
    main()
