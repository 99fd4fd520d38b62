"""An ensemble on disk: one folder with the weights of each model and what is attached to it, and no code."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from dropkit.core import ConfigError, FolderError, PlanError
from dropkit.infer.ensembling import Ensemble
from dropkit.infer.snapshots import put
from dropkit.surgery import AppliedPlan, Plan, attached
from dropkit.surgery.auditing.audit import rated_modules
from dropkit.surgery.auditing.known import rate_attribute
from dropkit.surgery.saving import site_tensors
from dropkit.surgery.tree import Tree

_INDEX = "ensemble.json"
_SITE = "dropkit site: "  # before the names of tensors that a state_dict does not have

Factory = Callable[[], nn.Module]


class _Member(BaseModel):
    model_config = ConfigDict(extra="forbid")
    weights: Annotated[str, Field(pattern=r"^model-\d+\.safetensors$")]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    attached: list[str]  # plans, as Plan.to_json() writes them
    rates: dict[str, float]  # of modules that drop, by their names
    plan: str | None


class _Index(BaseModel):
    model_config = ConfigDict(extra="forbid")
    schema_: Literal[1] = Field(default=1, alias="schema")
    kind: Literal["dropkit ensemble"] = "dropkit ensemble"
    members: Annotated[list[_Member], Field(min_length=1)]


def save_ensemble(ensemble: Ensemble, folder: str | os.PathLike[str]) -> None:
    """Write an ensemble to a new folder, all of it or nothing; see :meth:`Ensemble.save`."""
    path = Path(folder)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise FolderError(f"{path} exists and is not an empty folder; choose another, or delete it")
    fresh = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        fresh.mkdir(parents=True)
        try:
            files: dict[int, tuple[str, str]] = {}
            for number, (model, _) in enumerate(ensemble.parts):
                if id(model) not in files:  # one model may be several members
                    name = f"model-{number}.safetensors"
                    content = save(_tensors(model, number))
                    _write(fresh / name, content)
                    files[id(model)] = name, hashlib.sha256(content).hexdigest()
            members = [
                _Member(
                    weights=files[id(model)][0],
                    sha256=files[id(model)][1],
                    attached=[
                        held.plan.to_json() for held in attached(model) if isinstance(held, AppliedPlan)
                    ],
                    rates={
                        name: float(getattr(module, attribute)) for name, module, attribute in _rated(model)
                    },
                    plan=None if plan is None else plan.to_json(),
                )
                for model, plan in ensemble.parts
            ]
            text = _Index(members=members).model_dump_json(by_alias=True, indent=1)
            _write(fresh / _INDEX, (text + "\n").encode())
            _sync(fresh)
            os.replace(fresh, path)
            _sync(path.parent)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
    except OSError as error:
        raise FolderError(f"cannot write an ensemble to {path}: {error.strerror or error}") from error


def load_ensemble(folder: str | os.PathLike[str], factory: Factory | Sequence[Factory]) -> Ensemble:
    """Return the ensemble that :meth:`Ensemble.save` wrote.

    Args:
        folder: The folder.
        factory: Returns a new model of the members' architecture, of which the folder knows only the weights; or one
            such function a member. What had been attached to the models is attached again; they have the rates and
            the dtypes of those that were saved.

    Raises:
        FolderError: The folder or a file of it is missing, damaged, or of another schema.
        ConfigError: The weights do not fit the models of the factory.
        PlanError: What was attached cannot be attached to them.
    """
    path = Path(folder)
    index = _read_index(path)
    count = len(index.members)
    factories = list(factory) if isinstance(factory, Sequence) else [factory] * count
    if len(factories) != count:
        raise ConfigError(f"the ensemble in {path} has {count} members, got {len(factories)} factories")
    made: dict[str, nn.Module] = {}
    parts: list[Any] = []
    for number, (member, make) in enumerate(zip(index.members, factories, strict=True)):
        if member.weights not in made:
            made[member.weights] = _model(path, member, make, number)
        plan = None if member.plan is None else _plan(path, member.plan)
        parts.append((made[member.weights], plan))
    return Ensemble(parts)


def _model(path: Path, member: _Member, make: Any, number: int) -> nn.Module:
    if isinstance(make, nn.Module) or not callable(make):
        raise ConfigError(
            f"the factory must be a function that returns a new model, or one a member, got {type(make).__name__}"
        )
    model = make()
    if not isinstance(model, nn.Module):
        raise ConfigError(f"the factory must return a torch.nn.Module, got {type(model).__name__}")
    held = [handle.plan for handle in attached(model) if isinstance(handle, AppliedPlan)]
    for plan in (_plan(path, text) for text in member.attached):
        if plan not in held:  # a factory may have attached it
            plan.apply(model)
    what = f"member {number} ({member.weights})"
    state = _read_weights(path / member.weights, member.sha256)
    own = _state(model)
    for name, value in state.items():
        if name in own and own[name].is_floating_point() and value.is_floating_point():
            own[name].data = own[name].data.to(value.dtype)
    put(Tree(model).root, {name: value for name, value in state.items() if not name.startswith(_SITE)}, what)
    with torch.no_grad():
        for name, tensor in own.items():
            if name.startswith(_SITE):
                tensor.copy_(state[name])
    _set_rates(model, member.rates, what)
    return model.eval()


def _set_rates(model: nn.Module, rates: dict[str, float], what: str) -> None:
    rated = {name: (module, attribute) for name, module, attribute in _rated(model)}
    if rated.keys() != rates.keys():
        name = min(rated.keys() ^ rates.keys())
        raise ConfigError(f"{what} does not fit the model: module {name!r} drops in one of them only")
    for name, (module, attribute) in rated.items():
        if getattr(module, attribute) != rates[name]:
            setattr(module, attribute, rates[name])


def _rated(model: nn.Module) -> list[tuple[str, nn.Module, str]]:
    """Return the modules that keep a rate, each with its name and the attribute."""
    return [
        (name, module, rate_attribute(module) or "dropout") for name, module in rated_modules(Tree(model))
    ]


def _plan(path: Path, text: str) -> Plan:
    try:
        return Plan.from_json(text)
    except PlanError as error:
        raise FolderError(f"{path / _INDEX}: {error}") from error


def _state(model: nn.Module) -> dict[str, Any]:
    """Return the state of a model by name, and the tensors of its sites that are no part of it; nothing is copied."""
    state = dict(Tree(model).root.state_dict(keep_vars=True))
    known = {id(value) for value in state.values()}
    for handle in attached(model):
        if isinstance(handle, AppliedPlan):
            tensors = site_tensors(model, handle.plan)
            state |= {_SITE + name: tensor for name, tensor in tensors.items() if id(tensor) not in known}
    return state


def _tensors(model: nn.Module, number: int) -> dict[str, Tensor]:
    found = {}
    for name, value in _state(model).items():
        if not isinstance(value, Tensor):
            raise ConfigError(
                f"state {name!r} of model {number} is a {type(value).__name__}, not a tensor, and cannot be saved "
                "without pickle"
            )
        found[name] = value.detach().cpu().clone().contiguous()  # tied weights must not share memory there
    return found


def _read_index(path: Path) -> _Index:
    try:
        text = (path / _INDEX).read_bytes()
    except OSError as error:
        raise FolderError(
            f"{path} is no folder of an ensemble: cannot read {_INDEX}: {error.strerror}"
        ) from error
    try:
        return _Index.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise FolderError(f"{path / _INDEX}: {where}: {first['msg']}, got {first['input']!r:.60}") from error


def _read_weights(path: Path, digest: str) -> dict[str, Tensor]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FolderError(f"cannot read {path}: {error.strerror}; the ensemble is not complete") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise FolderError(f"{path} is damaged or another file: its SHA-256 is not that in {_INDEX}")
    try:
        return load(content)
    except SafetensorError as error:
        raise FolderError(f"{path} is damaged: {error}") from error


def _write(path: Path, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
