"""``vit-drop-path``: stochastic depth that grows with depth, on the residual branches of a transformer."""

from __future__ import annotations

from torch import nn

from dropkit.nn import LinearByDepth
from dropkit.surgery.ready.entry import ReadyPlan
from dropkit.surgery.rules import Rule


def make(
    model: nn.Module | None,
    *,
    rate: float = 0.1,
    from_zero: bool = True,
    at: str | tuple[str, ...] = "residual",
) -> list[Rule]:
    """Drop residual branches of samples, those of a block at one rate: from 0 for the first block to ``rate``."""
    return [Rule(at=at, on="branch", variant="drop_path", rate=LinearByDepth(rate, from_zero))]


PLAN = ReadyPlan(
    name="vit-drop-path",
    paper='Touvron et al., "Training Data-Efficient Image Transformers", ICML 2021, arXiv:2012.12877, table 9; after '
    'Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016, arXiv:1603.09382',
    needs="residual connections, which are found by following example_inputs",
    make=make,
    notes=(
        "vit-drop-path: the first block's rate is 0, as in timm; Huang et al. begin at rate / blocks: from_zero=False",
    ),
)
