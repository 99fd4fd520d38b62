"""Task dropout: each task has its own fixed part of the units."""

from __future__ import annotations

import torch
from torch import Tensor

from dropkit.core import Variant, register
from dropkit.nn.module import RateModule
from dropkit.nn.tasks.task import Task, check_count, for_task
from dropkit.ops.draws import draw_uniform
from dropkit.ops.rate import Rate, resolve_rate
from dropkit.ops.reference import select
from dropkit.random import stream


class TaskDropout(RateModule):
    """Drops units by task: a share ``rate`` of them is always zero for a task, in training and at prediction alike.

    Every task keeps ``units - round(rate * units)`` units, drawn once, when the layer is made: for its task a unit is
    ``x``, for the others 0. Units that several tasks keep are shared, those that one task keeps are private; as long
    as every task keeps ``1 / tasks`` of the units, none is left out by all. A higher rate drops what a lower one
    dropped and more. :meth:`roam` moves each task on by one unit.

    Args:
        rate: Share of the units that are dropped for a task, in ``[0, 1]``: one number or schedule for all of them.
        tasks: Number of tasks.
        units: Number of units, the length of the second axis of the input.
        site: Name under which an active stream counts the draws of the masks.

    Attributes:
        task: Number of the task that calls are for where they name none; None: each has to name its own.

    Raises:
        RateError: ``rate`` is outside ``[0, 1]`` or NaN.
        OptionError: ``tasks`` or ``units`` is no positive int.

    Reference:
        Strezoski et al., "Many Task Learning with Task Routing", ICCV 2019, arXiv:1903.12117; roaming and that every
        unit is used: Pascal et al., "Maximum Roaming Multi-Task Learning", AAAI 2021, arXiv:2006.09762.
        *Departures*: none.
    """

    order: Tensor
    visited: Tensor
    task = Task()

    def __init__(self, rate: Rate, tasks: int, units: int, *, site: str | None = None) -> None:
        super().__init__(rate, site=site)
        self.tasks = check_count("tasks", tasks)
        self.units = check_count("units", units)
        self.task = None
        score = self._draw(tasks + 1)
        owner = score[-1].argsort().argsort() % tasks
        owned = owner == torch.arange(tasks).unsqueeze(1)
        # in which order each task would lose its units if its rate grew; those that it owns come last
        self.register_buffer("order", (score[:-1] + owned).argsort(1).argsort(1))
        self.register_buffer("visited", torch.zeros(tasks, units, dtype=torch.bool))

    def kept(self) -> Tensor:
        """Return which units each task keeps, a boolean tensor of shape ``(tasks, units)``."""
        rate = resolve_rate(self.rate)
        dropped = rate * self.units
        return self.order >= (dropped.round() if isinstance(dropped, Tensor) else round(dropped))

    def forward(self, x: Tensor, task: int | Tensor | None = None) -> Tensor:
        """Return ``x``, shape ``(N, units, *)``, with the units that ``task`` does not keep zero.

        Args:
            x: Input.
            task: Number of the task, or one number a row, shape ``(N,)``. None: the attribute ``task``.
        """
        return select(x, for_task("task_dropout", self.kept(), self.task if task is None else task, x), 1.0)

    @torch.no_grad()
    def roam(self) -> None:
        """Let each task take up a random unit that it never had, and give up a random one that it has.

        Called now and then while training, it lets every task see all units in turn, a few at a time. A task that
        has seen all of them, or drops none, stays as it is.
        """
        kept = self.kept()
        self.visited |= kept
        fresh = ~kept & ~self.visited
        score = self._draw(2 * self.tasks).to(self.order.device)
        joins = torch.where(fresh, score[: self.tasks], -1.0).argmax(1, keepdim=True)
        leaves = torch.where(kept, score[self.tasks :], -1.0).argmax(1, keepdim=True)
        swap = fresh.any(1, keepdim=True) & kept.any(1, keepdim=True)
        up, down = self.order.gather(1, joins), self.order.gather(1, leaves)
        self.order.scatter_(1, joins, torch.where(swap, down, up))
        self.order.scatter_(1, leaves, torch.where(swap, up, self.order.gather(1, leaves)))
        self.visited |= self.kept()

    def _draw(self, rows: int) -> Tensor:
        cpu = torch.device("cpu")
        return draw_uniform((rows, self.units), cpu, generator=None, site=self.site, batched=False)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        return f"{super().extra_repr()}, tasks={self.tasks}, units={self.units}"


def _example() -> tuple[TaskDropout, Tensor]:
    with stream(0):  # every example has the same masks
        layer = TaskDropout(0.4, tasks=3, units=10)
    layer.task = 1
    return layer, torch.ones(16, 10, 2)


register(
    Variant(
        name="task_dropout",
        family="multi-task",
        kind="module",
        op=None,
        module=TaskDropout,
        paper='Strezoski et al., "Many Task Learning with Task Routing", ICCV 2019, arXiv:1903.12117; Pascal et al., '
        '"Maximum Roaming Multi-Task Learning", AAAI 2021, arXiv:2006.09762',
        year=2019,
        law="for each task the share rate of the units is 0, always the same ones, until they roam; the others are x",
        at=("hidden", "conv"),
        default_rate=0.4,
        samples=False,
        example=_example,
    )
)
