"""What acts at a residual sum whose branch is no module's output, and variants that need both of its terms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dropkit.core import variant
from dropkit.surgery.drop import Drop
from dropkit.surgery.forms import acts_on_a_sum
from dropkit.surgery.plans import Plan, Site

_WRITING = (Tensor.add_, Tensor.__iadd__)


class BranchDrop(Drop):
    """Drops one term of a call of ``+``, or makes the sum itself.

    Args:
        plan: The plan it belongs to.
        site: Its site.
    """

    def __init__(self, plan: Plan, site: Site) -> None:
        super().__init__(plan, site)
        self._sums = acts_on_a_sum(variant(site.variant))

    def add(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], training: bool
    ) -> Any:
        """Call ``func``, an addition, with its branch dropped."""
        given = {**dict(zip(("input", "other"), args, strict=False)), **kwargs}
        terms = [given.pop("input"), given.pop("other")]
        place, first = self.site.argument, terms[0]
        if "alpha" in given:
            terms[1] = terms[1] * given.pop("alpha")
        writes = func in _WRITING
        if writes and (place == 0 or self._sums):
            terms[0] = first.clone()  # autograd may need it as it was
        if self._sums:
            value = self.tensor(terms[1 - place], training, branch=terms[place])
            return first.copy_(value) if writes else value
        terms[place] = self.tensor(terms[place], training)
        if writes and place == 0:
            return first.copy_(torch.add(*terms))
        return func(*terms, **given)
