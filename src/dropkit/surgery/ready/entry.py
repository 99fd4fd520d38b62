"""What a ready-made plan is: a name, its source, and rules for a model."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from torch import nn

from dropkit.core import OptionError
from dropkit.surgery.rules import Rule


@dataclass(frozen=True, kw_only=True)
class ReadyPlan:
    """A plan that somebody published, ready for models of its kind.

    Args:
        name: What it is called in ``dropkit.plan(model, name)``.
        paper: Authors, title, venue and identifier of the source.
        needs: Parts that a model must have for it, in words.
        make: Returns its rules: ``make(model, **options)``; model None: rules for any model.
        notes: What the source does besides, which no rule can do.
    """

    name: str
    paper: str
    needs: str
    make: Callable[..., list[Rule]]
    notes: tuple[str, ...] = ()

    @property
    def options(self) -> dict[str, Any]:
        """The names of its options, and what they are without being given."""
        _, *rest = inspect.signature(self.make).parameters.values()
        return {option.name: option.default for option in rest}

    def rules(self, model: nn.Module | None = None, **options: Any) -> list[Rule]:
        """Return its rules for ``model``, or for any model.

        Raises:
            OptionError: It has no such option, or the option no such value.
            NoMatchError: The model lacks a part that it needs.
        """
        for given in options:
            if given not in self.options:
                near = get_close_matches(given, self.options, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(self.options)}"
                raise OptionError(f"ready plan {self.name!r} has no option {given!r}; {hint}")
        return self.make(model, **options)
