"""Masksembles as a module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dropkit.core import Variant, register
from dropkit.nn.ensembles.make_masks import make_masks
from dropkit.ops import masksembles


class Masksembles(nn.Module):
    """Module form of :func:`dropkit.ops.masksembles`: an ensemble of overlapping parts of one network.

    The masks are made when the module is, and are the buffer ``masks``. Members take turns over the rows of a batch,
    in training and in eval mode. To predict, give each input once a member: ``model(x.repeat_interleave(members, 0))``,
    whose outputs ``.unflatten(0, (-1, members))`` has a row of members for each input; or call the model under
    ``dropkit.random.stream(seed, member=k)`` for ``k`` in ``range(members)``.

    Args:
        features: Size ``C`` of the second axis of its input.
        members: Number of members.
        scale: How little the members overlap, at least 1: at 1 they are all the same, two masks share about one in
            ``scale`` of their features, and with a large scale the network is cut in disjoint parts.
        seed: Decides the masks.
        site: Name of the site.

    Raises:
        OptionError: An argument is outside its range, or no masks with that overlap exist.
    """

    masks: Tensor

    def __init__(
        self, features: int, members: int, scale: float, *, seed: int, site: str | None = None
    ) -> None:
        super().__init__()
        self.register_buffer("masks", make_masks(features, members, scale, seed))
        self.scale = float(scale)
        self.seed = seed
        self.site = site

    @property
    def members(self) -> int:
        """Number of members."""
        return self.masks.shape[0]

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x``, shape ``(N, C, *)``."""
        return masksembles(x, self.masks, site=self.site)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        members, features = self.masks.shape
        shown = f"features={features}, members={members}, scale={self.scale:g}, seed={self.seed}"
        return shown + ("" if self.site is None else f", site={self.site!r}")


register(
    Variant(
        name="masksembles",
        family="ensembles",
        kind="ensemble",
        op=masksembles,
        module=Masksembles,
        paper='Durasov et al., "Masksembles for Uncertainty Estimation", CVPR 2021, arXiv:2012.08334',
        year=2021,
        law="each member keeps its own fixed features, two members share about one in scale of them; not rescaled",
        at=("hidden", "conv", "fc"),
        default_rate=None,
        samples=True,
        example=lambda: (Masksembles(16, 4, 2.0, seed=1), torch.linspace(1.0, 2.0, 128).view(8, 16)),
    )
)
