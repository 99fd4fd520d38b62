"""Case 7: stochastic depth and drop block, as timm and torchvision write them."""

import torch
import torch.nn.functional as F
from torch import nn

import dropkit as dk
from tests.cases.case import Case, Planted, ramp, seeded


def drop_path(x, drop_prob: float = 0.0, training: bool = False, scale_by_keep: bool = True):
    """As timm writes it."""
    if drop_prob == 0.0 or not training:
        return x
    keep_prob = 1 - drop_prob
    shape = (x.shape[0],) + (1,) * (x.ndim - 1)
    random_tensor = x.new_empty(shape).bernoulli_(keep_prob)
    if keep_prob > 0.0 and scale_by_keep:
        random_tensor.div_(keep_prob)
    return x * random_tensor


class DropPath(nn.Module):
    """As timm writes it."""

    def __init__(self, drop_prob: float = 0.0, scale_by_keep: bool = True):
        super().__init__()
        self.drop_prob = drop_prob
        self.scale_by_keep = scale_by_keep

    def forward(self, x):
        return drop_path(x, self.drop_prob, self.training, self.scale_by_keep)


def stochastic_depth(input, p: float, mode: str, training: bool = True):
    """As torchvision writes it."""
    if not training or p == 0.0:
        return input
    survival_rate = 1.0 - p
    size = [input.shape[0]] + [1] * (input.ndim - 1) if mode == "row" else [1] * input.ndim
    noise = torch.empty(size, dtype=input.dtype, device=input.device)
    noise = noise.bernoulli_(survival_rate)
    if survival_rate > 0.0:
        noise.div_(survival_rate)
    return input * noise


class StochasticDepth(nn.Module):
    """As torchvision writes it."""

    def __init__(self, p: float, mode: str) -> None:
        super().__init__()
        self.p = p
        self.mode = mode

    def forward(self, input):
        return stochastic_depth(input, self.p, self.mode, self.training)


class DropBlock2d(nn.Module):
    """As torchvision writes it."""

    def __init__(self, p: float, block_size: int, inplace: bool = False, eps: float = 1e-06) -> None:
        super().__init__()
        self.p, self.block_size, self.inplace, self.eps = p, block_size, inplace, eps

    def forward(self, input):
        if not self.training or self.p == 0.0:
            return input
        n, c, h, w = input.size()
        size = min(self.block_size, w, h)
        gamma = (self.p * h * w) / ((size**2) * ((h - size + 1) * (w - size + 1)))
        noise = torch.empty((n, c, h - size + 1, w - size + 1), dtype=input.dtype, device=input.device)
        noise.bernoulli_(gamma)
        noise = F.pad(noise, [size // 2] * 4, value=0)
        noise = F.max_pool2d(noise, stride=(1, 1), kernel_size=(size, size), padding=size // 2)
        noise = 1 - noise
        return input * noise * (noise.numel() / (self.eps + noise.sum()))


class DropBlockTimm(nn.Module):
    """As timm writes it: it draws even where its rate leaves everything."""

    def __init__(self, drop_prob: float = 0.1, block_size: int = 3, gamma_scale: float = 1.0):
        super().__init__()
        self.drop_prob, self.block_size, self.gamma_scale = drop_prob, block_size, gamma_scale

    def forward(self, x):
        if not self.training or not self.drop_prob:
            return x
        h, w = x.shape[-2:]
        size = min(self.block_size, h, w)
        gamma = self.gamma_scale * self.drop_prob * h * w / size**2 / ((h - size + 1) * (w - size + 1))
        block = torch.empty_like(x).bernoulli_(gamma)
        block = F.max_pool2d(block, kernel_size=size, stride=1, padding=size // 2)
        keep = 1 - block
        return x * keep * (keep.numel() / keep.sum().add(1e-7))


class Residual(nn.Module):
    def __init__(self, path):
        super().__init__()
        self.fc, self.path = nn.Linear(6, 6), path

    def forward(self, x):
        return x + self.path(torch.relu(self.fc(x)))


class Blocks(nn.Module):
    def __init__(self, block):
        super().__init__()
        self.conv, self.block, self.head = nn.Conv2d(1, 4, 3, padding=1), block, nn.Linear(4 * 36, 3)

    def forward(self, x):
        return self.head(self.block(torch.relu(self.conv(x))).flatten(1))


def depth(path):
    return nn.Sequential(Residual(path(0.4)), Residual(path(0.5)), nn.Linear(6, 3))


MANY = {"members": 40}  # so few numbers are drawn that members may be the same by chance
RULES = (dk.Rule(at="*.fc", on="input"), dk.Rule(at="*:relu#0"))

CASES = [
    Case(
        "timm-drop-path",
        seeded(lambda: depth(DropPath)),
        (ramp(4, 6),),
        {"0.path": Planted("drop_path", 0.4), "1.path": Planted("drop_path", 0.5)},
        RULES,
        member=MANY,
    ),
    *(
        Case(
            f"torchvision-stochastic-depth-{mode}",
            seeded(lambda mode=mode: depth(lambda rate: StochasticDepth(rate, mode))),
            (ramp(4, 6),),
            {"0.path": Planted("stochastic_depth", 0.4), "1.path": Planted("stochastic_depth", 0.5)},
            RULES,
            member=MANY,
        )
        for mode in ("row", "batch")
    ),
    *(
        Case(
            f"{name}-drop-block",
            seeded(lambda block=block: Blocks(block(0.2, 3))),
            (ramp(4, 1, 6, 6),),
            {"block": Planted(kind, 0.2)},
            (dk.Rule(at="conv"), dk.Rule(at="head", on="input")),
            refused=r"'block.*by hand.*dropkit",
        )
        for name, block, kind in (
            ("torchvision", DropBlock2d, "drop_block2d"),
            ("timm", DropBlockTimm, "drop_block_timm"),
        )
    ),
]
