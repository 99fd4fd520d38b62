"""The fused ops as a table: how to call each, what it must equal, and how to make its inputs."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import expit, ndtr

from dropkit.ops import fused


@dataclass(frozen=True)
class Case:
    name: str
    call: Callable  # (operands, rate, **keywords)
    act: Callable | None  # torch's activation
    exact: Callable | None  # of NumPy fp64, accurate everywhere
    count: int  # operands
    equal: bool  # bit for bit the same with and without kernels, which for the others is 2 ulp

    def operands(self, shape, dtype, seed):
        generator = torch.Generator().manual_seed(seed)
        shapes = {1: [shape], 2: [shape, shape], 3: [shape, shape[-1:], shape]}[self.count]
        return [torch.randn(s, generator=generator, dtype=torch.float64).to(dtype) for s in shapes]

    def expected(self, operands, kept, scale):
        """Compute each step in fp32, or in fp64 for fp64, and round once; activations round themselves."""
        dtype = operands[0].dtype
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        x, *others = [o.to(wide) for o in operands]
        factor = torch.tensor(scale, dtype=wide)
        if self.count == 1:
            exact = torch.from_numpy(self.exact(operands[0].double().numpy()))
            return torch.where(kept, exact.to(wide) * factor, 0.0).to(dtype)
        if self.count == 3:
            x = x + others[0]
        return (torch.where(kept, x * factor, 0.0) + others[-1]).to(dtype)

    def __str__(self):
        return self.name


def _one(op, **more):
    return lambda operands, rate, **kw: op(*operands, rate, **more, **kw)


def _tanh(x):
    return x * expit(np.sqrt(8 / np.pi) * (x + 0.044715 * x**3))


CASES = [
    Case("relu", _one(fused.relu_dropout), F.relu, lambda x: np.maximum(x, 0), 1, True),
    Case("gelu", _one(fused.gelu_dropout), F.gelu, lambda x: x * ndtr(x), 1, False),
    Case(
        "gelu tanh",
        _one(fused.gelu_dropout, approximate="tanh"),
        lambda x: F.gelu(x, approximate="tanh"),
        _tanh,
        1,
        False,
    ),
    Case("silu", _one(fused.silu_dropout), F.silu, lambda x: x * expit(x), 1, False),
    Case("add", _one(fused.dropout_add), None, None, 2, True),
    Case("bias add", _one(fused.bias_dropout_add), None, None, 3, True),
]


def ulps(a, b):
    """Return the number of representable values between two tensors, element by element."""

    def ordered(x):
        i = x.contiguous().view({2: torch.int16, 4: torch.int32, 8: torch.int64}[x.element_size()]).long()
        return torch.where(i < 0, -(i & (2 ** (8 * x.element_size() - 1) - 1)), i)

    return (ordered(a) - ordered(b)).abs()
