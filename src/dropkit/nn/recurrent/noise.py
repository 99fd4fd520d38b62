"""Where a variant can act inside one step of a recurrent network."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from dropkit.ops.draws import draw_keep
from dropkit.ops.drop import scale_of
from dropkit.ops.reference import select


class Place(NamedTuple):
    """One direction of one layer, and what runs through it.

    Args:
        name: As in the names of its weights: ``"l0"``, ``"l0_reverse"`` ...
        rows: Number of sequences.
        steps: Number of steps of the longest.
        inputs: Number of features that it reads.
        cells: Number of memory cells.
        units: Number of features of its hidden state; fewer than cells under a projection.
        like: A tensor on the device of the masks.
    """

    name: str
    rows: int
    steps: int
    inputs: int
    cells: int
    units: int
    like: Tensor


class Noise:
    """What happens in one direction of one layer; each method returns what it is given, changed or not.

    ``step`` counts along the sequence, whichever way it is read. Subclasses override where they act.
    """

    def reads_input(self, x: Tensor) -> Tensor:
        """Change the whole input of the layer, shape ``(L, N, inputs)``."""
        return x

    def reads(self, h: Tensor, step: int) -> Tensor:
        """Change the hidden state of the step before as the gates see it."""
        return h

    def updates(self, candidate: Tensor, step: int) -> Tensor:
        """Change what is about to enter the state."""
        return candidate

    def remembers(self, new: Tensor, old: Tensor, step: int) -> Tensor:
        """Return the memory cells of an LSTM after this step."""
        return new

    def shows(self, h: Tensor, step: int) -> Tensor:
        """Change the hidden state as others see it: the gates, the next layer, the output."""
        return h

    def becomes(self, new: Tensor, old: Tensor, step: int) -> Tensor:
        """Return the hidden state after this step."""
        return new


class Mask:
    """A drawn mask for one direction of one layer, the same at all steps or not.

    Args:
        place: Where it acts.
        features: Number of features.
        rate: Probability of dropping, resolved; a tensor broadcasts to ``(N, L, features)``.
        each_step: Whether every step has coins of its own.
        site: Name of the wrapper in an active stream, or None.
        what: Name of this mask among those of its place.
    """

    def __init__(
        self, place: Place, features: int, rate: float | Tensor, each_step: bool, site: str | None, what: str
    ) -> None:
        shape = (place.rows, place.steps if each_step else 1, features)
        name = None if site is None else f"{site}:{place.name}:{what}"
        keep = draw_keep(shape, rate, place.like.device, generator=None, site=name)
        self._each_step = each_step
        self._keep = keep.transpose(0, 1)  # by steps; the batch comes first in a draw
        self._scale = scale_of(rate, place.like)

    def keep(self, step: int) -> Tensor:
        """Return the coins of a step, True = kept, shape ``(N, features)``."""
        return self._keep[step if self._each_step else 0]

    def drop(self, x: Tensor, step: int) -> Tensor:
        """Return ``x / (1 - rate)`` where kept, else zeros."""
        return select(x, self.keep(step), self._scale_at(step))

    def drop_all_steps(self, x: Tensor) -> Tensor:
        """The same for ``x`` of shape ``(L, N, features)``."""
        scale = self._scale
        if isinstance(scale, Tensor) and scale.ndim == 3:
            scale = scale.transpose(0, 1)
        return select(x, self._keep, scale)

    def zero(self, x: Tensor, step: int) -> Tensor:
        """Return ``x`` where kept, else zeros."""
        return select(x, self.keep(step), 1.0)

    def _scale_at(self, step: int) -> float | Tensor:
        scale = self._scale
        if not isinstance(scale, Tensor) or scale.ndim < 2:
            return scale
        return scale.select(-2, step if scale.shape[-2] > 1 else 0)
