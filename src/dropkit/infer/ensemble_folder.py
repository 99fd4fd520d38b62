"""An ensemble on disk: one folder with the weights of each model and what is attached to it, and no code."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from dropkit.core import ConfigError, FolderError
from dropkit.infer.ensembling import Ensemble
from dropkit.infer.snapshots import put
from dropkit.surgery import AppliedPlan, Plan, attached

_INDEX = "ensemble.json"

Factory = Callable[[], nn.Module]


class _Member(BaseModel):
    model_config = ConfigDict(extra="forbid")
    weights: Annotated[str, Field(pattern=r"^model-\d+\.safetensors$")]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    attached: list[str]  # plans, as Plan.to_json() writes them
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
            such function a member. What had been attached to the models is attached again.

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
        plan = None if member.plan is None else Plan.from_json(member.plan)
        parts.append(made[member.weights] if plan is None else (made[member.weights], plan))
    return Ensemble(parts)


def _model(path: Path, member: _Member, make: Factory, number: int) -> nn.Module:
    model = make()
    if not isinstance(model, nn.Module):
        raise ConfigError(f"the factory must return a torch.nn.Module, got {type(model).__name__}")
    put(model, _read_weights(path / member.weights, member.sha256), f"member {number} ({member.weights})")
    held = [handle.plan for handle in attached(model) if isinstance(handle, AppliedPlan)]
    for text in member.attached:
        plan = Plan.from_json(text)
        if plan not in held:  # a factory may have attached it
            plan.apply(model)
    return model.eval()


def _tensors(model: nn.Module, number: int) -> dict[str, Tensor]:
    found = {}
    for name, value in model.state_dict().items():
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
