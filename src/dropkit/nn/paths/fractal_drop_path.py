"""FractalNet's join as a module."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import ShapeError, Variant, check_rate, register
from dropkit.nn.module import RateModule
from dropkit.ops import fractal_drop_path
from dropkit.ops.draws import draw_uniform


class FractalDropPath(RateModule):
    """Module form of :func:`dropkit.ops.fractal_drop_path`: call it with the columns to join.

    For global sampling draw the columns once a forward, and give them to every join::

        column = FractalDropPath.choose(len(x), 4, device=x.device) if self.training else None
        y = self.join(a, b, c, d, column=column)
    """

    def forward(self, *columns: Tensor, column: Tensor | None = None) -> Tensor:
        """Join ``columns``, each of shape ``(N, *)``; ``column`` as in the op."""
        return fractal_drop_path(columns, self.rate, training=self.training, column=column, site=self.site)

    @staticmethod
    def choose(
        rows: int,
        columns: int,
        share: float = 0.5,
        *,
        device: torch.device | str = "cpu",
        generator: torch.Generator | None = None,
        site: str | None = None,
    ) -> Tensor:
        """Draw which samples take a single column through the whole network, and which.

        Args:
            rows: Number ``N`` of samples.
            columns: Number of columns, at least 1.
            share: Probability, in ``[0, 1]``, that a sample takes one column, each as likely as another; the paper's
                is one half.
            device: Where to make it.
            generator: Source of the key. Default: the active stream, else PyTorch's own generator.
            site: Name under which an active stream counts this call.

        Returns:
            int64 of shape ``(N,)``: the column, or -1 for local sampling.
        """
        check_rate(share, "share")
        if columns < 1:
            raise ShapeError(f"columns must be at least 1, got {columns}")
        number = draw_uniform((rows,), torch.device(device), generator=generator, site=site)
        # below `share` a sample takes one column, and where it lies below says which
        return torch.where(number < share, (number * (columns / max(share, 1e-300))).long(), -1)


register(
    Variant(
        name="fractal_drop_path",
        family="depth and paths",
        kind="op",
        op=fractal_drop_path,
        module=FractalDropPath,
        paper='Larsson et al., "FractalNet", ICLR 2017, arXiv:1605.07648',
        year=2017,
        law="the mean of the columns that survive; each falls with probability rate, but never all; mean: of all",
        at=("residual",),
        default_rate=0.15,
        samples=True,
        example=lambda: (
            FractalDropPath(0.15),
            tuple(torch.linspace(k, k + 1.0, 32).view(8, 4) for k in range(3)),
        ),
    )
)
