"""Ensembles of one model at several points of its training."""

from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from dropkit.core import ConfigError, DataError
from dropkit.infer.ensembling import Ensemble, ensemble

State = Mapping[str, Tensor] | str | os.PathLike[str]


def snapshots(model: nn.Module, states: Iterable[State]) -> Ensemble:
    """Return the ensemble of a model with several sets of weights, such as those at the ends of a cyclic schedule.

    Args:
        model: The architecture, with what is attached to it; it is copied and stays as it is.
        states: One a member: a ``state_dict``, or the path of one, written by ``safetensors`` (``*.safetensors``) or by
            ``torch.save``, which is read without unpickling code.

    Raises:
        DataError: A file cannot be read, or holds no ``state_dict``.
        ConfigError: A state does not fit the model, or there is none.

    Reference:
        Huang et al., "Snapshot Ensembles: Train 1, Get M for Free", ICLR 2017, arXiv:1704.00109.
    """
    if isinstance(states, (Mapping, str, os.PathLike)):
        raise ConfigError(
            f"snapshots takes a list of states, got a {type(states).__name__}; put it in a list"
        )
    made = []
    for index, state in enumerate(states):
        loaded = copy.deepcopy(model)
        put(loaded, read(state), f"snapshot {index}")
        made.append(loaded)
    return ensemble(made)


def read(state: State) -> Mapping[str, Any]:
    """Return a ``state_dict``, read from a file where it is the path of one."""
    if isinstance(state, Mapping):
        return state
    if not isinstance(state, (str, os.PathLike)):
        raise ConfigError(f"a snapshot must be a state_dict or the path of one, got a {type(state).__name__}")
    path = Path(state)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(
            f"cannot read weights from {path}: it holds more than tensors, or is damaged; save model.state_dict()"
        ) from error
    except Exception as error:  # a file of something else may fail in any way
        reason = (str(error).splitlines() or [""])[0]
        raise DataError(f"cannot read weights from {path}: {type(error).__name__}: {reason}") from error
    if not isinstance(found, Mapping):
        raise DataError(f"{path} holds a {type(found).__name__}, not a state_dict; save model.state_dict()")
    return found


def put(model: nn.Module, state: Mapping[str, Any], what: str) -> None:
    """Load a ``state_dict`` into a model, all of it, or raise ``ConfigError`` that begins with ``what``."""
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{what} does not fit the model: {reason}") from error
