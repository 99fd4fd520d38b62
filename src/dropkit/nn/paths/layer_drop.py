"""LayerDrop: skip whole layers of a stack."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dropkit.core import ModuleError, ShapeError, Variant, register
from dropkit.nn.module import RateModule
from dropkit.ops.draws import draw_keep
from dropkit.ops.rate import Rate, resolve_rate
from dropkit.random.draw import can_branch_on_data


class LayerDrop(RateModule):
    """Runs the layers of a stack one after another, and skips each with probability ``rate`` in training.

    A skipped layer hands its input on, and nothing is rescaled; one coin a layer and forward, for the whole batch.
    In eval mode all layers run. In eager code a skipped layer costs nothing; in compiled code and under ``vmap`` every
    layer is computed and the coin selects, with the same result. Random layers of the stack should have a ``site``:
    unnamed ones are counted as they run, so the coins decide what they draw.

    Args:
        layers: ``nn.Sequential`` or ``nn.ModuleList`` of layers, each from a tensor to one of its shape; it stays
            as it is.
        rate: Probability of skipping, in ``[0, 1]``; or a tensor with one probability a layer, see
            :func:`dropkit.nn.linear_by_depth`.
        site: Name under which an active stream counts its calls.

    Raises:
        ModuleError: ``layers`` is no such stack.

    Reference:
        Fan et al., "Reducing Transformer Depth on Demand with Structured Dropout", ICLR 2020, arXiv:1909.11556,
        sec. 3.
    """

    def __init__(self, layers: nn.Sequential | nn.ModuleList, rate: Rate, *, site: str | None = None) -> None:
        super().__init__(rate, site=site)
        if not isinstance(layers, (nn.Sequential, nn.ModuleList)):
            raise ModuleError(
                f"LayerDrop needs a stack of layers (nn.Sequential or nn.ModuleList), got {type(layers).__name__}"
            )
        self.layers = layers

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Send ``x`` through the layers; further arguments go to each of them.

        Raises:
            ShapeError: A layer returns something else than a tensor of its input's shape.
        """
        for number, (layer, keep) in enumerate(zip(self.layers, self._coins(x), strict=True)):
            if keep is False:
                continue
            y = layer(x, *args, **kwargs)
            if not isinstance(y, Tensor) or y.shape != x.shape:
                got = f"shape {tuple(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
                raise ShapeError(
                    f"LayerDrop can skip only layers that keep the shape of a tensor; layer {number} "
                    f"({type(layer).__name__}) made {got} from shape {tuple(x.shape)}"
                )
            x = y if keep is True else torch.where(keep, y, x)
        return x

    def _coins(self, x: Tensor) -> list[bool | Tensor]:
        """Return what is kept: in eager code booleans, else 0-d tensors on the device of ``x``."""
        count = len(self.layers)
        if not self.training:
            return [True] * count
        host = torch.device("cpu")
        eager = can_branch_on_data(host)
        keep = draw_keep(
            (count,),
            resolve_rate(self.rate),
            host if eager else x.device,
            generator=None,
            site=self.site,
            batched=False,
        )
        return keep.tolist() if eager else list(keep.unbind())


register(
    Variant(
        name="layer_drop",
        family="depth and paths",
        kind="wrapper",
        op=None,
        module=LayerDrop,
        paper='Fan et al., "Reducing Transformer Depth on Demand", ICLR 2020, arXiv:1909.11556',
        year=2020,
        law="each layer of a stack is skipped with probability rate, its input handed on; not rescaled",
        at=("residual",),
        default_rate=0.2,
        samples=True,
        example=lambda: (
            LayerDrop(nn.Sequential(*(nn.Linear(4, 4) for _ in range(6))), 0.2),
            torch.linspace(-1.0, 1.0, 32).view(8, 4),
        ),
    )
)
