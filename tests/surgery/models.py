"""Models of other people, as far as dropkit is concerned. Importable, so that they can be pickled."""

import torch
import torch.nn.functional as F
from torch import nn

import dropkit as dk


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))

    def forward(self, x):
        return self.net(x)


class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3), nn.ReLU()
        )
        self.head = nn.Linear(4 * 4 * 4, 3)

    def forward(self, x):
        return self.head(self.features(x).flatten(1))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.mlp = nn.Linear(6, 6)

    def forward(self, x):
        return x + F.gelu(self.mlp(x))


class Functional(nn.Module):
    """Functional activations of every spelling, in the root, in children, in place, and twice."""

    def __init__(self):
        super().__init__()
        self.one = nn.Linear(6, 6)
        self.blocks = nn.ModuleList([Block(), Block()])
        self.act = nn.ReLU()
        self.two = nn.Linear(6, 3)

    def forward(self, x):
        x = F.relu(self.one(x))
        for block in self.blocks:
            x = block(x)
        x = self.act(x)
        x = torch.tanh(x)
        h = x * 2
        h.relu_()
        return self.two(h)


class Twice(nn.Module):
    """A block that is called twice in a forward, and a module registered under two names."""

    def __init__(self):
        super().__init__()
        self.block = Block()
        self.first = nn.ReLU()
        self.second = self.first

    def forward(self, x):
        return self.second(self.block(self.first(self.block(x))))


class Keywords(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(6, 3)

    def forward(self, flag, *, x=None):
        return self.inner(input=x) * flag


class Pair(nn.Module):
    def forward(self, x):
        return x, x.sum()


class Named(nn.Module):
    def forward(self, x):
        return {"out": x}


class Holder(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 6)
        self.out = nn.Linear(6, 3)

    def forward(self, x):
        return self.out(self.embed(x))


def snapshot(model):
    """Everything that apply and revert must leave alone, objects by identity and tensors by value."""
    held = {id(tensor) for tensor in (*model.parameters(), *model.buffers())}  # others are made for the dict
    return {
        "modules": [(name, id(module), type(module)) for name, module in model.named_modules()],
        "dicts": [
            {k: id(v) for k, v in module.__dict__.items() if k != "training"} for module in model.modules()
        ],
        "hooks": [
            (dict(m._forward_hooks), dict(m._forward_pre_hooks), dict(m._forward_pre_hooks_with_kwargs))
            for m in model.modules()
        ],
        "flags": [module.training for module in model.modules()],
        "tensors": [
            (k, id(v) if id(v) in held else None, v.clone())
            for k, v in model.state_dict(keep_vars=True).items()
            if isinstance(v, torch.Tensor)
        ],
    }


def assert_same(before, after):
    for key in ("modules", "dicts", "hooks", "flags"):
        assert before[key] == after[key], key
    for (name, identity, value), (name2, identity2, value2) in zip(
        before["tensors"], after["tensors"], strict=True
    ):
        assert (name, identity) == (name2, identity2)
        assert torch.equal(value, value2), name


class Mixed(nn.Module):
    """Modules, functions, a child with a function of its own, and one that heeds no training flag."""

    def __init__(self, rate=0.3):
        super().__init__()
        self.one = nn.Linear(6, 6)
        self.drop = nn.Dropout(rate)
        self.inner = Inner(rate)
        self.rate = rate

    def forward(self, x):
        x = F.dropout(self.one(x), self.rate, self.training)
        x = self.inner(self.drop(x))
        return F.dropout(torch.tanh(x), self.rate)


class Inner(nn.Module):
    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def forward(self, x):
        return torch.dropout(x, self.rate, self.training) + 1


class DropPath(nn.Module):
    """As timm and torchvision write it."""

    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def forward(self, x):
        if not self.training:
            return x
        return x * x.new_empty(x.shape[0], 1).bernoulli_(1 - self.rate).div_(1 - self.rate)


def streamed(function, *args, seed=1, **kwargs):
    with dk.random.stream(seed):
        return function(*args, **kwargs)
