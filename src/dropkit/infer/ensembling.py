"""Ensembles of whole models, which predict as the members of one model do."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from dropkit.core import ConfigError, DataError, NoMatchError, whole_number
from dropkit.infer.inputs import batch_of, check_device
from dropkit.infer.loading import calls
from dropkit.infer.outputs import ALONE, Finish
from dropkit.infer.plain import shared_copy
from dropkit.infer.prediction import Moments, Prediction, Task, joined
from dropkit.nn import BatchEnsemble, Masksembles
from dropkit.random import child_seed, stream
from dropkit.surgery import Plan, attached
from dropkit.surgery.sampling import Sampler, sampler

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
        return self._average(
            inputs, forward_kwargs, members, seed, task, outputs, batch_dim, keep_members, must_drop=True
        )

    def as_it_drops(
        self,
        *inputs: Any,
        members: int,
        seed: int,
        task: Task | None,
        outputs: str,
        batch_dim: int,
        keep_members: bool,
        **forward_kwargs: Any,
    ) -> Prediction | dict[str, Prediction]:
        """Predict with ``members`` thinned networks of each model, or with the models as they are if none drops."""
        return self._average(
            inputs, forward_kwargs, members, seed, task, outputs, batch_dim, keep_members, must_drop=False
        )

    def _average(
        self,
        inputs: tuple[Any, ...],
        forward_kwargs: Mapping[str, Any],
        members: int | None,
        seed: int | None,
        task: Task | None,
        outputs: str,
        batch_dim: int,
        keep_members: bool,
        *,
        must_drop: bool,
    ) -> Prediction | dict[str, Prediction]:
        runners = [_Runner(model, plan, index, seed) for index, (model, plan) in enumerate(self.parts)]
        finish = Finish(task, outputs)
        parts: list[dict[str, Prediction]] = []
        with torch.inference_mode():
            for batch, named in calls(self.parts[0][0], inputs, forward_kwargs):
                axis = batch_of(batch, named, batch_dim)
                for model, _ in self.parts:
                    check_device(model, (batch, named))
                if members is not None and not parts and not _find_sites(runners, batch, named):
                    if must_drop:
                        raise NoMatchError(
                            f"members={members} asks for thinned networks, and no model of the ensemble drops; leave "
                            "members and seed out"
                        )
                    members = None
                gathered = _Gathered(task, keep_members)
                for runner in runners:
                    for value, count in runner.networks(batch, named, axis, members):
                        gathered.add(finish(value), count, runner.index)
                parts.append(gathered.predictions())
        if not parts:
            raise DataError("the DataLoader is empty; there is nothing to predict")
        _check_varies(parts)
        whole = {name: joined([part[name] for part in parts], batch_dim) for name in parts[0]}
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


class _Runner:
    """Runs the networks of one model, on a copy."""

    def __init__(self, model: nn.Module, plan: Plan | None, index: int, seed: int | None) -> None:
        self.index = index
        self._model = shared_copy(model)
        self._seed = 0 if seed is None else child_seed(seed, f"model {index}")
        if plan is not None and not any(
            getattr(held, "plan", None) == plan for held in attached(self._model)
        ):
            plan.apply(self._model)
        self._sampler: Sampler | None = None

    def drops(self, batch: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """Make the sites drop, and return whether there are any."""
        try:
            self._sampler = sampler(self._model, batch, kwargs)
        except NoMatchError:
            return False
        return True

    def networks(
        self, batch: tuple[Any, ...], kwargs: Mapping[str, Any], axis: tuple[int, int], members: int | None
    ) -> Iterator[tuple[Any, int]]:
        """Yield what each network says about a batch, and for how many equal ones it stands."""
        model = self._model if self._sampler is None else self._sampler.model
        inside = self._inside()
        alike = members is not None and self._sampler is None and inside == 1
        count = inside if members is None else 1 if alike else members
        for member in range(count):
            with stream(self._seed, rank=0, member=member, shared_axis=axis):
                value = model(*batch, **kwargs)
            if self._sampler is not None:
                self._sampler.check()
            yield value, members if alike and members is not None else 1

    def _inside(self) -> int:
        """Return the number of members of the ensembles inside the model, 1 without any."""
        kinds = (Masksembles, BatchEnsemble)
        return math.lcm(*(module.members for module in self._model.modules() if isinstance(module, kinds)))


class _Gathered:
    """Moments of the outputs of all networks for one batch, by name."""

    def __init__(self, task: Task | None, keep: bool) -> None:
        self._task, self._keep = task, keep
        self._moments: dict[str, Moments] = {}
        self._like: dict[str, Tensor] = {}

    def add(self, outputs: Mapping[str, Tensor], count: int, model: int) -> None:
        """Take the outputs of ``count`` equal networks of a model."""
        self._like = self._like or dict(outputs)
        if _shapes(outputs) != _shapes(self._like):
            raise DataError(
                f"the models of an ensemble must return the same, got {_shapes(outputs)} from model {model} and "
                f"{_shapes(self._like)} from model 0"
            )
        for name, value in outputs.items():
            moments = self._moments.setdefault(name, Moments(self._task, self._keep))
            moments.add(value.expand(count, *value.shape))

    def predictions(self) -> dict[str, Prediction]:
        """Return what they say together."""
        return {name: held.prediction("loop", self._like[name].dtype) for name, held in self._moments.items()}


def _find_sites(runners: Sequence[_Runner], batch: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Make all sites of all models drop, and return whether there are any."""
    return sum(runner.drops(batch, kwargs) for runner in runners) > 0


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


def _shapes(outputs: Mapping[str, Tensor]) -> str:
    return ", ".join(f"{name} {tuple(value.shape)}" for name, value in outputs.items())


def _check_varies(parts: list[dict[str, Prediction]]) -> None:
    found = [prediction for part in parts for prediction in part.values()]
    if found[0].n_members > 1 and not any(bool((prediction.variance > 0).any()) for prediction in found):
        raise NoMatchError(
            f"the outputs of all {found[0].n_members} networks are equal: in eval mode the models are the same; give"
            " members= and seed= where plans tell them apart, or other weights"
        )
