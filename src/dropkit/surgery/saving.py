"""Plans on disk: what is attached to a model, as JSON, and the tensors that belong to it beside that."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from dropkit.core import PlanError
from dropkit.surgery.applying import AppliedPlan, apply, drops_on
from dropkit.surgery.attached import attached
from dropkit.surgery.plans import Plan
from dropkit.surgery.tree import Tree
from dropkit.surgery.widths import check_widths, widths_at

SCHEMA = 1
_FORMAT = {"format": "dropkit-plan"}


def save_plan(path: str | os.PathLike[str], model: nn.Module) -> None:
    """Write what plans have attached to ``model``, to be attached again by :func:`load_plan`.

    The rules and sites are JSON at ``path``. Tensors that belong to the sites (parameters and buffers of learned
    variants, the weights that mixout falls back to) are in a file of the same name with the suffix ``.safetensors``,
    if there are any. Nothing of the model itself is saved: its state_dict is yours. Each file is there as a whole or
    not at all.

    Args:
        path: Name of the JSON file, in a folder that exists.
        model: A model with at least one plan applied; several are saved as their sum.

    Raises:
        PlanError: No plan is attached, a rate is code, or a file of that name is something else.
    """
    file, beside = _files(path)
    plans = [handle.plan for handle in attached(model) if isinstance(handle, AppliedPlan)]
    if not plans:
        raise PlanError("the model has no plan attached, so there is nothing to save; apply one first")
    plan: Plan = reduce(add, plans)
    tensors = {name: t.detach().cpu().contiguous().clone() for name, t in site_tensors(model, plan).items()}
    body: dict[str, Any] = {"schema": SCHEMA, "plan": json.loads(plan.to_json()), "tensors": None}
    tree = Tree(model)
    widths = {site.id: found for site in plan.sites if (found := widths_at(tree, site))}
    if widths:  # plans of earlier versions have none
        body["widths"] = widths
    if tensors:
        if beside.exists() and _format_of(beside) != _FORMAT:
            raise PlanError(f"{beside} exists and is not of a plan; choose another name than {file.name!r}")
        data = save(tensors, metadata=_FORMAT)
        body["tensors"] = hashlib.sha256(data).hexdigest()
        _write(beside, data)
    _write(file, (json.dumps(body, sort_keys=True, indent=1) + "\n").encode())


def load_plan(path: str | os.PathLike[str], model: nn.Module) -> AppliedPlan:
    """Attach to ``model`` what :func:`save_plan` wrote, all of it or, on any error, nothing.

    Args:
        path: Name of the JSON file.
        model: The model that the plan was attached to, or one with modules of the same names and types.

    Returns:
        The handle, as of :meth:`Plan.apply`.

    Raises:
        NoMatchError: A site's module is not in the model; the text names the site.
        PlanError: A file is missing, damaged or of another schema, or a site does not fit the model: its module is of
            another type, or what it has learned is about another number of features.
    """
    file, beside = _files(path)
    try:
        body = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise PlanError(f"there is no plan at {file}; write one with dropkit.save_plan") from None
    except (OSError, ValueError) as error:
        raise PlanError(f"{file} cannot be read as a plan: {error}") from None
    if not isinstance(body, dict) or not {"schema", "plan", "tensors"} <= body.keys():
        raise PlanError(f"{file} is not a plan as dropkit.save_plan writes it")
    if body["schema"] != SCHEMA:
        raise PlanError(f"{file} has schema {body['schema']!r}, this version reads {SCHEMA}; save it again")
    plan = Plan.from_json(json.dumps(body["plan"]))
    widths = _widths(body.get("widths", {}), file)
    tensors = {} if body["tensors"] is None else _read(beside, body["tensors"])
    applied = apply(plan, model)
    try:
        tree = Tree(model)
        for site in plan.sites:
            check_widths(tree, site, widths.get(site.id, {}))
        _fill(site_tensors(model, plan), tensors, beside)
    except BaseException:
        applied.revert()
        raise
    return applied


def _widths(given: Any, file: Path) -> dict[str, dict[str, int]]:
    whole = isinstance(given, dict) and all(
        isinstance(site, dict) and all(type(units) is int for units in site.values())
        for site in given.values()
    )
    if not whole:
        raise PlanError(f"{file}: widths must be numbers of units, by site and module, got {given!r}")
    found: dict[str, dict[str, int]] = given
    return found


def _files(path: str | os.PathLike[str]) -> tuple[Path, Path]:
    file = Path(path)
    if file.suffix == ".safetensors":
        raise PlanError(
            f"{file} is the name of the file of tensors; give that of the JSON file, e.g. 'plan.json'"
        )
    return file, file.with_suffix(".safetensors")


def site_tensors(model: nn.Module, plan: Plan) -> dict[str, Tensor]:
    """Return the tensors of the sites of ``plan``, not copied, by ``<site>/<name>``."""
    found: dict[str, Mapping[str, Tensor]] = {site.id: {} for site in plan.sites}
    for module in Tree(model).modules.values():
        for drop in drops_on(module):
            if drop.site.id in found:
                found[drop.site.id] = drop.tensors(module)
    return {f"{site}/{name}": tensor for site, own in found.items() for name, tensor in own.items()}


def _fill(own: Mapping[str, Tensor], saved: Mapping[str, Tensor], file: Path) -> None:
    # single numbers were saved without an axis by earlier versions
    saved = {k: x.reshape(1) if not x.ndim and k in own and own[k].ndim else x for k, x in saved.items()}
    for name in own.keys() | saved.keys():
        if name not in saved:
            raise PlanError(f"{file} lacks the tensor {name!r} of a site; save the plan again")
        if name not in own:
            raise PlanError(
                f"{file} has a tensor {name!r}, which no site of the plan has; save the plan again"
            )
        if own[name].shape != saved[name].shape:
            raise PlanError(
                f"site {name.rpartition('/')[0]!r}: {name!r} has shape {tuple(own[name].shape)} in this model, "
                f"{tuple(saved[name].shape)} in {file}; the plan was saved on another model"
            )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(saved[name])


def _read(file: Path, digest: str) -> dict[str, Tensor]:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise PlanError(f"the tensors of the plan are missing: {error}; save the plan again") from None
    if hashlib.sha256(data).hexdigest() != digest:
        raise PlanError(f"{file} is damaged, or of another plan: its checksum is wrong; save the plan again")
    with safe_open(file, framework="pt") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  (no mapping)


def _format_of(file: Path) -> dict[str, str] | None:
    try:
        with safe_open(file, framework="pt") as opened:
            format: dict[str, str] | None = opened.metadata()
    except (SafetensorError, OSError):
        return None
    return format


def _write(file: Path, data: bytes) -> None:
    """Write a file that is there as a whole or not at all, whatever happens meanwhile."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        with open(fresh, "wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        os.replace(fresh, file)
    except BaseException as error:
        fresh.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise PlanError(
                f"cannot write {file}: {error.strerror}; choose a folder that can be written"
            ) from None
        raise
