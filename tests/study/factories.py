"""Data and models for the studies of the tests: small, and free of scikit-learn."""

import os
import random
import signal
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

CLASSES = 3


def blobs(count=120):
    """Three overlapping clouds in four dimensions."""
    draw = torch.Generator().manual_seed(count)
    labels = torch.arange(count) % CLASSES
    centres = torch.randn(CLASSES, 4, generator=draw)
    return TensorDataset(centres[labels] + torch.randn(count, 4, generator=draw), labels)


def restless_blobs():
    """As blobs, but shuffled and disturbed by every global generator there is."""
    x, labels = blobs().tensors
    order = torch.randperm(len(x))
    return TensorDataset(x[order] + float(np.random.rand()) + random.random(), labels[order])


def restless_net(outputs):
    """As net, with weights from NumPy's and Python's global generators too."""
    model = Net(outputs)
    with torch.no_grad():
        model.last.bias += torch.from_numpy(np.random.rand(outputs)) + random.random()
    return model


def line():
    """A noisy linear map to two targets."""
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(90, 3, generator=draw)
    return TensorDataset(x, x @ torch.randn(3, 2, generator=draw) + torch.randn(90, 2, generator=draw))


def broken_data():
    raise OSError("the disk is on fire\nand so is the rest")


def bad_labels():
    return TensorDataset(torch.zeros(60, 4), torch.arange(60) % 3 - 1)


def nan_data():
    x = torch.zeros(60, 4)
    x[7, 2] = float("nan")
    return TensorDataset(x, torch.arange(60) % 3)


class Net(nn.Module):
    """Linear, functional relu, linear; optionally slow."""

    def __init__(self, outputs, seconds=0.0, mark=None, safe=None):
        super().__init__()
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, outputs)
        self.seconds, self.mark, self.safe = seconds, mark, safe

    def forward(self, x):
        time.sleep(self.seconds)
        return self.last(F.relu(self.first(x)))


def net(outputs, seconds=0.0):
    return Net(outputs, seconds)


class NoisyNet(nn.Module):
    """Linear, relu, linear, with dropout of its own: a module and a call."""

    def __init__(self, outputs):
        super().__init__()
        self.first, self.act, self.drop, self.last = (
            nn.Linear(4, 8),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(8, outputs),
        )

    def forward(self, x):
        return self.last(F.dropout(self.drop(self.act(self.first(x))), 0.2, self.training))


def noisy_net(outputs):
    return NoisyNet(outputs)


def loud(outputs):
    """A model that prints in the worker and in the preflight."""
    print("LOUD", flush=True)
    return Net(outputs)


def broken_model(outputs):
    raise ValueError("no such width")


def no_model(outputs):
    return {"layers": outputs}


class Fragile(Net):
    """Fails, or kills its process, while there is a file ``mark``; not in ``safe``, the preflight's."""

    def forward(self, x):
        if os.path.exists(self.mark) and os.getpid() != self.safe:
            if self.mark.endswith("kill"):
                os.kill(os.getpid(), signal.SIGKILL)
            raise RuntimeError("the weather is bad")
        return super().forward(x)


def fragile(outputs, mark, safe):
    return Fragile(outputs, mark=mark, safe=safe)


class Picky(Net):
    """Cannot be trained."""

    def forward(self, x):
        if self.training:
            raise KeyError("no gradient today")
        return super().forward(x)


def picky(outputs):
    return Picky(outputs)


def narrow(outputs):
    """A model that gives one output too few."""
    return Net(outputs - 1)


def wrong_shape():
    """A model for inputs of another width."""
    return nn.Linear(7, CLASSES)
