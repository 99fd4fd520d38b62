"""The weights of a finished run as a safetensors file."""

from __future__ import annotations

import os
from itertools import chain
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from dropkit.core import DataError, FolderError


def weights_of(model: nn.Module) -> bytes:
    """Return every parameter and buffer of ``model``, by name, as the content of a safetensors file.

    Those outside the ``state_dict`` count; those that have no shape yet are left out. Equal weights are equal bytes.
    """
    named = {name: value for name, value in _named(model).items() if not is_lazy(value)}
    return save({name: value.detach().cpu().contiguous().clone() for name, value in named.items()})


def load_weights(path: str | os.PathLike[str], model: nn.Module) -> None:
    """Write the weights that :func:`weights_of` made into ``model``, in place.

    Args:
        path: The file.
        model: Built as it was when the weights were taken, whatever is attached to it included.

    Raises:
        FolderError: The file is missing or cannot be read.
        DataError: It is damaged, or holds the weights of another model.
    """
    file = Path(path)
    try:
        found = load_file(file)
    except OSError as error:
        raise FolderError(
            f"cannot read weights {file}: {error.strerror or 'no such file'}; correct the path"
        ) from error
    except SafetensorError as error:
        raise DataError(f"weights {file} are damaged ({error}); delete the file and its run") from error
    own = _named(model)
    wrong = sorted(own.keys() ^ found.keys()) or [
        name for name, value in own.items() if found[name].shape != value.shape
    ]
    if wrong:
        raise DataError(
            f"weights {file} are of another model ({wrong[0]} differs); use the model they come from"
        )
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(found[name])


def _named(model: nn.Module) -> dict[str, Tensor]:
    return dict(chain(model.named_parameters(), model.named_buffers()))
