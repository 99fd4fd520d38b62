"""FractalNet's join of columns: the mean of those that survive."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dropkit.core import DtypeError, OptionError, ShapeError
from dropkit.ops.draws import draw_keep, draw_uniform
from dropkit.ops.rate import Rate
from dropkit.ops.reference import check_input


def fractal_drop_path(
    x: Sequence[Tensor] | Tensor,
    rate: Rate,
    *,
    training: bool,
    column: Tensor | None = None,
    generator: torch.Generator | None = None,
    site: str | None = None,
) -> Tensor:
    """Join columns by the mean of those that survive; each is dropped with probability ``rate``, but never all.

    Local sampling: every column of a sample has a coin of its own, and where all ``K`` fall, one of them, each as
    likely as another, survives. So a column survives with probability ``1 - rate + rate**K / K``, and as all are
    alike, ``E[y]`` is the mean of the columns, which is also the output in eval mode. Global sampling, for the rows
    with ``column >= 0``: that column alone survives.

    Args:
        x: The ``K >= 1`` columns, each of shape ``(N, *)``, or a tensor ``(K, N, *)``; floating point.
        rate: Probability (dimensionless, per column and sample) of *dropping*, in ``[0, 1]``; a tensor broadcasts to
            ``(N, K)``.
        training: If false, the mean of all columns is returned and no random number is drawn.
        column: Whole numbers, shape ``(N,)``: the only column of each row, or -1 for local sampling. Give the same to
            all joins of a network; :meth:`dropkit.nn.FractalDropPath.choose` draws it. None: all local.
        generator: Source of the masks' keys, drawn from twice. Default: the active stream, else PyTorch's generator.
        site: Name under which an active stream counts this call, and ``"<site>:survivor"`` another one.

    Returns:
        Shape ``(N, *)``, dtype and device of the columns. Dropped columns leave no trace, even where not finite.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        DtypeError: A column is not floating point.
        ShapeError: There is no column, they differ in shape, or ``column`` has not one number a row.
        OptionError: ``column`` names a column that is not there.

    Reference:
        Larsson et al., "FractalNet: Ultra-Deep Neural Networks without Residuals", ICLR 2017, arXiv:1605.07648,
        sec. 3. *Departures*: coins a sample (theirs: a mini-batch).
    """
    columns = list(x)
    if not columns:
        raise ShapeError("fractal_drop_path needs at least one column, got none")
    used = check_input("fractal_drop_path", columns[0], rate, training=training)
    first = columns[0]
    if first.ndim == 0 or any(other.shape != first.shape for other in columns):
        shapes = ", ".join(str(tuple(other.shape)) for other in columns)
        raise ShapeError(f"fractal_drop_path needs columns of one shape (N, *), got {shapes}")
    if any(other.dtype != first.dtype for other in columns):
        raise DtypeError(f"fractal_drop_path needs columns of one dtype, got {[c.dtype for c in columns]}")
    if not training:
        return _mean(columns, None)
    shape = (first.shape[0], len(columns))
    keep = draw_keep(shape, used, first.device, generator=generator, site=site)
    second = None if site is None else f"{site}:survivor"
    survivor = draw_uniform(shape[:1], first.device, generator=generator, site=second) * len(columns)
    numbers = torch.arange(len(columns), device=first.device)
    keep = keep | (~keep.any(dim=1, keepdim=True) & (survivor.long().unsqueeze(1) == numbers))
    if column is not None:
        _check_column(column, *shape)
        chosen = column.to(first.device).unsqueeze(1)
        keep = torch.where(chosen >= 0, chosen == numbers, keep)
    return _mean(columns, keep)


def _mean(columns: list[Tensor], keep: Tensor | None) -> Tensor:
    dtype = columns[0].dtype
    wide = [column.to(torch.promote_types(dtype, torch.float32)) for column in columns]
    if keep is None:
        return (torch.stack(wide).sum(dim=0) / len(wide)).to(dtype)
    trailing = (1,) * (columns[0].ndim - 1)
    kept = [torch.where(keep[:, k].view(-1, *trailing), column, 0.0) for k, column in enumerate(wide)]
    return (torch.stack(kept).sum(dim=0) / keep.sum(dim=1).view(-1, *trailing)).to(dtype)


def _check_column(column: Tensor, rows: int, columns: int) -> None:
    if column.shape != (rows,) or column.is_floating_point():
        raise ShapeError(
            f"column must be whole numbers of shape ({rows},), one a row, got {column.dtype} of shape "
            f"{tuple(column.shape)}"
        )
    if not torch.compiler.is_compiling() and column.device.type == "cpu" and bool((column >= columns).any()):
        raise OptionError(f"column must be below {columns}, the number of columns, got {int(column.max())}")
