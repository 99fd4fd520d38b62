"""``dk.predict``: the average over thinned networks, and how far they disagree."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable
from typing import Any, Literal

import torch
from torch import nn

from dropkit.core import ConfigError, DataError, PlanError
from dropkit.infer.arguments import check_arguments, check_names
from dropkit.infer.ensembling import Ensemble
from dropkit.infer.inputs import batch_of, check_device
from dropkit.infer.loading import calls, loader_of
from dropkit.infer.members import Outputs
from dropkit.infer.outputs import ALONE, Finish, whole_of
from dropkit.infer.prediction import Mode, Moments, Prediction, Task
from dropkit.infer.progress import Told, length
from dropkit.infer.thinned import Thinned
from dropkit.infer.varying import check_varies

_CHECKED = 64  # members at most between two looks at the error
_FEWEST = 16  # members before the first of them


def predict(
    model: nn.Module | Ensemble,
    *inputs: Any,
    members: int = 50,
    seed: int,
    share_masks: bool = True,
    task: Task | None = None,
    outputs: Literal["logits", "probabilities"] = "logits",
    batch_dim: int = 0,
    mode: Literal["auto", "vmap", "expand", "loop"] = "auto",
    memory: int | None = None,
    tolerance: float | None = None,
    keep_members: bool = False,
    progress: bool | None = None,
    **forward_kwargs: Any,
) -> Prediction | dict[str, Prediction]:
    """Average the model over thinned networks: Monte-Carlo dropout, on an unmodified model.

    A copy of the model, which shares its parameters, drops at every stochastic site and is in eval mode otherwise; the
    model itself, its buffers, flags and hooks are not touched, nor is any global random generator used.

    Args:
        model: Any module that a forward pass in training mode shows to be random; or a :func:`dropkit.ensemble`, of
            whose models each is ``members`` networks, or one (see ``Ensemble.predict``) if none of them drops. Then
            ``mode`` and ``memory`` are of each model in turn, and there is no ``tolerance``.
        inputs: What its forward takes; or one ``DataLoader`` that does not shuffle. Of a tuple in it the forward gets
            the first items, as many as it has arguments without a default; of a dict those it has arguments for,
            targets left out; so of a dict that is the only input.
        members: Number of members T, at least 1.
        seed: Root of the masks; member ``m`` of a seed is always the same.
        share_masks: True: a member is one thinned network, the same for every sample and batch. False: every sample has
            masks of its own, by its index in the data.
        task: ``"classification"``: everything is of class probabilities; ``"regression"``: of the outputs, with
            ``Prediction.log_likelihood``; None: of the outputs.
        outputs: What a classifier returns.
        batch_dim: Axis of the batch in inputs and activations, and in outputs if that is where it is.
        mode: How members run. ``"auto"``: the fastest that the model allows, found by trying; see ``Prediction.mode``.
        memory: Bytes that activations may take at once; None: a quarter of what is free. Members run in chunks.
        tolerance: Stop once the largest Monte-Carlo standard error of the mean is at most this; each batch of a
            DataLoader by itself.
        keep_members: Whether ``Prediction.members`` is wanted; it takes T times the memory of the output.
        progress: Whether to say on stderr how far it is, once that takes more than two seconds; None: if stderr is a
            terminal.
        forward_kwargs: Keyword arguments of the forward.

    Returns:
        Prediction: or a dict of them, where the model returns a dict of tensors, or in a regression a pair: then
        ``"mean"`` and ``"log_variance"``.

    Raises:
        NoMatchError: Nothing in the model is random, or no output differs between members.
        PlanError: A site is random in a way that cannot be reached; the text names it.
        StreamError: A site's activation has no axis of the batch's length at ``batch_dim`` under ``share_masks``.
        ConfigError: An argument makes no sense, or the memory does not hold one member.
        DataError: The model's inputs or outputs cannot be used.

    Reference:
        Gal and Ghahramani, "Dropout as a Bayesian Approximation", ICML 2016, arXiv:1506.02142.
    """
    if not isinstance(model, nn.Module | Ensemble):
        raise PlanError(f"the model must be a torch.nn.Module, got {type(model).__name__}")
    members = check_arguments(
        members=members,
        seed=seed,
        share_masks=share_masks,
        task=task,
        outputs=outputs,
        batch_dim=batch_dim,
        mode=mode,
        memory=memory,
        tolerance=tolerance,
        keep_members=keep_members,
        progress=progress,
    )
    if isinstance(model, Ensemble):
        if tolerance is not None:
            raise ConfigError("all models of an ensemble have equally many members; leave out tolerance")
        return model.as_it_drops(
            *inputs,
            members=members,
            seed=seed,
            share_masks=share_masks,
            task=task,
            outputs=outputs,
            batch_dim=batch_dim,
            mode=mode,
            memory=memory,
            keep_members=keep_members,
            progress=progress,
            **forward_kwargs,
        )
    check_names(model, forward_kwargs, inspect.signature(predict).parameters)
    loader = loader_of(inputs)
    if loader is not None and tolerance is not None and keep_members:
        raise ConfigError(
            "with a tolerance every batch of a DataLoader stops at a number of members of its own, which cannot be "
            "kept together; leave out keep_members, or give tensors"
        )
    finish = Finish(task, outputs)
    parts: list[dict[str, Prediction]] = []
    sizes: list[int] = []
    thinned = Thinned(model, seed=seed, shared=share_masks, mode=mode, memory=memory, finish=finish)
    told = Told(length(loader), progress)
    for batch, named in told.batches(calls(model, inputs, forward_kwargs)):
        axis, size = batch_of(batch, named, batch_dim)
        check_device(model, (batch, named))
        with torch.inference_mode():
            most = members if tolerance is None else _between_looks(members)
            chunks = told.members(thinned.chunks(batch, named, (axis, size), members, most), members)
            parts.append(_gather(chunks, tolerance, finish, keep_members))
        sizes.append(size)
    if not parts:
        raise DataError("the DataLoader is empty; there is nothing to predict")
    with torch.inference_mode():
        check_varies(
            [prediction for part in parts for prediction in part.values()], thinned.one, thinned.sites
        )
    thinned.close()
    whole = {name: whole_of(name, [part[name] for part in parts], axis, sizes) for name in parts[0]}
    return whole[ALONE] if finish.alone else whole


def _gather(
    chunks: Iterable[tuple[Mode, Outputs]], tolerance: float | None, finish: Finish, keep: bool
) -> dict[str, Prediction]:
    moments: dict[str, Moments] = {}
    dtypes: dict[str, torch.dtype] = {}
    used: Mode = "loop"
    for way, chunk in chunks:
        used = way
        for name, values in chunk.items():
            finish.check(values)
            moments.setdefault(name, Moments(finish.task, keep)).add(values)
            dtypes[name] = values.dtype
        if tolerance is not None and _is_known(moments.values(), tolerance):
            break
    return {name: held.prediction(used, dtypes[name]) for name, held in moments.items()}


def _is_known(moments: Collection[Moments], tolerance: float) -> bool:
    # of very few members the error may be small by chance, and 0 where none has dropped anything yet
    enough = all(held.count >= _FEWEST for held in moments)
    return enough and 0.0 < max(held.largest_error for held in moments) <= tolerance


def _between_looks(members: int) -> int:
    return max(min(_CHECKED, members // 8), 1)
