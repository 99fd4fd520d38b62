"""The networks of one model of an ensemble, and what those of all models say together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from dropkit.core import DataError, NoMatchError
from dropkit.infer.members import Outputs
from dropkit.infer.outputs import Finish
from dropkit.infer.plain import shared_copy
from dropkit.infer.prediction import Mode, Moments, Prediction, Task
from dropkit.infer.thinned import Thinned
from dropkit.nn import BatchEnsemble, Masksembles
from dropkit.random import child_seed, stream
from dropkit.surgery import Plan, attached


@dataclass(frozen=True)
class Options:
    """What is asked of all models."""

    members: int | None
    seed: int | None
    task: Task | None
    outputs: str
    axis: int
    keep: bool
    must_drop: bool = True
    shared: bool = True
    mode: Literal["auto", "vmap", "expand", "loop"] = "auto"
    memory: int | None = None
    progress: bool | None = False


class Runner:
    """Runs the networks of one model, on a copy."""

    def __init__(
        self, model: nn.Module, plan: Plan | None, index: int, options: Options, finish: Finish
    ) -> None:
        self.index = index
        self._model, self._finish = shared_copy(model), finish
        if plan is not None and not any(
            getattr(held, "plan", None) == plan for held in attached(self._model)
        ):
            plan.apply(self._model)
        self._seed = 0 if options.seed is None else child_seed(options.seed, f"model {index}")
        self._thinned = Thinned(
            self._model,
            seed=self._seed,
            shared=options.shared,
            mode=options.mode,
            memory=options.memory,
            finish=finish,
        )
        self._drops = False

    def drops(self, batch: tuple[Any, ...], kwargs: Mapping[str, Any], axis: tuple[int, int]) -> bool:
        """Make the sites drop, and return whether there are any."""
        try:
            self._thinned.look(batch, kwargs, axis)
        except NoMatchError:
            return False
        self._drops = True
        return True

    def networks(
        self, batch: tuple[Any, ...], kwargs: Mapping[str, Any], axis: tuple[int, int], members: int | None
    ) -> Iterator[tuple[Mode, Outputs]]:
        """Yield what the networks say about a batch, and how that was computed; their axis is the first."""
        if self._drops and members is not None:
            yield from self._thinned.chunks(batch, kwargs, axis, members, members)
            return
        inside = self._inside()
        for member in range(members if members is not None and inside > 1 else inside):
            with stream(self._seed, rank=0, member=member, shared_axis=axis):
                found = self._finish(self._model(*batch, **kwargs))
            count = 1 if members is None or inside > 1 else members  # equal ones
            yield "loop", {name: value.expand(count, *value.shape) for name, value in found.items()}

    def close(self) -> None:
        """Let go of the copy; nothing more can be asked."""
        self._thinned.close()

    def _inside(self) -> int:
        """Return the number of members of the ensembles inside the model, 1 without any."""
        kinds = (Masksembles, BatchEnsemble)
        return math.lcm(*(module.members for module in self._model.modules() if isinstance(module, kinds)))


class Gathered:
    """Moments of the outputs of all networks for one batch, by name."""

    def __init__(self, finish: Finish, keep: bool) -> None:
        self._finish, self._keep = finish, keep
        self._moments: dict[str, Moments] = {}
        self._like: dict[str, Tensor] = {}
        self._modes: set[Mode] = set()

    def add(self, outputs: Outputs, mode: Mode, model: int) -> None:
        """Take the outputs of networks of a model, which are their first axis."""
        self._like = self._like or {name: value[0] for name, value in outputs.items()}
        found = {name: value[0] for name, value in outputs.items()}
        if _shapes(found) != _shapes(self._like):
            raise DataError(
                f"the models of an ensemble must return the same, got {_shapes(found)} from model {model} and "
                f"{_shapes(self._like)} from model 0"
            )
        self._modes.add(mode)
        for name, value in outputs.items():
            self._finish.check(value)
            self._moments.setdefault(name, Moments(self._finish.task, self._keep)).add(value)

    def predictions(self) -> dict[str, Prediction]:
        """Return what they say together; the mode is that of the models if they share one."""
        mode = next(iter(self._modes)) if len(self._modes) == 1 else "loop"
        return {name: held.prediction(mode, self._like[name].dtype) for name, held in self._moments.items()}


def _shapes(outputs: Mapping[str, Tensor]) -> str:
    return ", ".join(f"{name} {tuple(value.shape)}" for name, value in outputs.items())
