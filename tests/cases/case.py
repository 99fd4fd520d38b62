"""What a case is: a model that somebody else wrote, and what is random in it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import nn

import dropkit as dk


class Planted(NamedTuple):
    """A random site: kind, rate (None: unknown), and whether its rate can be set."""

    kind: str
    rate: float | None
    controllable: bool = True


@dataclass(frozen=True)
class Case:
    """A model with what is known about it.

    Args:
        name: A short name.
        make: Makes the model; the same weights at every call.
        example: What its forward takes: positional arguments, or keyword arguments.
        sites: What is random in it, by the ids of the audit.
        rules: A plan that it takes.
        refused: Pattern of the text with which ``dk.predict`` refuses it; None where it can be sampled.
        member: What ``dk.predict`` is given besides.
        mixes: Whether what it returns for a sample depends on the others of the batch.
    """

    name: str
    make: Callable[[], nn.Module]
    example: tuple[Any, ...] | dict[str, Any]
    sites: dict[str, Planted]
    rules: tuple[dk.Rule, ...] = ()
    refused: str | None = None
    member: dict[str, Any] = field(default_factory=dict)
    mixes: bool = False

    @property
    def given(self) -> tuple[Any, ...]:
        """The example as ``dk.audit`` takes it."""
        return (self.example,) if isinstance(self.example, dict) else self.example

    def call(self, model: nn.Module) -> Any:
        """Run a forward of the example."""
        return model(**self.example) if isinstance(self.example, dict) else model(*self.example)

    def predict(self, model: nn.Module, **options: Any) -> Any:
        """Run ``dk.predict`` on the example."""
        options = {"members": 24, **self.member, **options}
        if isinstance(self.example, dict):
            return dk.predict(model, **self.example, **options)
        return dk.predict(model, *self.example, **options)


def seeded(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """Return ``make`` with weights that do not depend on the state of torch's generator, nor change it."""

    def made() -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(20)
            return make()

    return made


def ramp(*shape: int) -> torch.Tensor:
    """Return a tensor without zeros and without two equal rows."""
    count = torch.Size(shape).numel()
    return torch.linspace(-1.0, 1.0, count).add(0.01).reshape(shape)
