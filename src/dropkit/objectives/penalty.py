"""The sum of what a model's modules with learned noise ask to be added to its loss."""

from __future__ import annotations

from torch import Tensor, nn

from dropkit.core import NoMatchError
from dropkit.nn.learned.penalised import Penalised


def penalty(model: nn.Module) -> Tensor:
    """Return the sum of ``penalty()`` over the modules of ``model`` that have one, as a 0-d tensor with gradients.

    A module that is used twice counts once. What a penalty is to be divided by stands with each module: those of
    variational modules belong to the sum of the losses of the training set, Concrete's to its mean.

    Args:
        model: Any module; all that are inside count.

    Returns:
        A 0-d tensor, on the device of the first of them.

    Raises:
        NoMatchError: No module has a penalty.
        PenaltyError: A penalty depends on the input, and there was no forward pass in training mode yet.
    """
    parts = [module.penalty() for module in model.modules() if isinstance(module, Penalised)]
    if not parts:
        raise NoMatchError(
            f"{type(model).__name__} has no module with a penalty, such as dropkit.nn.ConcreteDropout"
        )
    total = parts[0]
    for part in parts[1:]:
        total = total + part.to(total.device)
    return total
