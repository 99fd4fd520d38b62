"""The registry of dropout variants: what exists, what it does, where it comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from dropkit.core.errors import unknown_name

if TYPE_CHECKING:
    from torch import Tensor, nn

Kind = Literal["op", "module", "objective", "schedule", "wrapper", "ensemble"]


@dataclass(frozen=True, slots=True)
class Variant:
    """One entry of the catalogue.

    Args:
        name: Unique lower-case name, also the name of ``op``.
        family: Group it is listed under, e.g. ``"unit noise"``.
        kind: What the entry mainly is.
        op: Stateless function, or None.
        module: Module class, or None.
        paper: Authors, title, venue, and identifier of the source.
        year: Year of the source.
        law: What is dropped, with mean and variance of the output, as text.
        at: Places of a model (``at=`` of a rule) that it is meant for.
        default_rate: Probability of dropping used where none is given, or None if it has no rate.
        samples: Whether it may stay active at prediction, to sample from the model.
        example: Returns a module and an input it accepts.
        acts_in_eval: Whether it changes what it is given in eval mode, too.
    """

    name: str
    family: str
    kind: Kind
    op: Callable[..., Tensor] | None
    module: type[nn.Module] | None
    paper: str
    year: int
    law: str
    at: tuple[str, ...]
    default_rate: float | None
    samples: bool
    example: Callable[[], tuple[nn.Module, Any]]
    acts_in_eval: bool = False


_VARIANTS: dict[str, Variant] = {}


def register(entry: Variant) -> Variant:
    """Add ``entry`` to the catalogue; a name can be taken only once."""
    if entry.name in _VARIANTS:
        raise ValueError(f"variant {entry.name!r} is already registered")
    _VARIANTS[entry.name] = entry
    return entry


def catalogue() -> list[Variant]:
    """Return every registered variant, sorted by name."""
    return [_VARIANTS[name] for name in sorted(_VARIANTS)]


def variant(name: str) -> Variant:
    """Return the variant called ``name``; raise ``UnknownNameError`` with the nearest name otherwise."""
    if name not in _VARIANTS:
        raise unknown_name("variant", name, _VARIANTS)
    return _VARIANTS[name]
