"""Stochastic filter groups: each unit learns whether it serves one task or all."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dropkit.core import OptionError, Variant, register
from dropkit.nn.tasks.task import Task, check_count, for_task
from dropkit.ops.draws import draw_uniform


class StochasticFilterGroups(nn.Module):
    """Assigns each unit to one task or to all of them, at random, with probabilities that are learned.

    Unit ``u`` belongs to the shared group with probability ``p[u, 0]`` and to task ``t`` with ``p[u, t + 1]``, where
    ``p = softmax(logits)``. In training the choice is relaxed, so that gradients reach the logits: with ``g`` from the
    Gumbel distribution and ``w[u] = softmax((logits[u] + g[u]) / temperature)``, task ``t`` is given
    ``x[u] * (w[u, 0] + w[u, t + 1])``; near temperature 0 that is ``x[u]`` with probability ``p[u, 0] + p[u, t + 1]``,
    else 0. One draw a call, for the whole batch. In eval mode every unit goes to its likeliest group.

    Args:
        tasks: Number of tasks.
        units: Number of units, the length of the second axis of the input.
        temperature: Softness of the choice (dimensionless), positive; may be set at any time, to let it cool.
        site: Name under which an active stream counts its calls.

    Attributes:
        task: Number of the task that calls are for where they name none; None: each has to name its own.
        logits: Parameter of shape ``(units, tasks + 1)``, first the shared group; zeros at first.

    Raises:
        OptionError: ``tasks`` or ``units`` is no positive int, or ``temperature`` not positive.

    Reference:
        Bragman et al., "Stochastic Filter Groups for Multi-Task CNNs", ICCV 2019, eq. 1-4, arXiv:1908.09597; the
        relaxation: Jang et al., ICLR 2017, arXiv:1611.01144. *Departures*: any number of tasks (theirs: two); acts on
        units of one layer, and what enters the next is what it lets through.
    """

    task = Task()

    def __init__(self, tasks: int, units: int, temperature: float = 1.0, *, site: str | None = None) -> None:
        super().__init__()
        self.tasks = check_count("tasks", tasks)
        self.units = check_count("units", units)
        self.task = None
        self.temperature = temperature
        self.site = site
        self.logits = nn.Parameter(torch.zeros(units, tasks + 1))

    @property
    def temperature(self) -> float:
        """Softness of the choice, positive."""
        return self._temperature

    @temperature.setter
    def temperature(self, value: float) -> None:
        legal = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not legal or not 0.0 < value < math.inf:
            raise OptionError(f"temperature must be a positive number, got {value!r}")
        self._temperature = float(value)

    def forward(self, x: Tensor, task: int | Tensor | None = None) -> Tensor:
        """Return ``x``, shape ``(N, units, *)``, times what ``task`` is given of each unit.

        Args:
            x: Input.
            task: Number of the task, or one number a row, shape ``(N,)``. None: the attribute ``task``.
        """
        weights = self._relaxed() if self.training else self._likeliest()
        given = (weights[:, :1] + weights[:, 1:]).T
        share = for_task("stochastic_filter_groups", given, self.task if task is None else task, x)
        return torch.where(share == 0.0, 0.0, x * share.to(x.dtype))

    def _relaxed(self) -> Tensor:
        uniform = draw_uniform(
            self.logits.shape, self.logits.device, generator=None, site=self.site, batched=False
        )
        gumbel = -(-uniform.log()).log()
        return ((self.logits + gumbel) / self.temperature).softmax(1).to(self.logits.dtype)

    def _likeliest(self) -> Tensor:
        groups = torch.arange(self.tasks + 1, device=self.logits.device)
        return (self.logits.argmax(1, keepdim=True) == groups).to(self.logits.dtype)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows in its brackets."""
        site = "" if self.site is None else f", site={self.site!r}"
        return f"tasks={self.tasks}, units={self.units}, temperature={self.temperature:g}{site}"


def _example() -> tuple[StochasticFilterGroups, Tensor]:
    layer = StochasticFilterGroups(tasks=3, units=8)
    layer.task = 1
    return layer, torch.linspace(-1, 1, 256).view(16, 8, 2)


register(
    Variant(
        name="stochastic_filter_groups",
        family="multi-task",
        kind="module",
        op=None,
        module=StochasticFilterGroups,
        paper='Bragman et al., "Stochastic Filter Groups for Multi-Task CNNs", ICCV 2019, arXiv:1908.09597',
        year=2019,
        law="each unit serves all tasks or one, chosen by learned probabilities p (relaxed while training): task t is "
        "given x with probability p_shared + p_t, else 0",
        at=("hidden", "conv"),
        default_rate=None,
        samples=True,
        example=_example,
    )
)
