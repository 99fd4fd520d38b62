"""What every module of this room has: a rate, a site, and a name to print."""

from __future__ import annotations

from torch import nn

from dropkit.core import check_rate


class RateModule(nn.Module):
    """A module with a drop rate, active only in training mode.

    Args:
        rate: Probability of dropping, in ``[0, 1]``; may be set at any time, and is checked then.
        site: Name under which an active stream counts its calls. None: the next unnamed call.
    """

    def __init__(self, rate: float, *, site: str | None = None) -> None:
        super().__init__()
        self._rate = check_rate(rate)
        self.site = site

    @property
    def rate(self) -> float:
        """Probability of dropping, in ``[0, 1]``."""
        return self._rate

    @rate.setter
    def rate(self, value: float) -> None:
        self._rate = check_rate(value)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return f"rate={self.rate:g}" + ("" if self.site is None else f", site={self.site!r}")
