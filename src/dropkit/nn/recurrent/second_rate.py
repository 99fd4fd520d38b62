"""A second rate beside a module's own, which it may leave to follow that one."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from dropkit.core import RateError
from dropkit.nn.module import RateModule, shown
from dropkit.ops.rate import Rate, accept_rate, resolve_rate


class SecondRate:
    """An attribute that holds a rate, checked when it is set, or None: the same as ``rate``."""

    def __set_name__(self, owner: type, name: str) -> None:
        """Learn the attribute's name."""
        self._name = name

    def __get__(self, module: RateModule | None, owner: type) -> Any:
        """Return what was set; of the class, this descriptor."""
        return self if module is None else module.__dict__[f"_{self._name}"]

    def __set__(self, module: RateModule, rate: Rate | None) -> None:
        """Check it and keep it."""
        if isinstance(rate, nn.Parameter):
            raise RateError(f"{self._name} must not be a parameter, which no gradient would reach; detach it")
        module.__dict__[f"_{self._name}"] = None if rate is None else accept_rate(rate, self._name)


def resolved(module: RateModule, second: Rate | None) -> tuple[float | Tensor, float | Tensor]:
    """Return the pair of rates that a call uses: the module's own, and ``second`` or the same again."""
    own = resolve_rate(module.rate)
    return own, own if second is None else resolve_rate(second)


def shown_beside(name: str, second: Rate | None) -> str:
    """Return the second rate as ``print(module)`` shows it after the first."""
    return "" if second is None else f", {name}={shown(second)}"
