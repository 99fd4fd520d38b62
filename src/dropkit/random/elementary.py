"""Logarithm, square root, cosine and sine from operations that IEEE arithmetic rounds the same everywhere.

Libraries of functions differ in the last bit by device, by vector width and by place in the tensor. So normal variates
are the same bit for bit wherever they are made, in native kernels and in plain torch: each step here is one of the
kernels' (``generate.h``), in the same order.

Reference:
    The polynomials of Sun's fdlibm (``e_log.c``, ``k_sin.c``, ``k_cos.c``), errors below 1 ulp.
"""

from __future__ import annotations

import torch
from torch import Tensor

_ONE, _LOWEST = 0x3FF0000000000000, 0x3FE6A09E00000000  # the bits of 1.0, and of sqrt(1/2) rounded down
_MANTISSA = 0x000FFFFFFFFFFFFF
_SINE = (
    -1.66666666666666324348e-01,
    8.33333333332248946124e-03,
    -1.98412698298579493134e-04,
    2.75573137070700676789e-06,
    -2.50507602534068634195e-08,
    1.58969099521155010221e-10,
)
_COSINE = (
    4.16666666666666019037e-02,
    -1.38888888888741095749e-03,
    2.48015872894767294178e-05,
    -2.75573143513906633035e-07,
    2.08757232129817482790e-09,
    -1.13596475577881948265e-11,
)


def logarithm(x: Tensor) -> Tensor:
    """Return the natural logarithm of normal fp64 numbers in ``(0, 1)``."""
    bits = x.view(torch.int64) + (_ONE - _LOWEST)
    k = ((bits >> 52) - 1023).double()
    f = ((bits & _MANTISSA) + _LOWEST).view(torch.float64) - 1.0  # of the mantissa in [sqrt(1/2), sqrt(2))
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    t1 = w * _polynomial(w, 3.999999999940941908e-01, 2.222219843214978396e-01, 1.531383769920937332e-01)
    t2 = z * _polynomial(
        w,
        6.666666666666735130e-01,
        2.857142874366239149e-01,
        1.818357216161805012e-01,
        1.479819860511658591e-01,
    )
    half_square = 0.5 * f * f
    rest = s * (half_square + (t1 + t2)) + k * 1.90821492927058770002e-10
    return k * 6.93147180369123816490e-01 - ((half_square - rest) - f)


def square_root(x: Tensor) -> Tensor:
    """Return square roots of positive fp64 numbers, correctly rounded, as processors do and ``torch.sqrt`` may not.

    One step of Newton's method from ``torch.sqrt``, with the residual ``x - r * r`` exact by Dekker's product.
    """
    r = x.sqrt()
    shifted = r * 134217729.0
    high = shifted - (shifted - r)
    low = r - high
    square = r * r
    rest = ((high * high - square) + 2.0 * high * low) + low * low
    return r + ((x - square) - rest) / (2.0 * r)


def cosine_sine(word: Tensor) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of ``word / 2**32`` turns, for int64 numbers in ``[0, 2**32)``."""
    quarter = (word + (1 << 29)) >> 30
    x = (
        word - (quarter << 30)
    ).double() * 1.4629180792671596e-09  # exact to here: at most an eighth of a turn
    z = x * x
    s = x + x * z * _polynomial(z, *_SINE)
    c = 1.0 - (0.5 * z - z * z * _polynomial(z, *_COSINE))
    swapped = (quarter & 1) == 1
    a, b = torch.where(swapped, s, c), torch.where(swapped, c, s)
    return torch.where(((quarter + 1) & 2) == 2, -a, a), torch.where((quarter & 2) == 2, -b, b)


def _polynomial(x: Tensor, *coefficients: float) -> Tensor:
    """Return the polynomial with these coefficients, from the constant one on, by Horner's rule."""
    *others, last = coefficients
    sum_ = x * last
    for coefficient in reversed(others[1:]):
        sum_ = x * (coefficient + sum_)
    return others[0] + sum_
