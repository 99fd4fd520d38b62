"""Attention with dropout on its probabilities against PyTorch's, and what it costs a training step.

    python benchmarks/attention.py [--threads 1 2] [--repetitions 9]

Everything is divided by PyTorch's attention without any dropout, the quickest that it has on a CPU. The step is that of
4 pre-norm transformer blocks (d = 256, 4 heads, 16 x 128 tokens, fp32, SGD).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import dropkit as dk
from dropkit.cli.bench.turns import Loop, repeated, take_turns

RATE = 0.1
SHAPES = ((16, 4, 128, 64), (4, 8, 512, 64))
Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


def native(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return dk.ops.attention(q, k, v, rate=RATE, training=True)


def dropped(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, dropout_p=RATE)


KINDS: dict[str, tuple[Attention, Callable[[Tensor], Tensor]]] = {
    "PyTorch, no dropout": (F.scaled_dot_product_attention, lambda x: x),
    "dropkit, attention only": (native, lambda x: x),
    "dropkit, everywhere": (native, lambda x: dk.ops.dropout(x, RATE, training=True)),
    "PyTorch, attention only": (dropped, lambda x: x),
    "PyTorch, everywhere": (dropped, lambda x: F.dropout(x, RATE)),
}


def attending(shape: tuple[int, ...], attention: Attention) -> Callable[[], object]:
    batch, heads, length, features = shape
    rows = torch.randn(batch, length, 3, heads, features, requires_grad=True)
    gradient = torch.randn(batch, length, heads, features).transpose(1, 2)

    def call() -> object:
        q, k, v = (x.transpose(1, 2) for x in rows.unbind(2))
        return torch.autograd.grad(attention(q, k, v), (q, k, v), gradient)

    return call


class Block(nn.Module):
    def __init__(self, attention: Attention, drop: Callable[[Tensor], Tensor], d: int = 256) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.up, self.down = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)
        self.attention, self.drop = attention, drop

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (y.transpose(1, 2) for y in self.qkv(self.first(x)).unflatten(-1, (3, 4, -1)).unbind(-3))
        x = x + self.drop(self.out(self.attention(q, k, v).transpose(1, 2).flatten(-2)))
        return x + self.drop(self.down(self.drop(F.gelu(self.up(self.second(x))))))


def stepping(attention: Attention, drop: Callable[[Tensor], Tensor]) -> Callable[[], object]:
    model = nn.Sequential(*(Block(attention, drop) for _ in range(4)))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    x = torch.randn(16, 128, 256)

    def step() -> None:
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()

    return step


def entries() -> dict[str, dict[str, Loop]]:
    """Return the contestants of each row."""
    rows = {
        "x".join(map(str, shape)): {
            name.removesuffix(", attention only"): repeated(attending(shape, KINDS[name][0]))
            for name in KINDS
            if "everywhere" not in name
        }
        for shape in SHAPES
    }
    return rows | {"training step": {name: repeated(stepping(*kinds)) for name, kinds in KINDS.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description="What dropout on attention probabilities costs.")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repetitions", type=int, default=9)
    options = parser.parse_args()
    print(f"| attention, forward + backward, rate {RATE} | threads | ms | against PyTorch, no dropout |")
    print("| --- | --- | --- | --- |")
    for threads in options.threads:
        torch.set_num_threads(threads)
        for row, contestants in entries().items():
            turns = take_turns(contestants, repetitions=options.repetitions, threads=threads)
            for name, seconds in turns.seconds.items():
                print(f"| {row}: {name} | {threads} | {seconds * 1e3:.2f} | {turns.ratio[name]:.2f}x |")


if __name__ == "__main__":
    main()
