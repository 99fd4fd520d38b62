"""Values of which there is one a unit, laid along one axis of an input."""

from __future__ import annotations

from torch import Tensor

from dropkit.core import ShapeError


def check_units(name: str, count: int, x: Tensor, axis: int) -> None:
    """Raise ``ShapeError`` unless ``x`` has ``count`` units along ``axis``."""
    if not -x.ndim <= axis < x.ndim or x.shape[axis] != count:
        raise ShapeError(
            f"{name} has {count} units along axis {axis}, got an input of shape {tuple(x.shape)}"
        )


def along(name: str, values: Tensor, x: Tensor, axis: int) -> Tensor:
    """Return ``values``, one a unit of ``x`` along ``axis`` or a single one, in a shape that broadcasts over ``x``.

    Raises:
        ShapeError: ``x`` has no such axis, or another number of units along it.
    """
    if values.ndim == 0:
        return values
    check_units(name, len(values), x, axis)
    shape = [1] * x.ndim
    shape[axis] = len(values)
    return values.view(shape)


def unit_coins(x: Tensor, axis: int) -> tuple[int, ...]:
    """Return the shape of a mask with one coin a sample and unit, which covers all other positions of ``x``."""
    shape = [1] * x.ndim
    shape[0], shape[axis] = x.shape[0], x.shape[axis]
    return tuple(shape)
