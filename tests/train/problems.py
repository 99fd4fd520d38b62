"""Small problems that the tests of this room share."""

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

import dropkit.nn


def classes(count: int, seed: int, width: int = 6, outputs: int = 3) -> TensorDataset:
    """Noisy, learnable labels: the largest of `outputs` fixed linear scores."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(count, width, generator=rng)
    scores = x[:, :outputs] + 0.3 * torch.randn(count, outputs, generator=rng)
    return TensorDataset(x, scores.argmax(1))


def images(count: int, seed: int, size: int = 8) -> TensorDataset:
    rng = torch.Generator().manual_seed(seed)
    y = torch.arange(count) % 3
    x = torch.randn(count, 1, size, size, generator=rng) + y.view(-1, 1, 1, 1)
    return TensorDataset(x, y)


def values(count: int, seed: int, columns: int = 2) -> TensorDataset:
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 6, generator=rng)
    return TensorDataset(x, x[:, :columns] + 0.1 * torch.randn(count, columns, generator=rng))


def mlp(seed: int, *extra: nn.Module, width: int = 6, outputs: int = 3) -> nn.Sequential:
    """An MLP whose weights depend on the seed only; `extra` layers follow its activation."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return nn.Sequential(nn.Linear(width, 16), nn.ReLU(), *extra, nn.Linear(16, outputs))


def cnn(seed: int) -> nn.Sequential:
    """A CNN with batch norm, dropout of both makes, and a hidden buffer outside the state_dict."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            Scaled(),
            dropkit.nn.SpatialDropout2d(0.2),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(4 * 36, 3),
        )


class Scaled(nn.Module):
    """Divides by the number of training calls so far, held in a buffer that no state_dict has."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.calls += 1
        return x / (1 + 0.01 * self.calls)


class Items(Dataset):
    """A dataset that makes its items one at a time."""

    def __init__(self, source: TensorDataset) -> None:
        self.source = source

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> tuple:
        x, y = self.source[index]
        return x.numpy(), (int(y) if y.ndim == 0 else y)


def same(a: nn.Module, b: nn.Module) -> bool:
    """Whether two models hold the same numbers, bit for bit, in all parameters and buffers."""
    first = dict(a.named_parameters()) | dict(a.named_buffers())
    second = dict(b.named_parameters()) | dict(b.named_buffers())
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
