"""Ensembles of whole models, which predict as the members of one model do."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import nn

from dropkit.core import ConfigError, DataError, NoMatchError, whole_number
from dropkit.infer.inputs import batch_of, check_device
from dropkit.infer.loading import calls, loader_of
from dropkit.infer.networks import Gathered, Options, Runner
from dropkit.infer.outputs import ALONE, Finish, whole_of
from dropkit.infer.prediction import Prediction, Task
from dropkit.infer.progress import Told, length
from dropkit.infer.varying import settled
from dropkit.surgery import Plan

Model = nn.Module | tuple[nn.Module, Plan | None]


class Ensemble:
    """Several models whose predictions are averaged. Made by :func:`dropkit.ensemble`.

    Attributes:
        parts: The models, each with its plan, or None where it has none but what is attached to it.
    """

    def __init__(self, members: Iterable[Model]) -> None:
        single = isinstance(members, nn.Module) and not isinstance(members, nn.ModuleList)
        if single or not isinstance(members, Iterable):
            raise ConfigError(f"an ensemble is made of a list of models, got a {type(members).__name__}")
        self.parts = tuple(_part(member, index) for index, member in enumerate(members))
        if not self.parts:
            raise ConfigError("an ensemble needs at least one model, got none")

    def __len__(self) -> int:
        """Number of models."""
        return len(self.parts)

    def __repr__(self) -> str:
        return f"Ensemble({', '.join(type(model).__name__ for model, _ in self.parts)})"

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write weights and plans to one new folder: safetensors and JSON, never pickle, all of it or nothing.

        The architecture is code and stays where it is; :func:`dropkit.infer.load_ensemble` is given it as a factory.

        Args:
            folder: A path where nothing is yet, or an empty folder.

        Raises:
            FolderError: It cannot be written, or something is there.
            ConfigError: A model has state that is no tensor.
        """
        from dropkit.infer.ensemble_folder import save_ensemble  # it needs this module

        save_ensemble(self, folder)

    def predict(
        self,
        *inputs: Any,
        members: int | None = None,
        seed: int | None = None,
        task: Task | None = None,
        outputs: Literal["logits", "probabilities"] = "logits",
        batch_dim: int = 0,
        keep_members: bool = False,
        **forward_kwargs: Any,
    ) -> Prediction | dict[str, Prediction]:
        """Average the models: mean and variance over all networks, each of equal weight.

        Without ``members`` a model is run in eval mode and is one network, or as many as the ensembles in it
        (``Masksembles``, ``BatchEnsemble``) have members. With it every model is ``members`` thinned networks, each the
        same for all samples; a model that does not drop is then as many equal ones. The models are not touched.

        Args:
            inputs: What the models' forward takes; or one ``DataLoader``, as for :func:`dropkit.predict`.
            members: Number of thinned networks of each model, at least 1, or None.
            seed: Root of the masks; with ``members`` only.
            task: See :func:`dropkit.predict`, also for what follows.
            outputs: What a classifier returns.
            batch_dim: Axis of the batch in inputs, activations and outputs.
            keep_members: Whether ``Prediction.members`` is wanted, in the order of the models.
            forward_kwargs: Keyword arguments of the forward.

        Returns:
            Prediction: or a dict of them, where the models return a dict of tensors.

        Raises:
            NoMatchError: ``members`` is given and no model drops; or the outputs of all networks are equal.
            PlanError: A site is random in a way that cannot be reached.
            ConfigError: An argument makes no sense.
            DataError: Inputs or outputs cannot be used, or differ in shape or name between the models.

        Reference:
            Lakshminarayanan et al., "Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles",
            NeurIPS 2017, arXiv:1612.01474, sec. 2.4.
        """
        _check(members, seed, task, outputs)
        options = Options(
            members=members, seed=seed, task=task, outputs=outputs, axis=batch_dim, keep=keep_members
        )
        return self._average(inputs, forward_kwargs, options)

    def as_it_drops(
        self,
        *inputs: Any,
        members: int,
        seed: int,
        share_masks: bool,
        task: Task | None,
        outputs: str,
        batch_dim: int,
        mode: Literal["auto", "vmap", "expand", "loop"],
        memory: int | None,
        keep_members: bool,
        progress: bool | None,
        **forward_kwargs: Any,
    ) -> Prediction | dict[str, Prediction]:
        """Predict with ``members`` thinned networks of each model, or with the models as they are if none drops."""
        options = Options(
            members=members,
            seed=seed,
            task=task,
            outputs=outputs,
            axis=batch_dim,
            keep=keep_members,
            must_drop=False,
            shared=share_masks,
            mode=mode,
            memory=memory,
            progress=progress,
        )
        return self._average(inputs, forward_kwargs, options)

    def _average(
        self, inputs: tuple[Any, ...], forward_kwargs: Mapping[str, Any], options: Options
    ) -> Prediction | dict[str, Prediction]:
        finish = Finish(options.task, options.outputs)
        members = options.members
        runners = [
            Runner(model, plan, index, options, finish) for index, (model, plan) in enumerate(self.parts)
        ]
        parts: list[dict[str, Prediction]] = []
        sizes: list[int] = []
        told = Told(length(loader_of(inputs)), options.progress)
        with torch.inference_mode():
            for batch, named in told.batches(calls(self.parts[0][0], inputs, forward_kwargs)):
                axis = batch_of(batch, named, options.axis)
                sizes.append(axis[1])
                for model, _ in self.parts:
                    check_device(model, (batch, named))
                if members is not None and not parts and not _find_sites(runners, batch, named, axis):
                    if options.must_drop:
                        raise NoMatchError(
                            f"members={members} asks for thinned networks, and no model of the ensemble drops; leave "
                            "members and seed out"
                        )
                    members = None
                gathered = Gathered(finish, options.keep)
                for runner in runners:
                    for way, found in runner.networks(batch, named, axis, members):
                        gathered.add(found, way, runner.index)
                parts.append(gathered.predictions())
        if not parts:
            raise DataError("the DataLoader is empty; there is nothing to predict")
        for runner in runners:
            runner.close()
        _check_varies(parts)
        whole = {name: whole_of(name, [part[name] for part in parts], axis[0], sizes) for name in parts[0]}
        return whole[ALONE] if finish.alone else whole


def ensemble(members: Iterable[Model]) -> Ensemble:
    """Return an ensemble of models, each trained by itself.

    Args:
        members: Models; or pairs of a model and a plan, which is applied to a copy of the model where it predicts, so
            that one model can be several members with another pattern of dropout each. Models may share parameters, and
            may have plans attached or ensembles of their own inside (``Masksembles``, ``BatchEnsemble``).

    Raises:
        ConfigError: There is no model, or something is neither a model nor such a pair.

    Example:
        >>> import torch, dropkit as dk
        >>> nets = [torch.nn.Linear(3, 2) for _ in range(4)]
        >>> dk.ensemble(nets).predict(torch.ones(5, 3), task="classification").mean.shape
        torch.Size([5, 2])
    """
    return Ensemble(members)


def _find_sites(
    runners: Sequence[Runner], batch: tuple[Any, ...], kwargs: Mapping[str, Any], axis: tuple[int, int]
) -> bool:
    """Make all sites of all models drop, and return whether there are any."""
    return sum(runner.drops(batch, kwargs, axis) for runner in runners) > 0


def _part(member: Any, index: int) -> tuple[nn.Module, Plan | None]:
    if isinstance(member, nn.Module):
        return member, None
    if isinstance(member, tuple) and len(member) == 2:
        model, plan = member
        if isinstance(model, nn.Module) and isinstance(plan, Plan | None):
            return model, plan
    raise ConfigError(
        f"member {index} of an ensemble must be a model or a pair of a model and a plan, got {type(member).__name__}"
    )


def _check(members: Any, seed: Any, task: Any, outputs: Any) -> None:
    if members is not None and (whole_number(members) is None or members < 1):
        raise ConfigError(f"members must be a whole number of at least 1, or None, got {members!r}")
    if (members is None) != (seed is None):
        raise ConfigError(
            "members and seed belong together: give both for thinned networks, none for the models as they are"
        )
    if task not in (None, "classification", "regression"):
        raise ConfigError(f"task must be one of None, 'classification', 'regression', got {task!r}")
    if outputs not in ("logits", "probabilities"):
        raise ConfigError(f"outputs must be 'logits' or 'probabilities', got {outputs!r}")


def _check_varies(parts: list[dict[str, Prediction]]) -> None:
    found = [prediction for part in parts for prediction in part.values()]
    if not any(bool(prediction.mean.isfinite().any()) for prediction in found):
        raise DataError(
            "the models' outputs are NaN or infinite for all samples; look for such values in the inputs and weights"
        )
    varies = any(bool((prediction.variance > 0).any()) for prediction in found)
    if found[0].n_members > 1 and not varies and not all(map(settled, found)):
        raise NoMatchError(
            f"the outputs of all {found[0].n_members} networks are equal: in eval mode the models are the same; give"
            " members= and seed= where plans tell them apart, or other weights"
        )
