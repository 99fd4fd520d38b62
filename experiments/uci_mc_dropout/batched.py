"""Many small networks with dropout as one batched program: network m is row m of every tensor.

A network's weights, order of data and masks are functions of the seed and of its own number alone, so that it is the
same network in any company; :func:`alone` returns it as an ordinary model.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor, nn

import dropkit as dk

EPSILON = 1e-7  # Adam's, in Keras
HELD = 2_000_000  # hidden activations that prediction holds at once


class Stack(nn.Module):
    """Networks of one hidden layer, with dropout on the input and on the hidden units.

    Args:
        rates: The rate of each of the M networks; equal ones should be neighbours, as they are computed together.
        numbers: The number of each network, its member in the streams of masks.
        features: Width d of the input.
        hidden: Number H of hidden units.
        seed: Root of the initial weights (uniform after Glorot; no biases) and of the masks.
    """

    def __init__(
        self, rates: Sequence[float], numbers: Sequence[int], features: int, hidden: int, *, seed: int
    ) -> None:
        super().__init__()
        weights = [_glorot(features, hidden, dk.random.child_seed(seed, f"weights-{m}")) for m in numbers]
        self.first = nn.Parameter(torch.stack([first for first, _ in weights]))  # (M, d, H)
        self.first_bias = nn.Parameter(torch.zeros(len(weights), 1, hidden))
        self.last = nn.Parameter(torch.stack([last for _, last in weights]))  # (M, H, 1)
        self.last_bias = nn.Parameter(torch.zeros(len(weights), 1, 1))
        self.rates, self.numbers, self.seed = list(rates), list(numbers), seed
        self._runs = [(rate, len(list(run))) for rate, run in groupby(rates)]
        self._members = torch.tensor(self.numbers).split(self._sizes)

    @property
    def _sizes(self) -> list[int]:
        return [size for _, size in self._runs]

    def forward(self, x: Tensor, step: int) -> Tensor:
        """Map ``(M, B, d)`` to ``(M, B)`` under the masks of a step."""
        tensors = (x, self.first, self.first_bias, self.last, self.last_bias)
        parts = zip(*(tensor.split(self._sizes) for tensor in tensors), strict=True)
        outputs = []
        for (rate, size), members, (part, first, first_bias, last, last_bias) in zip(
            self._runs, self._members, parts, strict=True
        ):
            # one member a row of the stack, and each begins to count its elements at 0, as it would alone
            rows = torch.zeros(size, dtype=torch.int64)
            with dk.random.stream(self.seed, step=step, rank=0, member=members, sample=rows):
                kept = dk.ops.dropout(part, rate, training=True, site="input")
                units = torch.baddbmm(first_bias, kept, first).relu()
                kept = dk.ops.dropout(units, rate, training=True, site="hidden")
                outputs.append(torch.baddbmm(last_bias, kept, last).squeeze(-1))
        return torch.cat(outputs)

    def penalty(self, decay: Tensor) -> Tensor:
        """Return the sum over networks of ``decay`` ``(M,)`` times their squared weights."""
        return (decay * (self.first.square().sum((1, 2)) + self.last.square().sum((1, 2)))).sum()


def _glorot(features: int, hidden: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    first = nn.init.xavier_uniform_(torch.empty(features, hidden), generator=generator)
    return first, nn.init.xavier_uniform_(torch.empty(hidden, 1), generator=generator)


def alone(stack: Stack, m: int) -> nn.Sequential:
    """Return network ``m`` of the stack, a copy, as a model that maps ``(B, d)`` to ``(B, 1)``."""
    _, features, hidden = stack.first.shape
    rate = stack.rates[m]
    model = nn.Sequential(
        OrderedDict(
            drop_input=dk.nn.Dropout(rate, site="input"),
            first=nn.Linear(features, hidden),
            relu=nn.ReLU(),
            drop_hidden=dk.nn.Dropout(rate, site="hidden"),
            last=nn.Linear(hidden, 1),
        )
    ).to(stack.first.dtype)
    with torch.no_grad():
        model.first.weight.copy_(stack.first[m].T)
        model.first.bias.copy_(stack.first_bias[m, 0])
        model.last.weight.copy_(stack.last[m].T)
        model.last.bias.copy_(stack.last_bias[m, 0])
    return model


class Batches:
    """Batches of each split in an order of its own, a function of the seed and of the split's number.

    Args:
        x: Inputs, ``(S, N, d)``.
        y: Targets, ``(S, N)``.
        splits: The number of each of the S splits.
        of: Which row of ``x`` each network learns from, ``(M,)``.
        size: Rows in a batch; the last of an epoch has what is left.
        seed: Root of the orders.
    """

    def __init__(
        self, x: Tensor, y: Tensor, splits: Sequence[int], of: Tensor, size: int, *, seed: int
    ) -> None:
        self._x, self._y, self._of, self._size = x, y, of, size
        self._generators = [
            torch.Generator().manual_seed(dk.random.child_seed(seed, f"order-{split}")) for split in splits
        ]

    def epoch(self) -> list[tuple[Tensor, Tensor]]:
        """Return the batches of the next epoch, ``(M, B, d)`` and ``(M, B)``."""
        count = self._x.shape[1]
        order = torch.stack([torch.randperm(count, generator=g) for g in self._generators])
        found = []
        for rows in order.split(self._size, dim=1):
            x = self._x.gather(1, rows[..., None].expand(-1, -1, self._x.shape[-1]))
            found.append((x[self._of], self._y.gather(1, rows)[self._of]))
        return found


class Training:
    """Adam on the sum of the networks' losses, each ``mean squared error + decay * squared weights``.

    The losses share no weight, so each network takes the steps that it would take alone.
    """

    def __init__(self, stack: Stack, decay: Tensor, lr: float) -> None:
        self._stack, self._decay = stack, decay
        self._optimizer = torch.optim.Adam(stack.parameters(), lr=lr, eps=EPSILON, fused=True)
        self.steps = 0

    def step(self, x: Tensor, y: Tensor) -> None:
        """Take one step on a batch of every network."""
        errors = (self._stack(x, self.steps) - y).square().mean(dim=1).sum()
        self._optimizer.zero_grad()
        (errors + self._stack.penalty(self._decay)).backward()
        self._optimizer.step()
        self.steps += 1


class Single:
    """Network ``m`` of a stack, trained by itself as anyone would train it: to compare with."""

    def __init__(self, stack: Stack, m: int, decay: Tensor, lr: float) -> None:
        self.model, self.m = alone(stack, m), m
        named = list(self.model.named_parameters())
        # Adam's weight_decay adds itself to the gradient, which is twice the factor of the squared weights
        groups = [
            {
                "params": [p for name, p in named if name.endswith("weight")],
                "weight_decay": 2.0 * float(decay),
            },
            {"params": [p for name, p in named if name.endswith("bias")]},
        ]
        self._optimizer = torch.optim.Adam(groups, lr=lr, eps=EPSILON, fused=True)
        self._masks = dk.random.stream(stack.seed, rank=0, member=stack.numbers[m])

    def step(self, x: Tensor, y: Tensor) -> None:
        """Take one step on a batch, ``(B, d)`` and ``(B,)``."""
        with self._masks:
            loss = (self.model(x).squeeze(-1) - y).square().mean()
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self._masks.advance()


@torch.inference_mode()
def evaluate(stack: Stack, x: Tensor, y: Tensor, precision: Tensor, members: int) -> tuple[Tensor, Tensor]:
    """Return the Monte-Carlo mean and the log-likelihood of every row, each ``(M, R)``, in float64.

    Every row has masks of its own, and so has every pass. The log-likelihood is
    ``log 1/T sum_t N(y; f_t(x), 1 / precision)``.

    Args:
        stack: The networks; their streams go on at a step that training never reaches.
        x: Inputs, ``(M, R, d)``.
        y: Targets, ``(M, R)``.
        precision: Of the observation noise, ``(M,)``.
        members: Number T of passes.
    """
    count, rows, _ = x.shape
    at_once = max(1, HELD // (count * rows * stack.first.shape[-1]))
    total = torch.zeros(count, rows, dtype=torch.float64)
    likelihood = torch.full((count, rows), -torch.inf, dtype=torch.float64)
    scale = precision.double()[:, None, None]
    step, done = 2**32, 0
    while done < members:
        passes = min(at_once, members - done)
        outputs = stack(x.repeat(1, passes, 1), step).double().view(count, passes, rows)
        total += outputs.sum(dim=1)
        log_p = -0.5 * scale * (y.double()[:, None] - outputs).square()
        likelihood = torch.logaddexp(likelihood, log_p.logsumexp(dim=1))
        step, done = step + 1, done + passes
    constant = 0.5 * (precision.double() / (2 * torch.pi)).log()[:, None] - torch.tensor(float(members)).log()
    return total / members, likelihood + constant
