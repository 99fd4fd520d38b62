"""Models that are random in one known way each."""

import random

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class Functional(nn.Module):
    def forward(self, x):
        x = F.dropout(x, 0.35, self.training)
        return F.dropout(x, 0.3) + torch.dropout(x, 0.1, self.training)


class Attention(nn.Module):
    def __init__(self, rate=0.05, switched=True):
        super().__init__()
        self.rate, self.switched = rate, switched

    def forward(self, x):
        rate = self.rate if self.training or not self.switched else 0.0
        return F.scaled_dot_product_attention(x, x, x, dropout_p=rate)


class DropPath(nn.Module):  # as timm writes it
    def __init__(self, drop_prob):
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x):
        if self.drop_prob == 0.0 or not self.training:
            return x
        keep = 1 - self.drop_prob
        return x * x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(keep) / keep


class StochasticDepth(nn.Module):  # as torchvision writes it
    def __init__(self, p, mode):
        super().__init__()
        self.p, self.mode = p, mode

    def forward(self, x):
        return stochastic_depth(x, self.p, self.mode, self.training)


def stochastic_depth(input, p, mode, training=True):
    if not training or p == 0.0:
        return input
    survival = 1.0 - p
    size = [input.shape[0]] + [1] * (input.ndim - 1) if mode == "row" else [1] * input.ndim
    noise = torch.empty(size, dtype=input.dtype).bernoulli_(survival)
    if survival > 0.0:
        noise.div_(survival)
    return input * noise


class DropBlock2d(nn.Module):  # draws whatever its rate is
    def __init__(self, drop_prob):
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x):
        return x * (torch.rand_like(x) >= self.drop_prob) if self.training else x


def dropout_edge(edges, p=0.5, training=True):  # as PyTorch Geometric writes it
    return edges[:, torch.rand(edges.size(1)) >= p] if training else edges


class Graph(nn.Module):
    def forward(self, x):
        edges = dropout_edge(torch.zeros(2, 30, dtype=torch.long), 0.2, self.training)
        return x + edges.shape[1]


class ByHand(nn.Module):
    def forward(self, x):
        return x * (torch.rand(x.shape) > 0.3) if self.training else x


class Host(nn.Module):
    def __init__(self):
        super().__init__()
        self.own = np.random.default_rng(3)

    def forward(self, x):
        if self.training and random.random() < 0.2:
            return x
        if self.training:
            x = x * np.random.rand()
        return x + self.own.normal()


class Stubborn(nn.Module):
    """Stays in eval mode whatever it is told."""

    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def train(self, mode=True):
        return super().train(False)

    def forward(self, x):
        return self.drop(x)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.2)
        self.also = self.drop
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        return self.fc(self.drop(self.fc(self.drop(x))))
