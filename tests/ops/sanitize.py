"""The kernels under AddressSanitizer and UBSan: `make sanitize` builds them so, and runs this.

Every form, dtype and instruction set, at every size from 0 to 300, other layouts, and attention. A read or write
outside the tensors, or undefined behaviour, ends the program with a report.
"""

import torch

import dropkit as dk
from dropkit.ops import fused, kernels

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def rows(n: int, dtype: torch.dtype) -> None:
    x, other = torch.randn(n).to(dtype).requires_grad_(), torch.randn(n).to(dtype)
    with dk.random.stream(n, sample=3):
        outputs = [
            dk.ops.dropout(x, 0.3, training=True),
            dk.ops.alpha_dropout(x, 0.3, training=True),
            dk.ops.gaussian_dropout(x, 0.3, training=True),
            dk.ops.additive_gaussian_noise(x, 0.3, training=True),
            fused.relu_dropout(x, 0.3, training=True),
            fused.gelu_dropout(x, 0.3, training=True),
            fused.silu_dropout(x, 0.3, training=True),
            fused.dropout_add(x, other, 0.3, training=True),
        ]
        if n:
            outputs.append(fused.bias_dropout_add(x.view(1, n), other, other.view(1, n), 0.3, training=True))
        sum(y.sum() for y in outputs).backward()


def layouts(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape).to(memory_format=torch.channels_last).requires_grad_()
    with dk.random.stream(1):
        outputs = [
            dk.ops.dropout(x, 0.3, training=True),
            dk.ops.spatial_dropout2d(x, 0.3, training=True),
            fused.relu_dropout(x, 0.3, training=True),
            dk.ops.dropout(x.transpose(1, 3)[::2], 0.5, training=True),
        ]
        sum(y.sum() for y in outputs).backward()


def attention(batch: int, heads: int, queries: int, keys: int, width: int) -> None:
    q, k, v = (torch.randn(batch, heads, n, width, requires_grad=True) for n in (queries, keys, keys))
    bias, allowed = torch.randn(queries, keys), torch.rand(queries, keys) > 0.3
    for options in ({}, {"is_causal": True}, {"mask": bias}, {"mask": allowed}):
        with dk.random.stream(2):
            dk.ops.attention(q, k, v, rate=0.3, training=True, **options).sum().backward()


if __name__ == "__main__":
    for name in kernels.status().supported[:-1]:  # all but the reference
        kernels.use(name)
        for n in range(301):
            for dtype in DTYPES:
                rows(n, dtype)
        for shape in ((1, 1, 1, 1), (2, 3, 5, 7), (3, 16, 9, 11), (2, 20, 31, 3), (4, 3, 17, 64)):
            layouts(shape)
        for sizes in (
            (1, 1, 1, 1, 1),
            (2, 3, 7, 5, 8),
            (1, 2, 65, 257, 16),
            (2, 2, 64, 256, 64),
            (1, 1, 130, 300, 33),
        ):
            attention(*sizes)
        print(name, "clean")
