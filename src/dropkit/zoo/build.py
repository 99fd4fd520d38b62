"""One door to all models: a built-in name or a factory."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from dropkit.core import ConfigError, unknown_name
from dropkit.zoo.alexnet import AlexNet
from dropkit.zoo.cnn import CNN
from dropkit.zoo.factory import call_factory, is_reference, unknown_option
from dropkit.zoo.mlp import MLP

_MODELS: dict[str, Callable[..., nn.Module]] = {"alexnet": AlexNet, "cnn": CNN, "mlp": MLP}
MODEL_NAMES = tuple(sorted(_MODELS))


def build_model(name: str, *, input_shape: Sequence[int], outputs: int, **options: Any) -> nn.Module:
    """Build a model with new weights, drawn from torch's global generator (the caller seeds it).

    Args:
        name: ``"mlp"``, ``"cnn"``, ``"alexnet"``, or ``"package.module:factory"``. A factory is called with
            ``options``, and with ``input_shape`` and ``outputs`` if it has parameters of these names.
        input_shape: Shape of one input, without the batch axis.
        outputs: Classes, or target columns: the size of the model's last axis.
        **options: Options of the model: ``widths`` (mlp, cnn), ``batch_norm`` and ``hidden`` (cnn), ``width`` and
            ``init`` (alexnet), or the factory's own.

    Raises:
        UnknownNameError: there is no such model, option or factory.
        ConfigError: an option has an illegal value, or the factory failed or returned no ``nn.Module``.
        ShapeError: the model cannot take inputs of this shape.
    """
    if name in _MODELS:
        accepted = set(inspect.signature(_MODELS[name]).parameters) - {"input_shape", "outputs"}
        for option in options:
            if option not in accepted:
                raise unknown_option(f"model {name}", option, accepted)
        return _MODELS[name](tuple(input_shape), outputs, **options)
    if not is_reference(name):
        raise unknown_name("model", name, [*_MODELS, "package.module:factory"])
    offered = {"input_shape": tuple(input_shape), "outputs": outputs}
    model = call_factory(name, offered=offered, options=options)
    if not isinstance(model, nn.Module):
        raise ConfigError(f"factory {name!r} must return a torch.nn.Module, got {type(model).__name__}")
    return model
