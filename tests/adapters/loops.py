"""Models, data and plans for the tests of training loops."""

import torch
from torch import nn

import dropkit as dk
from dropkit.nn import LinearSchedule
from dropkit.random.stream import innermost

ROWS, BATCH = 48, 8


def data():
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, 6, generator=draw)
    return x, (x.sum(1) > 0).long()


def net():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 2))


def plan(steps=20):
    """A plan with a schedule, so that rates move as well as masks."""
    return dk.plan(net(), [dk.Rule(at="hidden", rate=LinearSchedule(0.2, 0.8, steps))])


def by_hand(seed, steps, accumulate=1, attached=None):
    """Train as a plain loop does, without a framework; return the weights."""
    model, (x, y) = net(), data()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batches = [slice(start, start + BATCH) for start in range(0, ROWS, BATCH)]
    with (attached or plan()).apply(model), dk.random.stream(seed):
        for step in range(steps):
            optimizer.zero_grad()
            for number in range(accumulate):
                rows = batches[(step * accumulate + number) % len(batches)]
                loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
                (loss / accumulate).backward()
            optimizer.step()
            dk.step()
    return weights(model)


def weights(model):
    return [parameter.detach().clone() for parameter in model.parameters()]


def same(left, right):
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def close(left, right):
    return all(torch.allclose(a, b, atol=1e-6) for a, b in zip(left, right, strict=True))


def nothing_left(model):
    return innermost() is None and not dk.surgery.attached(model)
