"""What every module of this room has: a rate, a site, and a name to print."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from dropkit.ops.rate import Rate, accept_rate


class RateModule(nn.Module):
    """A module with a drop rate, active only in training mode.

    Args:
        rate: Probability of dropping, in ``[0, 1]``: a number, a floating-point tensor that broadcasts over the
            mask, a parameter, or a schedule. It may be set at any time, and is checked then. Only numbers are
            constants of compiled code: with the others a change compiles nothing again. A parameter is a
            parameter of the module, called ``rate``; no gradient reaches it through a mask.
        site: Name under which an active stream counts its calls. None: the next unnamed call.
    """

    def __init__(self, rate: Rate, *, site: str | None = None) -> None:
        super().__init__()
        self._rate: Rate = 0.0
        self.rate = rate
        self.site = site

    @property
    def rate(self) -> Rate:
        """Probability of dropping, in ``[0, 1]``."""
        parameter = self._parameters.get("rate")
        return self._rate if parameter is None else parameter

    @rate.setter
    def rate(self, value: Rate) -> None:
        value = accept_rate(value)
        self._parameters.pop("rate", None)
        if isinstance(value, nn.Parameter):
            self._parameters["rate"] = value
        else:
            self._rate = value

    def __setattr__(self, name: str, value: Any) -> None:
        """Let a property take a parameter, which ``nn.Module`` would register and refuse for its name."""
        if hasattr(getattr(type(self), name, None), "__set__"):
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return f"rate={shown(self.rate)}" + ("" if self.site is None else f", site={self.site!r}")


def shown(rate: Rate) -> str:
    """Return a rate as ``print(module)`` shows it."""
    if isinstance(rate, float):
        return f"{rate:g}"
    if isinstance(rate, Tensor):
        kind = "parameter" if isinstance(rate, nn.Parameter) else "tensor"
        return f"<{kind} of shape {tuple(rate.shape)}, mean {rate.detach().float().mean():g}>"
    return repr(rate)
